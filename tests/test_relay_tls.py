"""Encryption and login at the relay, and a real Postfix at the other end."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiosmtplib
import pytest
from aiosmtpd.smtp import SMTP as SmtpServer
from aiosmtpd.smtp import AuthResult, Envelope, Session

from handlers import relay as relay_module
from smtpd.errors import Permanent, Temporary
from tests.scripted_relay import RAW, outgoing, relaying, scripted, send
from tests.servers.postfix import PostfixRelay
from tests.servers.smtp_sink import SmtpSink
from tests.servers.tls import TlsFiles, make_tls_files


class Door:
    """aiosmtpd's hooks for a relay that asks for a login."""

    def __init__(self) -> None:
        self.taken: list[Envelope] = []

    async def handle_DATA(self, server: SmtpServer, session: Session, envelope: Envelope) -> str:
        self.taken.append(envelope)
        return "250 2.0.0 taken"


def check_login(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
    right = (data.login, data.password) == (b"ai@us.example", b"s3cret")
    return AuthResult(success=right, handled=False)


@asynccontextmanager
async def asking_for_login(**options: Any) -> AsyncIterator[int]:
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(
        lambda: SmtpServer(Door(), loop=loop, authenticator=check_login, **options),
        "127.0.0.1",
        0,
    )
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        listener.close()


def login(tls_files: TlsFiles, **changes: str) -> dict[str, Any]:
    return {
        "tls": True,
        "ca_file": tls_files.ca_file,
        "username": "ai@us.example",
        "password": "s3cret",
        **changes,
    }


@pytest.mark.parametrize("without", [[], ["PLAIN"]])
async def test_we_log_in_over_tls(without: list[str], tls_files: TlsFiles) -> None:
    server = asking_for_login(
        tls_context=tls_files.server_context(),
        auth_required=True,
        auth_exclude_mechanism=without,
    )
    async with server as port, relaying(port, **login(tls_files)) as relay:
        assert await relay.send(outgoing()) == "250 2.0.0 taken"


async def test_a_wrong_password_is_temporary_and_not_repeated(tls_files: TlsFiles) -> None:
    server = asking_for_login(tls_context=tls_files.server_context())
    async with server as port, relaying(port, **login(tls_files, password="no")) as relay:
        with pytest.raises(Temporary, match="refused our login: 535") as failure:
            await relay.send(outgoing())
    assert "s3cret" not in failure.value.because


async def test_on_loopback_a_login_may_go_without_encryption() -> None:
    async with scripted(EHLO="250-relay.test\r\n250 AUTH PLAIN LOGIN") as server:
        await send(server, username="ai@us.example", password="s3cret")
    login = base64.b64encode(b"\0ai@us.example\0s3cret").decode()
    assert server.commands[:2] == ["EHLO mx.us.example", f"AUTH PLAIN {login}"]


async def test_a_challenge_is_answered_where_nothing_else_is_offered() -> None:
    ehlo = "250-relay.test\r\n250 AUTH CRAM-MD5"
    async with scripted(EHLO=ehlo, AUTH="334 PDE+") as server:
        await send(server, username="ai@us.example", password="s3cret")
    assert server.commands[1] == "AUTH CRAM-MD5"
    assert base64.b64decode(server.commands[2]).startswith(b"ai@us.example ")


async def test_a_relay_elsewhere_that_offers_no_login_gets_no_mail(
    tls_files: TlsFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = ("192.0.2.1", 25)
    monkeypatch.setattr(aiosmtplib.SMTP, "get_transport_info", lambda self, key: elsewhere)
    async with scripted(tls_files.server_context()) as server:
        monkeypatch.setattr(relay_module, "IMPLICIT_TLS_PORT", server.port)
        with pytest.raises(Temporary, match="no login that we know"):
            await send(server, **login(tls_files))
    assert "MAIL" not in " ".join(server.commands)


async def test_a_relay_on_this_machine_needs_no_login() -> None:
    async with scripted() as server:
        await send(server, username="ai@us.example", password="s3cret")
    assert not any(command.startswith("AUTH") for command in server.commands)


async def test_no_password_leaves_this_machine_without_encryption(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    elsewhere = ("192.0.2.1", 25)
    monkeypatch.setattr(aiosmtplib.SMTP, "get_transport_info", lambda self, key: elsewhere)
    ehlo = "250-relay.test\r\n250 AUTH PLAIN"
    async with scripted(EHLO=ehlo) as server:
        with pytest.raises(Temporary, match="SMTP_SSL"):
            await send(server, username="ai@us.example", password="s3cret")
    assert [command.split()[0] for command in server.commands] == ["EHLO"]


async def test_a_relay_that_offers_no_starttls_gets_nothing() -> None:
    async with scripted() as server:
        with pytest.raises(Temporary, match="STARTTLS"):
            await send(server, tls=True)
    assert [command.split()[0] for command in server.commands] == ["EHLO"]


async def test_postfix_takes_mail_by_starttls_and_passes_it_on_as_it_was(
    postfix_relay: PostfixRelay, smtp_sink: SmtpSink, tls_files: TlsFiles
) -> None:
    smtp_sink.clear()
    port = postfix_relay.port
    async with relaying(port, tls=True, ca_file=tls_files.ca_file) as relay:
        receipts = [await relay.send(outgoing()) for _ in range(3)]
    assert all(receipt.startswith("250 2.0.0 Ok: queued as") for receipt in receipts)
    mails = await asyncio.to_thread(smtp_sink.wait_for, 3)
    for mail in mails:
        assert mail.rcpt_to == ("c@client.example",)
        assert mail.raw.endswith(b"\n" + RAW.replace(b"\r\n", b"\n"))


async def test_postfix_takes_mail_by_implicit_tls(
    postfix_relay: PostfixRelay, tls_files: TlsFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "IMPLICIT_TLS_PORT", postfix_relay.tls_port)
    async with relaying(postfix_relay.tls_port, tls=True, ca_file=tls_files.ca_file) as relay:
        assert (await relay.send(outgoing())).startswith("250 2.0.0")


@pytest.mark.parametrize("implicit", [False, True])
async def test_a_certificate_of_another_authority_is_refused(
    implicit: bool, postfix_relay: PostfixRelay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "IMPLICIT_TLS_PORT", postfix_relay.tls_port)
    port = postfix_relay.tls_port if implicit else postfix_relay.port
    others = make_tls_files(tmp_path)
    async with relaying(port, tls=True, ca_file=others.ca_file) as relay:
        with pytest.raises(Temporary, match=r"certificate verify failed|CERTIFICATE_VERIFY"):
            await relay.send(outgoing())


async def test_a_certificate_for_another_name_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = make_tls_files(tmp_path, names=("other.example",))
    async with scripted(files.server_context()) as server:
        monkeypatch.setattr(relay_module, "IMPLICIT_TLS_PORT", server.port)
        with pytest.raises(Temporary, match="CERTIFICATE_VERIFY_FAILED"):
            await send(server, tls=True, ca_file=files.ca_file)
    assert server.commands == []


async def test_postfix_without_starttls_gets_nothing(
    postfix_relay: PostfixRelay, tls_files: TlsFiles
) -> None:
    async with relaying(postfix_relay.plain_port, tls=True, ca_file=tls_files.ca_file) as relay:
        with pytest.raises(Temporary, match="STARTTLS"):
            await relay.send(outgoing())


async def test_a_deferring_and_a_refusing_postfix_are_told_apart(
    postfix_relay: PostfixRelay, tls_files: TlsFiles
) -> None:
    async with relaying(postfix_relay.port, tls=True, ca_file=tls_files.ca_file) as relay:
        with postfix_relay.deferring(), pytest.raises(Temporary, match="recipient: 450 4"):
            await relay.send(outgoing())
        with postfix_relay.refusing(), pytest.raises(Permanent, match="recipient: 550 5"):
            await relay.send(outgoing())
        # Postfix was started anew in between: the kept connection is gone, and replaced.
        assert (await relay.send(outgoing())).startswith("250 2.0.0")

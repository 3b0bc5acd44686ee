"""The hand-over to the relay: against Postfix, and against a relay that fails at each step."""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiosmtplib
import pytest
from aiosmtpd.smtp import SMTP as SmtpServer
from aiosmtpd.smtp import AuthResult, Envelope, Session

from config.settings import RelaySettings
from handlers import relay as relay_module
from handlers.letter import Outgoing
from handlers.relay import SmtpRelay, Upstream
from smtpd.errors import Permanent, Temporary, Uncertain
from tests.servers.postfix import PostfixRelay
from tests.servers.smtp_sink import SmtpSink
from tests.servers.tls import TlsFiles, make_tls_files

RAW = (
    b"From: ai@us.example\r\nTo: c@client.example\r\nSubject: x\r\nMessage-ID: <a@us.example>\r\n"
    b"Date: Mon, 23 Nov 2026 10:00:00 +0000\r\n\r\n.\r\n..a\r\nend\r\n"
)
STEPS = ["banner", "EHLO", "MAIL", "RCPT", "DATA", "message"]
BEFORE_DATA = STEPS[:-1]
DROP, HANG, DRIP = "drop", "hang", "drip"
POLITE = {
    "banner": "220 relay.test ESMTP",
    "EHLO": "250-relay.test\r\n250-SIZE 10000\r\n250 PIPELINING",
    "AUTH": "235 2.7.0 Ok",
    "MAIL": "250 2.1.0 Ok",
    "RCPT": "250 2.1.5 Ok",
    "DATA": "354 go on",
    "message": "250 2.0.0 Ok: queued as 4Fz",
    "RSET": "250 2.0.0 Ok",
    "QUIT": "221 2.0.0 Bye",
}


def outgoing(raw: bytes = RAW, **changes: Any) -> Outgoing:
    envelope = {"mail_from": "bounces+1.x@us.example", "rcpt_to": "c@client.example"}
    return Outgoing(message_id="<a@us.example>", raw=raw, **{**envelope, **changes})


class ScriptedRelay:
    """An SMTP server that says at each step what its script says, or does worse."""

    def __init__(self, **script: str) -> None:
        self.script = POLITE | script
        self.commands: list[str] = []
        self.messages: list[bytes] = []
        self.connections = self.open = self.most_open = 0
        self.hung = asyncio.Event()  # set at a step that hangs
        self.closed = asyncio.Event()  # set when a peer has gone
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            await self._talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open -= 1
            self.closed.set()
            writer.transport.abort()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        step = "banner"
        while True:
            await self._say(step, reader, writer)
            if step == "DATA" and self.script[step].startswith("354"):
                step = "message"
                self.messages.append(await reader.readuntil(b"\r\n.\r\n"))
                continue
            if step == "QUIT" or not (line := await reader.readline()):
                return
            self.commands.append(line.decode().strip())
            step = line.decode().split()[0].upper()

    async def _say(
        self, step: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        words = self.script[step]
        if words == DROP:
            raise ConnectionResetError
        if words == HANG:
            self.hung.set()
            await reader.read()
            raise ConnectionResetError
        if words == DRIP:
            while True:
                writer.write(b"2")
                await writer.drain()
                await asyncio.sleep(0.01)
        writer.write(words.encode() + b"\r\n")
        await writer.drain()


@asynccontextmanager
async def scripted(
    tls: ssl.SSLContext | None = None, **script: str
) -> AsyncIterator[ScriptedRelay]:
    server = ScriptedRelay(**script)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()


@asynccontextmanager
async def relaying(port: int, **options: Any) -> AsyncIterator[SmtpRelay]:
    upstream = {"host": "127.0.0.1", "helo": "mx.us.example", "tls": False, **options}
    relay = SmtpRelay(Upstream(port=port, **upstream))
    try:
        yield relay
    finally:
        await relay.close()


async def send(server: ScriptedRelay, **options: Any) -> str:
    async with relaying(server.port, **options) as relay:
        return await relay.send(outgoing())


async def test_a_mail_is_handed_over_with_its_envelope_its_size_and_its_dots() -> None:
    async with scripted() as server:
        assert await send(server) == "250 2.0.0 Ok: queued as 4Fz"
    assert server.commands[:4] == [
        "EHLO mx.us.example",
        f"MAIL FROM:<bounces+1.x@us.example> SIZE={len(RAW)}",
        "RCPT TO:<c@client.example>",
        "DATA",
    ]
    assert server.messages == [RAW.replace(b"\r\n.", b"\r\n..") + b".\r\n"]


async def test_the_null_sender_is_an_empty_path() -> None:
    async with scripted(EHLO="250 relay.test") as server, relaying(server.port) as relay:
        await relay.send(outgoing(mail_from=""))
    assert "MAIL FROM:<>" in server.commands


async def test_a_message_without_a_last_line_end_gets_one_and_a_first_dot_another() -> None:
    async with scripted() as server, relaying(server.port) as relay:
        await relay.send(outgoing(b".a\r\n\r\nb"))
    assert server.messages == [b"..a\r\n\r\nb\r\n.\r\n"]


@pytest.mark.parametrize("step", BEFORE_DATA)
@pytest.mark.parametrize("fault", [DROP, HANG, DRIP, "nonsense", "999 what", "2", "451 4.3.0 no"])
async def test_what_fails_before_the_data_is_temporary(step: str, fault: str) -> None:
    async with scripted(**{step: fault}) as server:
        with pytest.raises(Temporary) as failure:
            await send(server, timeout_s=0.3)
    assert not isinstance(failure.value, Uncertain)
    assert server.messages == []


@pytest.mark.parametrize("step", ["banner", "EHLO"])
async def test_a_relay_that_refuses_us_altogether_refuses_no_mail(step: str) -> None:
    async with scripted(**{step: "554 5.7.1 go away"}) as server:
        with pytest.raises(Temporary, match=r"554 5\.7\.1 go away"):
            await send(server)


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA", "message"])
async def test_a_refusal_of_this_mail_is_permanent_and_quoted(step: str) -> None:
    async with scripted(
        **{step: "550-5.7.1 not\r\n550 5.7.1 here \x07\x1b[0m" + "x" * 900}
    ) as server:
        with pytest.raises(Permanent, match=r"550 5\.7\.1 not 5\.7\.1 here") as failure:
            await send(server)
    assert len(failure.value.because) < 400
    assert failure.value.because.isprintable()


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA", "message"])
async def test_a_wish_to_try_later_is_temporary_and_quoted(step: str) -> None:
    async with scripted(**{step: "450 4.2.0 greylisted"}) as server:
        with pytest.raises(Temporary, match=r"450 4\.2\.0 greylisted") as failure:
            await send(server)
    assert not isinstance(failure.value, Uncertain)


@pytest.mark.parametrize("code", [530, 534, 535, 538])
async def test_a_complaint_about_our_login_is_no_fault_of_the_mail(code: int) -> None:
    async with scripted(MAIL=f"{code} 5.7.0 Authentication required") as server:
        with pytest.raises(Temporary, match=str(code)):
            await send(server)


@pytest.mark.parametrize("fault", [DROP, HANG, DRIP, "nonsense", "354 again", "2", "250-and"])
async def test_without_a_final_reply_nobody_knows(fault: str) -> None:
    async with scripted(message=fault) as server:
        with pytest.raises(Uncertain):
            await send(server, timeout_s=1)
    assert len(server.messages) == 1


async def test_a_connection_lost_in_the_middle_of_the_message_is_uncertain() -> None:
    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 x\r\n")
        for reply in (b"250 x", b"250 x", b"250 x", b"354 x"):
            await reader.readline()
            writer.write(reply + b"\r\n")
        await reader.readline()
        writer.transport.abort()

    listener = await asyncio.start_server(cut, "127.0.0.1", 0)
    async with relaying(listener.sockets[0].getsockname()[1]) as relay:
        with pytest.raises(Uncertain):
            await relay.send(outgoing(b"Subject: x\r\n\r\n" + b"y\r\n" * 1_000_000))
    listener.close()


async def test_a_relay_that_is_down_is_temporary() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    async with relaying(port) as relay:
        with pytest.raises(Temporary, match="cannot be reached"):
            await relay.send(outgoing())


async def test_a_cancelled_hand_over_closes_its_connection_and_keeps_nothing() -> None:
    async with scripted(message=HANG) as server, relaying(server.port) as relay:
        sending = asyncio.create_task(relay.send(outgoing()))
        await server.hung.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        async with asyncio.timeout(10):
            await server.closed.wait()
        server.script = POLITE
        await relay.send(outgoing())
    assert server.connections == 2


async def test_a_message_larger_than_the_relay_takes_is_not_sent() -> None:
    async with scripted() as server, relaying(server.port) as relay:
        with pytest.raises(Permanent, match="10000 bytes"):
            await relay.send(outgoing(b"x: y\r\n\r\n" + b"a" * 10_000))
    assert "DATA" not in server.commands


@pytest.mark.parametrize("size", ["SIZE 0", "SIZE", "SIZE ²", "SIZE " + "9" * 5000])
async def test_a_size_that_is_no_limit_is_none(size: str) -> None:
    async with scripted(EHLO=f"250-relay.test\r\n250 {size}") as server:
        assert (await send(server)).startswith("250")


@pytest.mark.parametrize(
    "wrong",
    [
        {"rcpt_to": "a@b> SIZE=1"},
        {"rcpt_to": "a@b\r\nRCPT TO:<c@d"},
        {"mail_from": "é@b.example"},
        {"raw": b"a: b\r\n\r\nx\n.\r\n"},
        {"raw": b"a: b\r\n\r\nx\r.\r\n"},
    ],
)
async def test_what_could_end_a_command_or_a_line_early_is_not_sent(wrong: dict[str, Any]) -> None:
    async with scripted() as server, relaying(server.port) as relay:
        with pytest.raises(Permanent):
            await relay.send(outgoing(**wrong))
    assert server.connections == 0


async def test_fifty_mails_at_once_share_four_connections() -> None:
    async with scripted() as server, relaying(server.port, connections=4) as relay:
        receipts = await asyncio.gather(*(relay.send(outgoing()) for _ in range(50)))
    assert len(receipts) == len(server.messages) == 50
    assert (server.connections, server.most_open) == (4, 4)
    counted = Counter(command.split()[0] for command in server.commands)
    assert (counted["MAIL"], counted["EHLO"], counted["RSET"]) == (50, 4, 46)


@pytest.mark.parametrize("fault", [DROP, "421 4.4.2 idle too long", "502 no", "2"])
async def test_a_kept_connection_that_has_gone_stale_is_replaced(
    fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "RESET_S", 0.2)
    async with scripted(RSET=fault) as server, relaying(server.port) as relay:
        for _ in range(3):
            await relay.send(outgoing())
    assert (server.connections, len(server.messages)) == (3, 3)


async def test_a_kept_connection_that_the_relay_closed_is_replaced() -> None:
    async with scripted() as server, relaying(server.port) as relay:
        await relay.send(outgoing())
        server.script = POLITE | {"message": DROP}
        with pytest.raises(Uncertain):
            await relay.send(outgoing())
        server.script = POLITE
        await relay.send(outgoing())
    assert server.connections == 2


async def test_a_refused_mail_costs_no_connection() -> None:
    async with scripted(RCPT="550 5.1.1 unknown") as server, relaying(server.port) as relay:
        with pytest.raises(Permanent):
            await relay.send(outgoing())
        server.script = POLITE
        await relay.send(outgoing())
    assert server.connections == 1


async def test_an_idle_connection_is_closed_after_its_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(relay_module, "IDLE_S", 0.01)
    async with scripted() as server, relaying(server.port) as relay:
        await relay.send(outgoing())
        async with asyncio.timeout(10):
            await server.closed.wait()
        assert server.commands[-1] == "QUIT"


async def test_closing_ends_idle_connections_and_those_in_use_after_their_mail() -> None:
    async with scripted() as server, relaying(server.port) as relay:
        await relay.send(outgoing())
        await relay.close()
        async with asyncio.timeout(10):
            await server.closed.wait()
        server.closed.clear()
        await relay.send(outgoing())
        async with asyncio.timeout(10):
            await server.closed.wait()


async def test_waiting_for_a_free_connection_ends_at_the_deadline() -> None:
    only_one = {"connections": 1, "timeout_s": 1}
    async with scripted(message=HANG) as server, relaying(server.port, **only_one) as relay:
        outcomes = await asyncio.gather(
            *(relay.send(outgoing()) for _ in range(3)), return_exceptions=True
        )
    assert Counter(map(type, outcomes)) == {Uncertain: 1, Temporary: 2}


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


def test_the_settings_fill_in_what_the_relay_has_none_of() -> None:
    settings = RelaySettings(smtp_host="relay.test", smtp_username="", relay_connections=2)
    upstream = Upstream.of(settings, helo="mx.us.example", username="ai@x", password="s3cret")
    assert (upstream.username, upstream.password) == ("ai@x", "s3cret")
    assert (upstream.port, upstream.tls, upstream.connections) == (587, True, 2)
    assert "s3cret" not in repr(upstream)


def test_a_ca_file_that_is_none_stops_the_start(tmp_path: Path) -> None:
    upstream = Upstream(host="relay.test", port=587, helo="x", ca_file=tmp_path / "no.pem")
    with pytest.raises(ValueError, match="SMTP_CA_FILE"):
        SmtpRelay(upstream)


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

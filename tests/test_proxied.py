"""Connections that a proxy brings, and handshakes that come to nothing."""

from __future__ import annotations

import asyncio
import smtplib
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from smtpd import proxied, replies
from smtpd.events import address_hash
from smtpd.mail import Arrival, Peer
from smtpd.replies import Reply
from tests.conftest import installed
from tests.doors import MESSAGE, TO_DATA, Caller, Door, door
from tests.servers.nginx import NginxProxy
from tests.servers.process import free_port
from tests.servers.tls import TlsFiles

LOOPBACK = "127.0.0.0/8"
V2_LOCAL = b"\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"
V1_OF_PRIVATE = b"PROXY TCP4 10.0.0.7 10.0.0.1 40000 25\r\n"
V1_OF_PUBLIC = b"PROXY TCP4 8.8.4.4 9.9.9.9 40000 25\r\n"


async def through(house: Door, header: bytes) -> Caller:
    """A caller of the proxy's port, after these first bytes."""
    caller = await house.call(port=house.ports[1])
    caller.writer.write(header)
    return caller


@pytest.mark.parametrize(
    ("header", "ip", "known"),
    [
        (V1_OF_PUBLIC, "8.8.4.4", True),
        (V1_OF_PRIVATE, "10.0.0.7", False),
        (V2_LOCAL, "", False),
        (b"PROXY UNKNOWN\r\n", "", False),
    ],
)
async def test_the_session_is_of_the_client_that_the_proxy_names(
    header: bytes, ip: str, known: bool
) -> None:
    kept: list[Arrival] = []

    async def keep(arrival: Arrival) -> Reply:
        kept.append(arrival)
        return replies.QUEUED

    async with door(keep, trusted_networks=LOOPBACK, proxy_port=free_port()) as house:
        assert await (await through(house, header)).send_mail() == str(replies.QUEUED)
        assert await (await house.call()).send_mail() == str(replies.QUEUED)
    by_proxy, direct = (arrival.peer for arrival in kept)
    assert by_proxy == Peer(ip=ip, helo="client.example.org", tls="", known=known)
    assert direct == Peer(ip="127.0.0.1", helo="client.example.org", tls="", known=True)


async def test_a_header_in_pieces_is_one_header() -> None:
    async with door(trusted_networks=LOOPBACK, proxy_port=free_port()) as house:
        caller = await through(house, b"")
        for octet in V1_OF_PUBLIC:
            caller.writer.write(bytes((octet,)))
            await caller.writer.drain()
        assert await caller.send_mail() == str(replies.QUEUED)


async def test_what_the_client_said_behind_the_header_came_before_its_turn() -> None:
    async with door(trusted_networks=LOOPBACK, proxy_port=free_port()) as house:
        caller = await through(house, V1_OF_PUBLIC + b"EHLO early.example.org\r\n")
        assert await caller.hear() == str(replies.IMPROPER_PIPELINING)
        assert await caller.ended()


async def test_an_ordinary_port_takes_no_header() -> None:
    async with door(trusted_networks=LOOPBACK) as house:
        caller = await house.call()
        assert (await caller.hear()).startswith("220 ")
        assert await caller.say(V1_OF_PUBLIC.decode().rstrip()) == str(replies.UNKNOWN_COMMAND)


async def test_the_limits_by_address_are_those_of_the_client() -> None:
    async with door(
        trusted_networks=LOOPBACK, proxy_port=free_port(), connections_per_ip=1
    ) as house:
        assert (await (await through(house, V1_OF_PUBLIC)).hear()).startswith("220 ")
        second = await through(house, V1_OF_PUBLIC)
        assert await second.hear() == str(replies.TOO_MANY_FROM_ADDRESS)
        assert await second.ended()
        other = V1_OF_PUBLIC.replace(b"8.8.4.4", b"8.8.5.5")
        assert (await (await through(house, other)).hear()).startswith("220 ")


@pytest.mark.parametrize(
    ("trusted", "said", "kind"),
    [
        ("192.0.2.0/24", V1_OF_PUBLIC, "untrusted"),
        (LOOPBACK, b"EHLO client.example.org\r\n", "bad_header"),
        (LOOPBACK, b"PROXY TCP4 192.0.2.7", "too_late"),
        (LOOPBACK, b"", "too_late"),
    ],
)
async def test_a_connection_nobody_is_named_for_is_closed_and_counted(
    monkeypatch: pytest.MonkeyPatch, trusted: str, said: bytes, kind: str
) -> None:
    monkeypatch.setattr(proxied, "HEADER_S", 0.2)
    with capture_logs() as lines:
        async with door(trusted_networks=trusted, proxy_port=free_port()) as house:
            assert await (await through(house, said)).ended()
    # That the mail comes over loopback is told as well.
    (line,) = [line for line in lines if line["event"] not in ("listening", "address_lost")]
    assert (line["event"], line["kind"]) == ("proxy_failed", kind)
    assert line["peer"] == address_hash("127.0.0.1")


@pytest.mark.parametrize(("said", "failed"), [(b"", 0), (b"PROXY TC", 1)])
async def test_who_only_asks_whether_we_are_there_is_no_failure(said: bytes, failed: int) -> None:
    with capture_logs() as lines:
        async with door(trusted_networks=LOOPBACK, proxy_port=free_port()) as house:
            caller = await through(house, said)
            caller.writer.write_eof()
            assert await caller.ended()
    assert [line["event"] for line in lines if line["event"] != "listening"] == [
        "proxy_failed"
    ] * failed


async def test_nginx_brings_clients_with_their_own_addresses() -> None:
    kept: list[Arrival] = []

    async def keep(arrival: Arrival) -> Reply:
        kept.append(arrival)
        return replies.QUEUED

    port = free_port()
    nginx = installed(lambda: NginxProxy(upstream=port))
    async with door(
        keep, trusted_networks=LOOPBACK, proxy_port=port, connections_per_ip=1
    ) as house:
        with nginx:
            first = await house.call("127.0.0.7", nginx.port)
            assert await first.send_mail() == str(replies.QUEUED)
            second = await house.call("127.0.0.8", nginx.port)
            assert await second.send_mail() == str(replies.QUEUED)
            third = await house.call("127.0.0.8", nginx.port)
            assert await third.hear() == str(replies.TOO_MANY_FROM_ADDRESS)
    assert [arrival.peer and arrival.peer.ip for arrival in kept] == ["127.0.0.7", "127.0.0.8"]


async def test_a_port_that_is_taken_leaves_nothing_bound() -> None:
    ordinary, taken = free_port(), free_port()
    with socket.create_server(("127.0.0.1", taken)):
        with pytest.raises(OSError, match="in use"):
            async with door(listen_port=ordinary, proxy_port=taken):
                pass
        socket.create_server(("127.0.0.1", ordinary)).close()


# Handshakes.


async def failed_handshake(
    tls_files: TlsFiles, client: Callable[[Door], Awaitable[None]]
) -> EventDict:
    """What is logged about this client, after which the next one is served."""
    context = tls_files.server_context()
    with capture_logs() as lines:
        async with door(tls=lambda: context) as house:
            await client(house)
            assert await (await house.call()).send_mail() == str(replies.QUEUED)
    # That the mail comes over loopback is told as well.
    (line,) = [line for line in lines if line["event"] not in ("listening", "address_lost")]
    return line


async def test_a_client_that_trusts_nobody_leaves_a_line_with_the_reason(
    tls_files: TlsFiles,
) -> None:
    def starttls(port: int) -> None:
        with smtplib.SMTP("127.0.0.1", port, timeout=10) as client:
            client.starttls(context=ssl.create_default_context())

    async def client(house: Door) -> None:
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.to_thread(starttls, house.port)

    line = await failed_handshake(tls_files, client)
    assert (line["event"], line["kind"]) == ("tls_failed", "handshake")
    assert line["because"] == "tlsv1_alert_unknown_ca"
    assert "exc_info" not in line


@pytest.mark.parametrize(
    ("said", "kind"), [(MESSAGE, "handshake"), (b"\x16\x03\x01", "hung_up"), (b"", "hung_up")]
)
async def test_what_is_no_handshake_leaves_a_line(
    tls_files: TlsFiles, said: bytes, kind: str
) -> None:
    async def client(house: Door) -> None:
        caller = await house.call()
        await caller.hear()
        await caller.say(TO_DATA[0])
        assert await caller.say("STARTTLS") == str(replies.READY_FOR_TLS)
        caller.writer.write(said)
        caller.writer.write_eof()
        with suppress(ConnectionError):
            await caller.reader.read()

    line = await failed_handshake(tls_files, client)
    assert (line["event"], line["kind"]) == ("tls_failed", kind)


async def test_each_handshake_asks_for_the_certificate_anew(tls_files: TlsFiles) -> None:
    asked: list[ssl.SSLContext] = []

    def context() -> ssl.SSLContext:
        asked.append(tls_files.server_context())
        return asked[-1]

    async with door(tls=context) as house:
        for _ in range(2):
            caller = await house.call()
            await caller.hear()
            await caller.say(TO_DATA[0])
            await caller.say("STARTTLS")
            await caller.writer.start_tls(tls_files.client_context(), server_hostname="localhost")
            assert await caller.say("NOOP") == str(replies.OK)
    assert len(asked) == 2

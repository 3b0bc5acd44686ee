"""What becomes of a mail at a relay that fails at each step, and of the connections to it."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from config.settings import RelaySettings
from handlers import relay as relay_module
from handlers.relay import SmtpRelay, Upstream
from smtpd.errors import Permanent, Temporary, Uncertain
from tests.scripted_relay import DRIP, DROP, HANG, POLITE, RAW, outgoing, relaying, scripted, send

STEPS = ["banner", "EHLO", "MAIL", "RCPT", "DATA", "message"]
BEFORE_DATA = STEPS[:-1]


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


EIGHT_BIT = RAW.replace(b"end", "fin é".encode())


async def test_eight_bit_octets_are_announced_to_a_relay_that_takes_them() -> None:
    offer = "250-relay.test\r\n250-SIZE 10000\r\n250 8BITMIME"
    async with scripted(EHLO=offer) as server, relaying(server.port) as relay:
        await relay.send(outgoing(EIGHT_BIT))
        await relay.send(outgoing())
    announced = [line.rpartition(" ")[2] for line in server.commands if line.startswith("MAIL")]
    assert announced == ["BODY=8BITMIME", f"SIZE={len(RAW)}"]
    assert server.messages[0] == EIGHT_BIT.replace(b"\r\n.", b"\r\n..") + b".\r\n"


async def test_a_relay_that_takes_seven_bits_is_sent_no_eight() -> None:
    async with scripted() as server, relaying(server.port) as relay:
        with pytest.raises(Permanent, match="8BITMIME"):
            await relay.send(outgoing(EIGHT_BIT))
        assert await relay.send(outgoing())
    assert server.connections == 1
    assert len(server.messages) == 1


@pytest.mark.parametrize("step", BEFORE_DATA)
@pytest.mark.parametrize("fault", [DROP, HANG, DRIP, "nonsense", "999 what", "2", "451 4.3.0 no"])
async def test_what_fails_before_the_data_is_temporary(step: str, fault: str) -> None:
    async with scripted(None, **{step: fault}) as server:
        with pytest.raises(Temporary) as failure:
            await send(server, timeout_s=0.3)
    assert not isinstance(failure.value, Uncertain)
    assert server.messages == []


@pytest.mark.parametrize("step", ["banner", "EHLO"])
async def test_a_relay_that_refuses_us_altogether_refuses_no_mail(step: str) -> None:
    async with scripted(None, **{step: "554 5.7.1 go away"}) as server:
        with pytest.raises(Temporary, match=r"554 5\.7\.1 go away"):
            await send(server)


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA", "message"])
async def test_a_refusal_of_this_mail_is_permanent_and_quoted(step: str) -> None:
    async with scripted(
        None, **{step: "550-5.7.1 not\r\n550 5.7.1 here \x07\x1b[0m" + "x" * 900}
    ) as server:
        with pytest.raises(Permanent, match=r"550 5\.7\.1 not 5\.7\.1 here") as failure:
            await send(server)
    assert len(failure.value.because) < 400
    assert failure.value.because.isprintable()


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA", "message"])
async def test_a_wish_to_try_later_is_temporary_and_quoted(step: str) -> None:
    async with scripted(None, **{step: "450 4.2.0 greylisted"}) as server:
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


async def test_a_hand_over_cancelled_at_a_kept_connection_closes_it() -> None:
    async with scripted(RSET=HANG) as server, relaying(server.port) as relay:
        await relay.send(outgoing())
        sending = asyncio.create_task(relay.send(outgoing()))
        await server.hung.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        async with asyncio.timeout(10):
            await server.closed.wait()


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
    only_one = {"connections": 1, "timeout_s": 3}
    async with scripted(message=HANG) as server, relaying(server.port, **only_one) as relay:
        outcomes = await asyncio.gather(
            *(relay.send(outgoing()) for _ in range(3)), return_exceptions=True
        )
    assert Counter(map(type, outcomes)) == {Uncertain: 1, Temporary: 2}


def test_the_login_of_the_settings_is_used_and_never_shown() -> None:
    settings = RelaySettings(
        smtp_host="relay.test",
        smtp_username="ai@x",
        smtp_password=SecretStr("s3cret"),
        relay_connections=2,
    )
    upstream = Upstream.of(settings, helo="mx.us.example")
    assert (upstream.username, upstream.password) == ("ai@x", "s3cret")
    assert (upstream.port, upstream.tls, upstream.connections) == (587, True, 2)
    assert "s3cret" not in repr(upstream)


def test_a_ca_file_that_is_none_stops_the_start(tmp_path: Path) -> None:
    upstream = Upstream(host="relay.test", port=587, helo="x", ca_file=tmp_path / "no.pem")
    with pytest.raises(ValueError, match="SMTP_CA_FILE"):
        SmtpRelay(upstream)

"""Sessions and their listener: what goes wrong inside, who hangs up, how it all ends."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest

from smtpd import replies
from smtpd.admission import ip_of
from smtpd.errors import Permanent, Temporary
from smtpd.events import tally
from smtpd.limits import Patience
from smtpd.mail import Arrival
from smtpd.replies import Reply
from tests.dialogs.script import reset
from tests.doors import MESSAGE, TO_DATA, Gate, door, until


async def test_what_receive_says_is_what_the_peer_hears() -> None:
    async def refuse(arrival: Arrival) -> Reply:
        return replies.SENDER_BLOCKED

    async with door(refuse) as house:
        caller = await house.call()
        assert await caller.send_mail() == str(replies.SENDER_BLOCKED)
        assert await caller.say("NOOP") == str(replies.OK)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("password=hunter2 at redis://10.0.0.5"),
        Temporary("the database is away"),
        Permanent("nobody foresaw this one here"),
        ConnectionRefusedError("10.0.0.5:5432"),
        TimeoutError("the disk"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_whatever_goes_wrong_inside_is_a_451_without_details(
    error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    async def fail(arrival: Arrival) -> Reply:
        raise error

    before = Counter(tally())
    async with door(fail) as house:
        caller = await house.call()
        assert await caller.send_mail() == str(replies.TROUBLE_HERE)
        assert await caller.say("RCPT TO:<ai@house.test>") == str(replies.MAIL_FIRST)
        assert await caller.say("MAIL FROM:<ada@example.org>") == str(replies.SENDER_OK)
    # The traceback below the line, which shows values, is this test's alone: see config/log.py.
    heard = [line for line in capsys.readouterr().out.splitlines() if "kind=trouble_here" in line]
    assert len(heard) == 1
    counted = [kind for _, kind in Counter(tally()) - before]
    assert counted.count("trouble_here") == 1


async def test_the_arrival_says_what_the_wire_said() -> None:
    kept: list[Arrival] = []

    async def keep(arrival: Arrival) -> Reply:
        kept.append(arrival)
        return replies.QUEUED

    began = datetime.now(UTC)
    async with door(keep) as house:
        await (await house.call()).send_mail()
    (arrival,) = kept
    assert arrival.peer is not None
    assert (arrival.peer.ip, arrival.peer.helo, arrival.peer.tls) == (
        "127.0.0.1",
        "client.example.org",
        "",
    )
    assert arrival.headers.first("subject") == "one"
    assert arrival.raw == MESSAGE[:-3]
    assert began <= arrival.received_at <= datetime.now(UTC)
    assert arrival.received_at.utcoffset() == timedelta(0)
    assert len(arrival.id) == 26


@pytest.mark.parametrize("how", ["goodbye", "reset"])
async def test_a_hang_up_while_a_mail_is_being_kept_does_not_stop_the_keeping(how: str) -> None:
    gate = Gate()
    async with door(gate.receive) as house:
        caller = await house.call()
        await caller.begin_data()
        caller.writer.write(MESSAGE)
        await gate.entered.wait()
        held_bytes = house.listener.held_bytes
        if how == "goodbye":
            caller.writer.close()
        else:
            reset(caller.connection, caller.writer)
            await until(lambda: house.listener.connections == 0)
        gate.opened.set()
        assert await (await house.call()).send_mail() == str(replies.QUEUED)
    assert held_bytes == len(MESSAGE) - 3
    assert len(gate.kept) == 2


async def test_trouble_after_a_hang_up_is_logged_once(capsys: pytest.CaptureFixture[str]) -> None:
    gate = Gate()

    async def fail(arrival: Arrival) -> Reply:
        await gate.receive(arrival)
        raise Temporary("the database is away")

    async with door(fail) as house:
        caller = await house.call()
        await caller.begin_data()
        caller.writer.write(MESSAGE)
        await gate.entered.wait()
        reset(caller.connection, caller.writer)
        await until(lambda: house.listener.connections == 0)
        gate.opened.set()
    assert capsys.readouterr().out.count("the database is away") == 1


async def test_connections_beyond_the_limit_hear_421_until_one_goes() -> None:
    async with door(connections_max=2) as house:
        first, second = await house.call(), await house.call()
        await first.hear()
        await second.hear()
        third = await house.call()
        assert await third.hear() == str(replies.TOO_MANY_CONNECTIONS)
        assert await third.hear() == ""
        assert await first.say("QUIT") == str(replies.GOODBYE)
        await until(lambda: house.listener.connections == 1)
        assert (await (await house.call()).hear()).startswith("220 ")


async def test_a_session_that_lasts_too_long_ends_between_two_mails_only() -> None:
    async with door(patience=Patience(session_s=0.05)) as house:
        loop = asyncio.get_running_loop()
        began = loop.time()
        caller = await house.call()
        await caller.hear()
        for command in TO_DATA:
            await caller.say(command)
            if command.startswith("MAIL"):
                await until(lambda: loop.time() > began + 0.1)
        caller.writer.write(MESSAGE)
        assert await caller.hear() == str(replies.QUEUED)
        assert await caller.hear() == str(replies.SESSION_TOO_LONG)
        assert await caller.hear() == ""


async def test_idle_commands_between_mails_are_forgiven() -> None:
    async with door(patience=Patience(idle_commands=3)) as house:
        caller = await house.call()
        await caller.send_mail()
        for _ in range(3):
            assert await caller.say("RSET") == str(replies.OK)
        assert await caller.say("RSET") == str(replies.TOO_MANY_ERRORS)


async def test_one_recipient_cannot_be_named_for_ever() -> None:
    async with door(patience=Patience(idle_commands=3)) as house:
        caller = await house.call()
        await caller.hear()
        for command in TO_DATA[:-1]:  # EHLO is idle, too
            await caller.say(command)
        said = [await caller.say(TO_DATA[-2]) for _ in range(3)]
        assert said == [str(replies.RECIPIENT_OK)] * 2 + [str(replies.TOO_MANY_ERRORS)]


async def test_a_peer_that_reads_no_replies_is_heard_no_more_and_then_cut_off() -> None:
    commands = 300_000
    async with door(command_timeout=0.3, patience=Patience(idle_commands=commands)) as house:
        caller = await house.call()
        await caller.hear()
        for command in TO_DATA[:2]:
            await caller.say(command)
        cast(asyncio.Transport, caller.writer.transport).pause_reading()
        # Far more replies than the kernel's buffers hold.
        caller.writer.write(b"RCPT TO:<ai@house.test>\r\n" * commands)
        await until(lambda: house.listener.connections == 0)
    assert 0 < len(house.asked) < commands


async def test_a_flood_without_a_line_end_is_cut_off() -> None:
    async with door(command_timeout=0.1) as house:
        caller = await house.call()
        await caller.hear()
        hearing = asyncio.create_task(caller.hear())
        while not hearing.done():
            caller.writer.write(b"x" * 100_000)
            await caller.writer.drain()
        assert hearing.result() == str(replies.IDLE_TOO_LONG)


async def test_stopping_says_421_to_idle_sessions_at_once() -> None:
    async with door() as house:
        fresh, within = await house.call(), await house.call()
        await fresh.hear()
        await within.hear()
        await within.say("EHLO client.example.org")
        await within.say("MAIL FROM:<ada@example.org>")
        await house.listener.stop(drain_s=60)
        for caller in (fresh, within):
            assert await caller.hear() == str(replies.CLOSING_DOWN)
            assert await caller.hear() == ""
        with pytest.raises(ConnectionRefusedError):
            await house.call()


async def test_stopping_lets_a_mail_under_way_finish() -> None:
    gate = Gate()
    async with door(gate.receive) as house:
        sending, being_kept = await house.call(), await house.call()
        await sending.begin_data()
        await being_kept.begin_data()
        being_kept.writer.write(MESSAGE)
        await gate.entered.wait()
        stopping = asyncio.create_task(house.listener.stop(drain_s=60))
        await asyncio.sleep(0)
        sending.writer.write(MESSAGE)
        gate.opened.set()
        for caller in (sending, being_kept):
            assert await caller.hear() == str(replies.QUEUED)
            assert await caller.hear() == str(replies.CLOSING_DOWN)
            assert await caller.hear() == ""
        await stopping
    assert len(gate.kept) == 2


async def test_stopping_does_not_wait_beyond_the_drain() -> None:
    gate = Gate()
    async with door(gate.receive) as house:
        sending, being_kept = await house.call(), await house.call()
        await sending.begin_data()
        await being_kept.begin_data()
        being_kept.writer.write(MESSAGE)
        await gate.entered.wait()
        await house.listener.stop(drain_s=0.05)
        for caller in (sending, being_kept):
            with pytest.raises((ConnectionError, AssertionError)):
                assert await caller.hear()
    assert gate.kept == []


@pytest.mark.parametrize(
    ("peername", "ip"),
    [
        (("192.0.2.1", 25000), "192.0.2.1"),
        (("2001:db8::1", 25000, 0, 0), "2001:db8::1"),
        (("::ffff:192.0.2.1", 25000, 0, 0), "192.0.2.1"),
        (("fe80::1%eth0", 25000, 0, 2), "fe80::1"),
        ("/run/answermx.sock", ""),
        ("", ""),
        (None, ""),
    ],
)
def test_a_peer_has_an_address_or_none(peername: object, ip: str) -> None:
    assert ip_of(peername) == ip

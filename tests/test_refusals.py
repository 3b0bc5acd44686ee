"""What the log hears of peers that are refused or sent away: enough to act on, no address."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from smtpd import replies
from smtpd import tally as tallying
from smtpd.conversation import REFUSALS_LOGGED
from smtpd.events import Event, address_hash, count, tally
from smtpd.limits import Patience
from smtpd.replies import KINDS, Reply, kind_of
from smtpd.tally import LINES_A_MINUTE, tell_tally
from tests.doors import TO_DATA, door, until

PEER = address_hash("127.0.0.1")
SENDER = address_hash("ada@example.org")

# What is counted though no reply was spoken.
OTHER_KINDS = {
    *("handshake", "hung_up", "untrusted", "bad_header", "too_late"),
    *("mail", "too_long", "runaway", "check", "clamd", "spamd"),
}


async def heard(*commands: str, patience: Patience | None = None) -> list[EventDict]:
    """What is logged while a peer says this."""
    with capture_logs() as lines:
        async with door(patience=patience, recipients_max=1) as house:
            caller = await house.call()
            await caller.hear()
            for command in commands:
                await caller.say(command)
    return [line for line in lines if line["event"] != "listening"]


@pytest.mark.parametrize(
    ("recipient", "event", "reply"),
    [
        ("nobody@house.test", "rejected", replies.NO_SUCH_USER),
        ("second@house.test", "deferred", replies.TOO_MANY_RECIPIENTS),
    ],
)
async def test_a_refused_recipient_is_logged_by_hashes(
    recipient: str, event: str, reply: Reply
) -> None:
    (line,) = await heard(*TO_DATA[:-1], f"RCPT TO:<{recipient}>", "QUIT")
    assert line == {
        "event": event,
        "log_level": "info",
        "kind": kind_of(reply),
        "because": reply.text,
        "peer": PEER,
        "sender": SENDER,
        "recipient": address_hash(recipient),
    }


async def test_an_address_that_cannot_be_read_is_logged_without_it() -> None:
    (line,) = await heard(TO_DATA[0], "MAIL FROM:<ada@@example.org>", "QUIT")
    assert (line["event"], line["because"]) == ("rejected", replies.BAD_SENDER.text)
    assert "ada" not in str(line)


async def test_a_peer_that_tries_every_name_does_not_fill_the_log() -> None:
    tries = [f"RCPT TO:<nobody{number}@house.test>" for number in range(2 * REFUSALS_LOGGED)]
    before = Counter(tally())
    lines = await heard(*TO_DATA[:2], *tries, "QUIT")
    assert [line["event"] for line in lines] == ["rejected"] * REFUSALS_LOGGED
    assert Counter(tally()) - before == {("rejected", "no_such_user"): 2 * REFUSALS_LOGGED}


async def test_a_session_that_we_end_is_logged_with_its_reason() -> None:
    (line,) = await heard(*["NOOP"] * 3, patience=Patience(idle_commands=2))
    assert (line["event"], line["peer"]) == ("cut_off", PEER)
    assert line["because"] == replies.TOO_MANY_ERRORS.text


async def test_a_connection_beyond_the_limit_is_logged() -> None:
    with capture_logs() as lines:
        async with door(connections_max=1) as house:
            await (await house.call()).hear()
            await (await house.call()).hear()
    assert lines[-1]["because"] == replies.TOO_MANY_CONNECTIONS.text
    assert lines[-1]["kind"] == "too_many_connections"


async def test_a_flood_of_connections_gets_a_bounded_number_of_lines_and_is_counted() -> None:
    before = Counter(tally())
    with capture_logs() as lines:
        async with door(connections_max=1) as house:
            await (await house.call()).hear()
            for _ in range(2 * LINES_A_MINUTE):
                await (await house.call()).hear()
    assert len([line for line in lines if line["event"] == "cut_off"]) == LINES_A_MINUTE
    flood = ("cut_off", "too_many_connections")
    assert Counter(tally()) - before == {flood: 2 * LINES_A_MINUTE}


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        ("XYZZY", "unknown_command"),
        ("EXPN staff", "not_implemented"),
        ("EHLO", "bad_syntax"),
        ("MAIL FROM:<ada@example.org>", "nested_mail"),
        ("RCPT TO:<a@b@c>", "bad_address"),
        ("RCPT TO:<ai@house.test> NOTIFY=NEVER", "unknown_parameter"),
        ("DATA", "recipient_first"),
        ("x" * 3000, "line_too_long"),
    ],
)
async def test_every_command_that_is_refused_is_counted_once(command: str, kind: str) -> None:
    before = Counter(tally())
    await heard(*TO_DATA[:2], command, "QUIT")
    assert Counter(tally()) - before == {("rejected", kind): 1}


async def test_whatever_a_session_counts_has_a_name_of_the_closed_list() -> None:
    before = Counter(tally())  # of this process, whatever other tests have counted
    await heard("XYZZY", *TO_DATA[:-1], "RCPT TO:<nobody@house.test>", "RCPT TO:<>", "QUIT")
    counted = Counter(tally()) - before
    assert counted
    assert {kind for _, kind in counted} <= KINDS | OTHER_KINDS


def test_no_two_replies_share_a_name() -> None:
    constants = [reply for reply in vars(replies).values() if isinstance(reply, Reply)]
    assert len({kind_of(reply) for reply in constants}) == len(constants)
    assert {kind_of(reply) for reply in constants} == KINDS


@pytest.mark.parametrize("language", ["fr", "en"])
def test_a_reply_keeps_its_name_in_any_language_and_with_a_reference(language: str) -> None:
    reply = replies.translated(replies.UNPROVEN, language).with_reference("t1")
    assert kind_of(reply) == "unproven"
    assert kind_of(Reply(550, "5.0.0", "said by nobody")) == "other"


async def test_the_tally_tells_what_is_new_and_nothing_where_nothing_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    count(Event.REJECTED, "spam")
    monkeypatch.setattr(tallying, "_EVERY_S", 0.0)
    with capture_logs() as lines:
        telling = asyncio.create_task(tell_tally())
        await until(lambda: len(lines) == 1)
        count(Event.DEFERRED, "no_room")
        count(Event.DEFERRED, "no_room")
        count(Event.CUT_OFF, "too_slow")
        await until(lambda: len(lines) == 2)
        telling.cancel()
    assert lines[0]["counts"]["rejected"]["spam"] == tally()[Event.REJECTED, "spam"]
    assert lines[1]["counts"] == {"cut_off": {"too_slow": 1}, "deferred": {"no_room": 2}}


async def test_the_tally_is_told_when_the_house_stops() -> None:
    with capture_logs() as lines:
        telling = asyncio.create_task(tell_tally())
        await asyncio.sleep(0)
        count(Event.REJECTED, "spam")
        telling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await telling
    assert [line["event"] for line in lines] == ["tally"]


async def test_who_says_goodbye_is_not_logged() -> None:
    assert await heard(*TO_DATA[:-1], "QUIT") == []

"""What the log hears of peers that are refused or sent away: enough to act on, no address."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from smtpd import replies
from smtpd.conversation import REFUSALS_LOGGED
from smtpd.events import address_hash
from smtpd.limits import Patience
from smtpd.replies import Reply
from tests.doors import TO_DATA, door

PEER = address_hash("127.0.0.1")
SENDER = address_hash("ada@example.org")


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
    lines = await heard(*TO_DATA[:2], *tries, "QUIT")
    assert [line["event"] for line in lines] == ["rejected"] * REFUSALS_LOGGED


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


async def test_who_says_goodbye_is_not_logged() -> None:
    assert await heard(*TO_DATA[:-1], "QUIT") == []

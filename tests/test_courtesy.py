"""When a worker stays silent."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from config.settings import HouseSettings, RelaySettings
from handlers.courtesy import Manners, why_silent
from handlers.letter import Ending, Outgoing, State
from smtpd.headers import scan
from tests.letters import NOW, a_claim, a_record

MANNERS = Manners(
    domain="us.example",
    own_addresses=frozenset({"ai@us.example", "law@other.example"}),
    max_age_to_answer_s=86400,
    uncertain_allowed=1,
)
REPLY = Outgoing(message_id="<r@us.example>", mail_from="x", rcpt_to="y", raw=b"")


def ending_of(
    section: str = "From: camille@client.example",
    mail_from: str = "camille@client.example",
    waited: timedelta = timedelta(0),
    outgoing: Outgoing | None = None,
    uncertain: int = 0,
    manners: Manners = MANNERS,
) -> Ending | None:
    record = a_record()
    raw = section.replace("\n", "\r\n").encode() + b"\r\n\r\nBonjour\r\n"
    heard = replace(record.arrival, raw=raw, headers=scan(raw), mail_from=mail_from)
    record = replace(record, arrival=heard, outgoing=outgoing, fetched_at=NOW + waited)
    return why_silent(a_claim(uncertain=uncertain), record, manners)


def test_a_person_gets_an_answer() -> None:
    assert ending_of() is None


@pytest.mark.parametrize(
    "section",
    [
        "From: a@client.example\nAuto-Submitted: auto-replied",
        "From: a@client.example\nPrecedence: bulk",
        "From: a@client.example\nList-Id: <x>",
        "From: a@client.example\nX-Loop: ai@us.example",
        "From: no-reply@client.example",
        "From: MAILER-DAEMON@client.example",
        "From: postmaster@client.example",
        "From: a@client.example, b@client.example",
        "Subject: no author",
        "From: ai@us.example",
        "From: anybody@US.example",
        "From: Law+tag@other.example",
    ],
)
def test_robots_lists_and_ourselves_get_none(section: str) -> None:
    ending = ending_of(section)
    assert ending is not None
    assert ending.what is State.UNANSWERED
    assert "@" not in ending.because


def test_what_has_no_sender_gets_none() -> None:
    ending = ending_of(mail_from="")
    assert ending is not None
    assert ending.what is State.UNANSWERED


def test_a_neighbour_of_our_alias_is_not_ourselves() -> None:
    assert ending_of("From: ada@other.example") is None


def test_mail_that_waited_too_long_is_held_for_a_person() -> None:
    assert ending_of(waited=timedelta(seconds=86400)) is None
    ending = ending_of(waited=timedelta(seconds=86401))
    assert ending is not None
    assert (ending.what, ending.setting) == (State.HELD, "MAX_AGE_TO_ANSWER")


def test_a_reply_that_is_written_is_sent_within_three_days() -> None:
    assert ending_of(waited=timedelta(hours=72), outgoing=REPLY) is None
    ending = ending_of(waited=timedelta(hours=73), outgoing=REPLY)
    assert ending is not None
    assert ending.what is State.HELD


@pytest.mark.parametrize(
    ("uncertain_send", "uncertain", "held"),
    [("resend", 0, False), ("resend", 1, False), ("resend", 2, True),
     ("hold", 0, False), ("hold", 1, True)],
)  # fmt: skip
def test_after_unknown_outcomes_a_person_decides(
    uncertain_send: str, uncertain: int, held: bool
) -> None:
    manners = Manners.of(
        HouseSettings(email_address="ai@us.example", email_domain="us.example"),
        RelaySettings(smtp_host="relay.example", uncertain_send=uncertain_send),  # type: ignore[arg-type]
    )
    ending = ending_of(outgoing=REPLY, uncertain=uncertain, manners=manners)
    assert (ending is not None and ending.setting == "UNCERTAIN_SEND") is held
    assert (ending is None) is not held

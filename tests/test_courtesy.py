"""When a worker stays silent."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from config.settings import HouseSettings, RelaySettings
from handlers.courtesy import Manners, why_held, why_silent
from handlers.fuses import FuseLimits
from handlers.letter import Ending, Exchange, Outgoing, Past, State
from smtpd.headers import scan
from tests.letters import NOW, a_claim, a_letter, a_record, said

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
        FuseLimits(),
    )
    ending = ending_of(outgoing=REPLY, uncertain=uncertain, manners=manners)
    assert (ending is not None and ending.setting == "UNCERTAIN_SEND") is held
    assert (ending is None) is not held


# With the letter: who leads, what repeats, what blew a fuse.

LONG = "Thank you for your message, which we have received and will answer within three days."


def held(
    text: str = "And if he refuses?", *, approved: bool = False, **past: object
) -> Ending | None:
    exchange = Exchange(letter=a_letter(new_text=text), past=Past(**past))  # type: ignore[arg-type]
    return why_held(a_claim(approved=approved), a_record(), exchange, MANNERS)


HOLDING: list[tuple[dict[str, object], str]] = [
    ({"taken_over": True}, "mail hand-back"),
    ({"text": LONG, "said": (said("assistant", LONG.upper(), 1),)}, "mail approve"),
    ({"text": LONG, "said": (said("user", LONG, 1), said("user", LONG, 2))}, "FUSE_SIMILAR"),
    ({"turns": 6, "known_since": NOW - timedelta(days=1)}, "FUSE_PER_THREAD"),
    ({"turns_today": 30}, "FUSE_PER_THREAD_PER_DAY"),
    ({"on_this_subject": 2}, "FUSE_FIRST_CONTACT"),
]


def test_what_says_nothing_at_all_is_held() -> None:
    nothing = Exchange(letter=a_letter(new_text=" \n", subject="", attachments=()), past=Past())
    ending = why_held(a_claim(), a_record(), nothing, MANNERS)
    assert ending is not None
    assert (ending.what, ending.because) == (
        State.HELD,
        "it has no subject, no text and no attachment",
    )
    asked_in_the_subject = replace(
        nothing, letter=a_letter(new_text="", subject="When are you open?")
    )
    assert why_held(a_claim(), a_record(), asked_in_the_subject, MANNERS) is None


def test_a_vip_is_no_newcomer() -> None:
    assert held(on_this_subject=2) is not None
    assert held(on_this_subject=2, vip=True) is None


def test_a_question_is_held_for_nobody() -> None:
    assert held() is None


@pytest.mark.parametrize(("exchange", "setting"), HOLDING)
def test_what_may_be_a_loop_or_is_a_persons_to_answer_is_held(
    exchange: dict[str, object], setting: str
) -> None:
    ending = held(**exchange)  # type: ignore[arg-type]
    assert ending is not None
    assert (ending.what, ending.setting) == (State.HELD, setting)
    assert "@" not in ending.because
    assert bool(ending.fuse) is (setting != "mail hand-back")


@pytest.mark.parametrize(("exchange", "_setting"), HOLDING)
def test_what_a_person_approved_is_held_for_nothing(
    exchange: dict[str, object], _setting: str
) -> None:
    assert held(approved=True, **exchange) is None  # type: ignore[arg-type]


@pytest.mark.parametrize("author", ["ai@us.example", "AI+x@us.example", "person@us.example"])
def test_what_a_person_approved_never_goes_to_ourselves(author: str) -> None:
    ending = why_silent(a_claim(approved=True), a_record(author), MANNERS)
    assert ending is not None
    assert ending.what is State.UNANSWERED


def test_what_a_person_approved_is_answered_though_a_robot_wrote_it() -> None:
    robot = a_record("no-reply@client.example")
    assert why_silent(a_claim(), robot, MANNERS) is not None
    assert why_silent(a_claim(approved=True), robot, MANNERS) is None


def test_what_a_person_put_in_line_again_has_not_waited_since_it_came() -> None:
    late = a_record(fetched_at=NOW + timedelta(days=6))
    assert why_silent(a_claim(), late, MANNERS) is not None
    decided = a_claim(decided_at=NOW + timedelta(days=6))
    assert why_silent(decided, late, MANNERS) is None

"""A mail in its conversation: read together with what waits along with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from handlers.conversation import Conversation, together
from handlers.courtesy import Manners
from handlers.letter import Claim, Letter, Past, Record
from smtpd.headers import scan
from smtpd.mail import Arrival
from tests.letters import NOW, a_claim, a_letter, a_record, an_attachment

MANNERS = Manners(
    domain="us.example",
    own_addresses=frozenset({"ai@us.example"}),
    max_age_to_answer_s=86400,
    uncertain_allowed=1,
)


class Mind:
    """A memory that holds what a test says, and a reader of plain text."""

    def __init__(self, past: Past, *along: Record) -> None:
        self.past = past
        self.along = along

    async def gather(self, claim: Claim, record: Record) -> Sequence[Record]:
        return self.along

    async def remember(self, claim: Claim, record: Record, letter: Letter) -> Past:
        return self.past

    async def read(self, arrival: Arrival) -> Letter:
        text = arrival.raw.partition(b"\r\n\r\n")[2].decode().strip()
        message_id = arrival.facts.message_id
        return a_letter(message_id=message_id, body_text=text, new_text=text)


def record_of(ident: str, text: str, *, minutes: int = 0, head: str = "") -> Record:
    raw = (
        f"From: camille@client.example\r\nMessage-ID: <{ident}@x>\r\n{head}\r\n{text}\r\n".encode()
    )
    record = a_record()
    at = NOW + timedelta(minutes=minutes)
    heard = replace(record.arrival, id=ident, raw=raw, headers=scan(raw), received_at=at)
    return replace(record, arrival=heard)


def conversation(mind: Mind) -> Conversation:
    return Conversation(memory=mind, reader=mind, manners=MANNERS)


async def test_what_waits_along_is_one_letter_in_the_order_it_came() -> None:
    mind = Mind(Past(), record_of("3", "third", minutes=2), record_of("1", "first", minutes=-1))
    exchange = await conversation(mind).read(a_claim(), record_of("2", "second"))
    assert exchange.letter.new_text == "first\n\nsecond\n\nthird"
    assert exchange.letter.message_id == "<3@x>"
    assert set(exchange.letter.references) == {"<1@x>", "<2@x>"}
    assert [ident for ident, _ in exchange.along] == ["1", "3"]


@pytest.mark.parametrize("approved", [False, True])
async def test_a_note_of_absence_between_them_is_not_answered_along(approved: bool) -> None:
    note = record_of("2", "I am away", head="Auto-Submitted: auto-replied\r\n")
    claim = a_claim(approved=approved)
    exchange = await conversation(Mind(Past(), note)).read(claim, record_of("1", "A question"))
    assert exchange.letter.new_text == "A question"
    assert exchange.along == ()
    assert exchange.waited == {"2"}


async def test_the_newest_mail_shows_whether_a_person_wrote() -> None:
    past = Past(joined_by="ours", answered_at=NOW - timedelta(seconds=5))
    first = record_of("1", "Thank you.")
    alone = await conversation(Mind(past)).read(a_claim(), first)
    later = await conversation(Mind(past, record_of("2", "And this?", minutes=2))).read(
        a_claim(), first
    )
    assert (alone.person_seen, later.person_seen) == (False, True)


def test_letters_together_keep_everybodys_text_files_and_references() -> None:
    first = a_letter(message_id="<1@x>", references=("<0@x>",), attachments=(an_attachment(),))
    second = a_letter(message_id="", references=("<0@x>", "<r@us>"), attachments=(an_attachment(),))
    newest = a_letter(message_id="<3@x>", references=("<1@x>", "<3@x>"), subject="Re: Mes droits")
    letter = together([first, second, newest])
    assert letter.message_id == "<3@x>"
    assert letter.subject == "Re: Mes droits"
    assert letter.references == ("<0@x>", "<1@x>", "<r@us>")
    assert len(letter.attachments) == 2
    assert letter.body_text.count(first.body_text) == 3


def test_one_letter_stays_as_it_is() -> None:
    letter = a_letter(references=("<q1@client.example>",))
    assert together([letter]) is letter

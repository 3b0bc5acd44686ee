"""A mail in its conversation: read together with what waits along with it, and what was before.

Who may see what is the store's to know (handlers/store/recalling.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from handlers import fuses
from handlers.courtesy import Manners, why_silent
from handlers.letter import Claim, Exchange, Letter, Past, Record
from handlers.ports import Reader
from handlers.telling import tell_letter


class Memory(Protocol):
    """The part of the store that knows the conversation."""

    async def gather(self, claim: Claim, record: Record) -> Sequence[Record]:
        """The author's other mails of the conversation that wait, oldest first."""
        ...

    async def remember(self, claim: Claim, record: Record, letter: Letter) -> Past:
        """File the letter's fields; give what was before it, as its author may see it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """The journey's Conversation."""

    memory: Memory
    reader: Reader
    manners: Manners

    async def read(self, claim: Claim, record: Record) -> Exchange:
        """The mail and all that can be answered along with it, as one letter; and the past."""
        read = [(record, await self._read(claim, record))]
        past = await self.memory.remember(claim, record, read[0][1])
        others = await self.memory.gather(claim, record)
        for other in others:
            # An out-of-office note between a person's mails is no reason not to answer those.
            # What a person has approved is the claimed mail alone.
            if why_silent(replace(claim, approved=False), other, self.manners) is None:
                read.append((other, await self._read(claim, other)))
        read.sort(key=lambda pair: pair[0].arrival.received_at)
        newest = read[-1][0]
        letter = together([letter for _, letter in read])
        within_s = fuses.answered_within_s(past, newest.arrival.received_at)
        return Exchange(
            letter=letter,
            past=past,
            along=tuple((one.arrival.id, its) for one, its in read if one is not record),
            waited=frozenset(other.arrival.id for other in others),
            answered_within_s=within_s,
            person_seen=fuses.shows_a_person(letter, past, within_s),
        )

    async def _read(self, claim: Claim, record: Record) -> Letter:
        letter = await self.reader.read(record.arrival)
        tell_letter(claim, letter)
        return letter


def together(letters: Sequence[Letter]) -> Letter:
    """Letters of one person, oldest first, as one: the newest's fields and everybody's text.

    The answer is In-Reply-To the newest and names them all in References.
    """
    *earlier, newest = letters
    if not earlier:
        return newest
    named = [
        one
        for letter in letters
        for one in (*letter.references, *((letter.message_id,) if letter is not newest else ()))
        if one and one != newest.message_id
    ]
    return replace(
        newest,
        references=tuple(dict.fromkeys(named)),
        body_text="\n\n".join(letter.body_text for letter in letters),
        new_text="\n\n".join(letter.new_text for letter in letters),
        attachments=tuple(file for letter in letters for file in letter.attachments),
    )

"""What was before a mail: of its conversation, as far as its author may see it, and of them.

Memory is per message. A person sees what they wrote, what we wrote to them, and mail of others
that had them in To or Cc when its author was proven. Nothing else of the conversation, though
they may have been put in Cc of its fifth mail or know its Message-IDs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, exists, or_, select

from handlers.fuses import NEWCOMER
from handlers.letter import Claim, Past, Record, Said, State
from handlers.store import turns
from handlers.store.models import ADDRESSEE, MAIL, TAKEN_OVER, USER
from handlers.store.sealing import Seal
from handlers.store.users import Status

# Newest first until one of them is reached: a model's window is not endless.
_MESSAGES_RECALLED = 20
_TEXT_RECALLED = 64 * 1024

_ADDRESSED = exists().where(
    ADDRESSEE.c.email_id == MAIL.c.id, ADDRESSEE.c.person == bindparam("author")
)
_CONVERSATION = (
    select(
        MAIL.c.id, MAIL.c.person, MAIL.c.received_date, MAIL.c.ended_at, MAIL.c.state,
        MAIL.c.new_text, MAIL.c.ai_response,
    )
    .where(MAIL.c.thread_id == bindparam("thread"))
    .where(or_(MAIL.c.person == bindparam("author"), _ADDRESSED))
    .where(MAIL.c.id != bindparam("mail"), MAIL.c.new_text.is_not(None))
    # Their own mail that still waits is answered along with this one, or after it.
    .where(or_(MAIL.c.person != bindparam("author"), MAIL.c.state != State.WAITING))
    .where(MAIL.c.received_date <= bindparam("until"))
    .order_by(MAIL.c.received_date.desc())
    .limit(_MESSAGES_RECALLED)
)  # fmt: skip
_LED = select(TAKEN_OVER.c.at).where(TAKEN_OVER.c.thread_id == bindparam("thread"))
_KNOWN = select(USER.c.first_seen, USER.c.status).where(USER.c.person == bindparam("author"))


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedPast:
    """What was before, its texts sealed each under its writer's key."""

    author: str  # keyed hash of who may see it
    rows: Sequence[Any]  # newest first
    past: Past

    @property
    def writers(self) -> frozenset[str]:
        """Whose keys open it."""
        return frozenset(row.person for row in self.rows)


def recall(connection: Connection, claim: Claim, record: Record) -> SealedPast:
    """All that was before this mail; its own turn and text do not count."""
    at = record.arrival.received_at
    asked = {"mail": claim.id, "thread": record.thread_id, "author": claim.person, "until": at}
    rows = connection.execute(_CONVERSATION, asked).all()
    taken = turns.of_thread(connection, claim, record.thread_id, record.fetched_at)
    answered = [
        row.ended_at
        for row in rows
        if row.person == claim.person and row.state == State.ANSWERED and row.ai_response
    ]
    led = connection.execute(_LED, {"thread": record.thread_id}).one_or_none()
    known = connection.execute(_KNOWN, {"author": claim.person}).one_or_none()
    past = Past(
        joined_by=record.joined_by,
        answered_at=max(answered, default=None),
        turns=taken.since_a_person,
        turns_today=taken.today,
        on_this_subject=turns.on_subject(connection, claim, record.fetched_at - NEWCOMER),
        known_since=known.first_seen if known else None,
        vip=known is not None and known.status == Status.VIP,
        taken_over=led is not None,
    )
    return SealedPast(author=claim.person, rows=rows, past=past)


def open_said(sealed: SealedPast, seals: Mapping[str, Seal | None]) -> tuple[Said, ...]:
    """What was said, oldest first, as much as fits; without those whose key is erased."""
    said: list[Said] = []
    room = _TEXT_RECALLED
    for row in sealed.rows:  # newest first
        seal = seals.get(row.person)
        if seal is None:
            continue
        for one in _messages(row, seal, sealed.author):
            said.append(one)
            room -= len(one.content)
        if room < 0:
            break
    return tuple(reversed(said))


def _messages(row: Any, seal: Seal, author: str) -> list[Said]:
    """A mail and our answer to it, the answer first; that one is its author's alone."""
    asked = seal.open_text(row.new_text, f"new_text:{row.id}")
    question = Said(role="user", content=asked, date=row.received_date)
    ours = row.person == author and row.state == State.ANSWERED and row.ai_response is not None
    if not ours:
        return [question]
    answer = seal.open_text(row.ai_response, f"ai_response:{row.id}")
    return [Said(role="assistant", content=answer, date=row.ended_at), question]

"""What a person decides about a mail, and what becomes of one that nobody decides about.

Each step is one compare-and-set on the mail's state. A mail in a worker's hands is never
changed. What a decision puts in line again is found by the sweeper.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Connection,
    bindparam,
    case,
    delete,
    func,
    select,
    update,
)

from handlers.letter import UNDECIDED, State
from handlers.store import story
from handlers.store.leading import HAND_BACK, LED, lead
from handlers.store.models import IS_UNDECIDED, MAIL, TAKEN_OVER
from handlers.store.people import stored_seal
from handlers.store.sealing import Seal, unopenable
from smtpd.errors import Permanent

NO_SUCH_MAIL = "there is no such mail in this database"
UNREADABLE = "its author is erased, and nobody can read it"
NOBODY_DECIDED = "nobody decided"

# A mail whose story begins anew: whatever queue or worker knew of it knows it no longer.
AGAIN: dict[str, Any] = {
    "claim": MAIL.c.claim + 1,
    "ended_at": None,
    "attempts": 0,
    "uncertain": 0,
    "not_before": None,
    "epoch": None,
    "processed": False,
    "setting": "",
}
_IN_LINE = {
    **AGAIN,
    # What was written is sent, byte for byte: the relay may have seen it before.
    "state": case(
        (MAIL.c.outgoing.is_(None), State.WAITING.value), else_=State.WRITTEN.value
    ),
}  # fmt: skip
_OVER = {
    "claim": MAIL.c.claim + 1,
    "state": State.UNANSWERED.value,
    "processed": True,
    "setting": "",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Something a person may decide about a mail, and about which."""

    event: str  # in the mail's story; "only held mail can be …"
    because: str
    then: str  # what becomes of the mail, for whoever decided
    of: tuple[State, ...]
    values: Mapping[str, Any]
    ends: bool = False  # nothing is owed afterwards


APPROVE = Decision(
    event="approved",
    because="a person wants it answered, whatever the rules say",
    then="it will be answered, whatever the rules say",
    of=(State.HELD,),
    values={**_IN_LINE, "approved": True},
)
RELEASE = Decision(
    event="released",
    because="a person had the rules judge it again",
    then="the rules judge it again",
    of=(State.HELD,),
    # An earlier approval is over. A person's own answer needs none: its conversation is led.
    values={**_IN_LINE, "approved": MAIL.c.by_person},
)
RETRY = Decision(
    event="retried",
    because="a person had it tried again",
    then="it is tried again",
    of=(State.FAILED,),
    values={**_IN_LINE, "lost": 0},
)
REJECT = Decision(
    event="rejected",
    because="a person decided against an answer",
    then="it will not be answered",
    of=UNDECIDED,
    values=_OVER,
    ends=True,
)

_THIS = MAIL.c.id == bindparam("mail")
_STANDS = select(MAIL.c.person, MAIL.c.thread_id, MAIL.c.state, MAIL.c.worker).where(_THIS)
_UNTOUCHED = update(MAIL).where(_THIS, MAIL.c.worker.is_(None))
_GIVE_BACK = delete(TAKEN_OVER).where(TAKEN_OVER.c.thread_id == bindparam("thread"))
_HELD_IN = (
    select(func.count())
    .select_from(MAIL)
    .where(MAIL.c.thread_id == bindparam("thread"), MAIL.c.state == State.HELD)
)
_HELD_FOR_THAT = (
    select(MAIL.c.id)
    .where(MAIL.c.thread_id == bindparam("thread"), MAIL.c.state == State.HELD)
    .where(MAIL.c.setting == HAND_BACK, MAIL.c.worker.is_(None))
    .order_by(MAIL.c.id)
)
_EXPIRED = (
    select(MAIL.c.id, MAIL.c.person)
    .where(IS_UNDECIDED, MAIL.c.state == State.HELD, MAIL.c.worker.is_(None))
    .where(MAIL.c.ended_at < bindparam("before"))
    .order_by(MAIL.c.ended_at)
    .limit(bindparam("most"))
    # Whoever is deciding about one at this moment is in time.
    .with_for_update(skip_locked=True)
)
_EXPIRE = _UNTOUCHED.where(MAIL.c.state == State.HELD).values(
    **{**_OVER, "setting": "HOLD_DAYS"}, ended_at=bindparam("over"), because=bindparam("why")
)


def decide(
    connection: Connection, email_id: str, decision: Decision, master: Seal, now: datetime
) -> None:
    """Do what a person decided. Raises Permanent, saying why, where it cannot be done."""
    person = stands(connection, email_id).person
    seal = stored_seal(connection, person, master)
    if seal is None and not decision.ends:
        raise Permanent(UNREADABLE)
    seal = seal or unopenable()
    values = {
        **decision.values,
        "decided_at": now,
        "ended_at": now if decision.ends else None,
        "because": seal.close_text(decision.because, f"because:{email_id}"),
    }
    compare_and_set(connection, email_id, decision.of, decision.event, values)
    told = story.line(email_id, decision.event, decision.because, seal, now)
    story.tell(connection, [told])


def stands(connection: Connection, email_id: str) -> Any:
    """Person, thread, state and worker of a mail. Raises Permanent where there is none."""
    row = connection.execute(_STANDS, {"mail": email_id}).one_or_none()
    if row is None:
        raise Permanent(NO_SUCH_MAIL)
    return row


def compare_and_set(
    connection: Connection,
    email_id: str,
    states: Sequence[State],
    event: str,
    values: Mapping[str, Any],
) -> None:
    """Change a mail that stands so and that no worker has. Raises Permanent, saying why not."""
    statement = _UNTOUCHED.where(MAIL.c.state.in_(states)).values(**values)
    if connection.execute(statement, {"mail": email_id}).rowcount == 1:
        return
    found = stands(connection, email_id)
    if found.worker is not None:
        raise Permanent("a worker has it in hand at this moment; see what comes of it")
    raise Permanent(f"it is {found.state}; only {_either(states)} mail can be {event}")


def _either(states: Sequence[State]) -> str:
    *others, last = states
    return f"{', '.join(others)} or {last}" if others else str(last)


@dataclass(frozen=True, slots=True, kw_only=True)
class HandedBack:
    """What became of a conversation that the AI leads again."""

    led: bool  # a person did so until now
    released: tuple[str, ...]  # mail that was held for that alone
    held: int  # mails of it that are held still


def take_over(connection: Connection, email_id: str, master: Seal, now: datetime) -> bool:
    """Have the AI be silent in the mail's conversation; False where it was already.

    Raises Permanent where there is no such mail.
    """
    found = stands(connection, email_id)
    if not lead(connection, found.thread_id, now):
        return False
    seal = stored_seal(connection, found.person, master) or unopenable()
    story.tell(connection, [story.line(email_id, "taken over", LED, seal, now)])
    return True


def hand_back(connection: Connection, email_id: str, master: Seal, now: datetime) -> HandedBack:
    """Give the mail's conversation back to the AI, and to the rules what waited for that.

    Raises Permanent where there is no such mail.
    """
    found = stands(connection, email_id)
    thread = {"thread": found.thread_id}
    led = connection.execute(_GIVE_BACK, thread).rowcount == 1
    if led:
        seal = stored_seal(connection, found.person, master) or unopenable()
        because = "the AI leads this conversation"
        story.tell(connection, [story.line(email_id, "handed back", because, seal, now)])
    released = tuple(connection.execute(_HELD_FOR_THAT, thread).scalars())
    for one in released:
        decide(connection, one, RELEASE, master, now)
    held = connection.execute(_HELD_IN, thread).scalar_one()
    return HandedBack(led=led, released=released, held=held)


def expired(connection: Connection, before: datetime, limit: int) -> Sequence[Any]:
    """Mail held since before then, the longest first: its id and its person."""
    return connection.execute(_EXPIRED, {"before": before, "most": limit}).all()


def end_expired(
    connection: Connection, before: datetime, limit: int, master: Seal, now: datetime
) -> list[str]:
    """End what was held too long without a decision; the ids of these mails."""
    rows = expired(connection, before, limit)
    if not rows:
        return []
    seals = _seals(connection, {row.person for row in rows}, master)
    endings, lines = [], []
    for row in rows:
        seal = seals[row.person]
        because = seal.close_text(NOBODY_DECIDED, f"because:{row.id}")
        endings.append({"mail": row.id, "over": now, "why": because})
        lines.append(story.line(row.id, State.UNANSWERED, NOBODY_DECIDED, seal, now))
    connection.execute(_EXPIRE, endings)
    story.tell(connection, lines)
    return [row.id for row in rows]


def _seals(connection: Connection, persons: Iterable[str], master: Seal) -> dict[str, Seal]:
    return {person: stored_seal(connection, person, master) or unopenable() for person in persons}

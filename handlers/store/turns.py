"""Our turns: what the fuses count, and the place an answer takes in the counts.

Every function is a step inside a transaction of the writer. What is counted stays where the
mails are erased: keyed hashes and moments.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)

from handlers.fuses import Counts, FuseLimits, blown_by_counts
from handlers.letter import Claim, Ending, State
from handlers.store import users
from handlers.store.claiming import HOLDING, advance, held
from handlers.store.leading import HAND_BACK, LED, is_led
from handlers.store.models import MAIL, TURN
from handlers.store.rates import Book
from handlers.store.users import Standing, Status

_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)
_MONTH = timedelta(days=30)
# Enough of a domain's newest turns to see whether many write from there.
_SEEN_OF_A_DOMAIN = 200
# No fuse can be set higher.
_SEEN_OF_A_THREAD = 1000
_SEEN_OF_A_SUBJECT = 1000

_RANKS = (Status.NORMAL, Status.VIP, Status.STOPPED, Status.BLOCKED)  # the last one decides
_REFUSED = {
    Status.STOPPED: "its author gets no more answers",
    Status.BLOCKED: "its author is blocked",
}

# Where a mail stands in the counts.
_PLACE = select(
    MAIL.c.reserved,
    MAIL.c.person,
    MAIL.c.correspondent,
    MAIL.c.domain_hash,
    MAIL.c.thread_id,
    MAIL.c.subject_hash,
    MAIL.c.theme_hash,
    is_led(MAIL.c.thread_id).label("led"),
).where(HOLDING)
_SINCE = TURN.c.at > bindparam("since")
_OTHERS = TURN.c.email_id != bindparam("mail")


def _counted(*kind: ColumnElement[bool]) -> Select[int]:
    """How many turns of a kind there are since then, counted no further than `most`."""
    some = select(TURN.c.email_id).where(*kind, _SINCE, _OTHERS)
    return select(func.count()).select_from(some.limit(bindparam("most")).subquery())


_TO_SENDER = _counted(TURN.c.correspondent == bindparam("which"))
# People who read and write back are no robots.
_NO_PERSON = TURN.c.person_seen.is_(False)
_TO_SENDER_UNSEEN = _counted(TURN.c.correspondent == bindparam("which"), _NO_PERSON)
_TO_DOMAIN = _counted(TURN.c.domain_hash == bindparam("which"), _NO_PERSON)
_OF_DOMAIN = (
    select(TURN.c.at, TURN.c.correspondent, TURN.c.theme_hash)
    .where(TURN.c.domain_hash == bindparam("which"), _SINCE)
    .order_by(TURN.c.at.desc())
    .limit(_SEEN_OF_A_DOMAIN)
)
_OF_THREAD = (
    select(TURN.c.at, TURN.c.person_seen)
    .where(TURN.c.thread_id == bindparam("which"), _SINCE, _OTHERS)
    .order_by(TURN.c.at.desc())
    .limit(_SEEN_OF_A_THREAD)
)
_ON_SUBJECT = select(func.count()).select_from(
    select(TURN.c.email_id)
    .where(TURN.c.correspondent == bindparam("which"))
    .where(TURN.c.subject_hash == bindparam("subject"), _SINCE, _OTHERS)
    .limit(_SEEN_OF_A_SUBJECT)
    .subquery()
)
_BEGIN = insert(TURN)
_SEEN = update(TURN).where(TURN.c.email_id == bindparam("mail")).values(person_seen=True)
_UNDO = delete(TURN).where(TURN.c.email_id == bindparam("mail"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Answers an hour, and the fuses."""

    to_all: int
    to_one: int
    fuses: FuseLimits


def begin(connection: Connection, claim: Claim, pace: Pace, now: datetime) -> Ending | None:
    """Take the answer's place in the counts, once a mail; why it gets none instead.

    Raises Postponed where an hour is full; then nothing is counted.
    """
    place = held(connection, claim, _PLACE)
    standing = together(users.standing(connection, (place.person, place.correspondent)).values())
    # First, and each time: how its author stands may have changed while it waited.
    if ending := None if claim.approved else _decided_otherwise(standing, led=place.led):
        return ending
    if place.reserved:
        return None
    book = Book.opened(connection, place.correspondent, now)
    to_one = standing.answers_per_hour or pace.to_one
    if not claim.approved:
        counts = _counts(connection, claim, place, book, pace.fuses, to_one)
        if blown := blown_by_counts(counts, pace.fuses):
            return blown.ending
    book.check(to_all=pace.to_all, to_one=to_one)
    advance(connection, claim, reserved=True)
    book.count(connection)
    turn = {
        "email_id": claim.id,
        "at": now,
        "correspondent": place.correspondent,
        "domain_hash": place.domain_hash,
        "thread_id": place.thread_id,
        "subject_hash": place.subject_hash,
        "theme_hash": place.theme_hash,
        "person_seen": False,
    }
    connection.execute(_BEGIN, turn)
    return None


def _decided_otherwise(standing: Standing, *, led: bool) -> Ending | None:
    if led:
        return Ending(what=State.HELD, because=LED, setting=HAND_BACK)
    return refused(standing)


def together(found: Iterable[Standing]) -> Standing:
    """How somebody stands whose address is known with its +tag, without it, or both."""
    stand = list(found)
    status = max((one.status for one in stand), key=_RANKS.index, default=Status.NORMAL)
    limits = [one.answers_per_hour for one in stand if one.answers_per_hour is not None]
    return Standing(status=status, answers_per_hour=min(limits, default=None))


def refused(standing: Standing) -> Ending | None:
    """How mail of somebody ends whom nobody answers."""
    if standing.status not in _REFUSED:
        return None
    because = _REFUSED[standing.status]
    return Ending(what=State.UNANSWERED, because=because, setting="user set --status normal")


def _counts(
    connection: Connection,
    claim: Claim,
    place: Any,
    book: Book,
    limits: FuseLimits,
    sender_rate: int,
) -> Counts:
    an_hour_ago = book.now - _HOUR
    sender = {"which": place.correspondent, "since": an_hour_ago, "mail": claim.id}
    sender["most"] = limits.per_sender or 2 * sender_rate
    today = {**sender, "since": book.now - _DAY, "most": limits.per_sender_per_day}
    domain = {**sender, "which": place.domain_hash, "most": limits.per_domain}
    to_domain = connection.execute(_TO_DOMAIN, domain).scalar_one()
    # Who writes from there is worth asking only where that decides.
    found = (
        connection.execute(_OF_DOMAIN, {**domain, "since": book.now - _MONTH}).all()
        if to_domain >= limits.per_domain
        else []
    )
    lately = {row.correspondent for row in found if row.at > an_hour_ago}
    return Counts(
        to_sender=connection.execute(_TO_SENDER, sender).scalar_one(),
        sender_rate=sender_rate,
        to_sender_today=connection.execute(_TO_SENDER_UNSEEN, today).scalar_one(),
        to_all=book.today,
        to_domain=to_domain,
        domain_senders_lately=len(lately | {place.correspondent}),
        domain_senders=len({row.correspondent for row in found}),
        domain_subjects=len({row.theme_hash for row in found}),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class OfThread:
    """Our turns in one conversation."""

    since_a_person: int
    today: int


def of_thread(connection: Connection, claim: Claim, thread_id: str, now: datetime) -> OfThread:
    """Our turns in this conversation before this one."""
    asked = {"which": thread_id, "mail": claim.id, "since": now - _MONTH}
    rows = connection.execute(_OF_THREAD, asked).all()
    unseen = 0
    for row in rows:  # the newest first
        if row.person_seen:
            break
        unseen += 1
    return OfThread(
        since_a_person=unseen,
        today=sum(1 for row in rows if row.at > now - _DAY),
    )


def on_subject(connection: Connection, claim: Claim, since: datetime) -> int:
    """Answers to this claim's author on its subject since then."""
    place = held(connection, claim, _PLACE)
    asked = {
        "which": place.correspondent,
        "subject": place.subject_hash,
        "since": since,
        "mail": claim.id,
    }
    return int(connection.execute(_ON_SUBJECT, asked).scalar_one())


def person_was_seen(connection: Connection, claim: Claim) -> None:
    """The mail that this turn answers shows that somebody read our answers."""
    connection.execute(_SEEN, {"mail": claim.id})


def undo(connection: Connection, email_id: str) -> None:
    """The mail gets no answer now: its turn does not count."""
    connection.execute(_UNDO, {"mail": email_id})


def forget(connection: Connection, now: datetime) -> None:
    """Let go of turns that no fuse looks at any more."""
    connection.execute(delete(TURN).where(TURN.c.at < now - _MONTH))

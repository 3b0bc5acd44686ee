"""The right to work on a mail: claimed, kept and given back by compare-and-set.

Every function here is one step inside a transaction of the writer. The claim
number is the fence: whoever took the mail over has raised it, and a step with an
older number changes no row and raises ClaimLost.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    case,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.orm import aliased

from handlers.letter import OWED, Claim, State
from handlers.store.clock import database_now
from handlers.store.models import EmailMessage, Heartbeat, Story
from handlers.store.opening import insert_into
from smtpd.errors import ClaimLost

# A worker writes a heartbeat every 5 s; three missed ones and its mail is taken over.
HEARTBEAT_S = 5.0
TAKEOVER_S = 15.0
# How long a mail waits for another one of its thread before it asks again.
_BUSY_S = 2.0

# What a claim that ended without a word leaves behind: a send may have happened.
_AFTER_DEATH: dict[str, Any] = {
    "lost": EmailMessage.lost + 1,
    "uncertain": EmailMessage.uncertain + case((EmailMessage.state == State.SENDING, 1), else_=0),
    "state": case((EmailMessage.state == State.SENDING, State.WRITTEN), else_=EmailMessage.state),
}


# One line of a mail's story: its id, when, the event, the sealed reason.
Line = tuple[str, datetime, str, bytes]


@dataclass(frozen=True, slots=True)
class Later:
    """The mail is owed but cannot be worked on before this moment."""

    due: datetime


def _living() -> Any:
    return select(Heartbeat.worker).where(Heartbeat.seen_at > database_now() - TAKEOVER_S)


def _unheld() -> ColumnElement[bool]:
    return or_(EmailMessage.worker.is_(None), EmailMessage.worker.not_in(_living()))


def claim(
    connection: Connection, email_id: str, worker: str, now: datetime
) -> Claim | Later | None:
    """Take the mail for this worker. None: nothing is owed, or somebody living has it."""
    if not _lock_thread(connection, email_id):
        return Later(now + timedelta(seconds=_BUSY_S))
    other = aliased(EmailMessage)
    same_thread_in_work = exists().where(
        other.thread_id == EmailMessage.thread_id,
        other.id != EmailMessage.id,
        other.worker.is_not(None),
    )
    died = EmailMessage.worker.is_not(None)
    statement = (
        update(EmailMessage)
        .where(EmailMessage.id == email_id, EmailMessage.state.in_(OWED), _unheld())
        .where(or_(EmailMessage.not_before.is_(None), EmailMessage.not_before <= now))
        .where(~same_thread_in_work)
        .values(
            claim=EmailMessage.claim + 1,
            worker=worker,
            attempts=EmailMessage.attempts + 1,
            last_attempt=now,
            **{
                name: case((died, value), else_=getattr(EmailMessage, name))
                for name, value in _AFTER_DEATH.items()
            },
        )
        .returning(
            EmailMessage.claim,
            EmailMessage.person,
            EmailMessage.attempts,
            EmailMessage.uncertain,
            EmailMessage.lost,
            EmailMessage.urgent,
            EmailMessage.received_date,
        )
    )
    row = connection.execute(statement).one_or_none()
    if row is None:
        return _why_not(connection, email_id, now)
    return Claim(
        id=email_id,
        number=row.claim,
        person=row.person,
        attempts=row.attempts,
        uncertain=row.uncertain,
        lost=row.lost,
        urgent=row.urgent,
        received_at=row.received_date,
    )


def _lock_thread(connection: Connection, email_id: str) -> bool:
    """Keep two processes from claiming two mails of one thread in the same moment."""
    if connection.dialect.name != "postgresql":
        return True  # SQLite has one writer
    thread = select(EmailMessage.thread_id).where(EmailMessage.id == email_id).scalar_subquery()
    lock = select(func.pg_try_advisory_xact_lock(func.hashtextextended(thread, 0)))
    # NULL, where the mail does not exist, locks nothing and harms nothing.
    return connection.execute(lock).scalar_one() is not False


def _why_not(connection: Connection, email_id: str, now: datetime) -> Later | None:
    query = select(EmailMessage.not_before).where(
        EmailMessage.id == email_id, EmailMessage.state.in_(OWED), _unheld()
    )
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    soon = now + timedelta(seconds=_BUSY_S)
    return Later(max(soon, row.not_before) if row.not_before else soon)


def holding(claimed: Claim) -> ColumnElement[bool]:
    """True for the row of this claim, as long as it is the newest."""
    return and_(EmailMessage.id == claimed.id, EmailMessage.claim == claimed.number)


def advance(
    connection: Connection, claimed: Claim, *where: ColumnElement[bool], **values: Any
) -> None:
    """Change the claimed row. Raises ClaimLost when it is no longer ours, or not so."""
    statement = update(EmailMessage).where(holding(claimed), *where).values(**values)
    if connection.execute(statement).rowcount != 1:
        raise ClaimLost("another worker took the mail over")


def let_go(connection: Connection, claimed: Claim, **values: Any) -> None:
    """The last step of a claim: change the row and void the claim."""
    advance(connection, claimed, worker=None, claim=EmailMessage.claim + 1, **values)


def begin_sending(connection: Connection, claimed: Claim) -> None:
    """Commit that DATA may begin: the compare-and-set that makes one answer of one mail."""
    advance(connection, claimed, EmailMessage.state == State.WRITTEN, state=State.SENDING.value)


def hand_back(
    connection: Connection,
    claimed: Claim,
    *,
    not_before: datetime,
    counts: bool,
    certain: bool,
) -> None:
    """Give the claim up; the mail stays owed.

    Unless it is `certain` that the relay has not taken the reply, a send that had
    begun counts as one whose outcome nobody knows.
    """
    let_go(
        connection,
        claimed,
        epoch=None,
        not_before=not_before,
        state=_AFTER_DEATH["state"],
        attempts=EmailMessage.attempts - (0 if counts else 1),
        uncertain=EmailMessage.uncertain if certain else _AFTER_DEATH["uncertain"],
    )


def tell(connection: Connection, lines: Sequence[Line]) -> None:
    """Add lines to the stories of mails."""
    connection.execute(
        insert(Story),
        [
            {"email_id": email_id, "at": at, "event": event, "because": because}
            for email_id, at, event, because in lines
        ],
    )


def beat(worker: str) -> Callable[[Connection], None]:
    """The write that says: this process is alive."""

    def write(connection: Connection) -> None:
        statement = insert_into(connection)(Heartbeat).values(worker=worker, seen_at=database_now())
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=[Heartbeat.worker], set_={"seen_at": database_now()}
            )
        )

    return write


def release_installation(installation: str) -> Callable[[Connection], int]:
    """The write that frees what earlier runs of this installation held when they died.

    Only for one who holds the installation's lock: nobody of them can be alive.
    """

    def write(connection: Connection) -> int:
        freed = connection.execute(
            update(EmailMessage)
            .where(EmailMessage.worker.startswith(f"{installation}:"))
            .values(worker=None, epoch=None, claim=EmailMessage.claim + 1, **_AFTER_DEATH)
        )
        connection.execute(delete(Heartbeat).where(Heartbeat.worker.startswith(f"{installation}:")))
        return freed.rowcount

    return write

"""The right to work on a mail: claimed, kept and given back by compare-and-set.

Every function here is one step inside a transaction of the writer. The claim
number is the fence: whoever took the mail over has raised it, and a step with an
older number changes no row and raises ClaimLost.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    Connection,
    Select,
    Update,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.sql.dml import ReturningUpdate

from handlers.letter import Claim, State
from handlers.store.clock import database_now
from handlers.store.models import IS_OWED, MAIL, Heartbeat
from handlers.store.opening import insert_into
from handlers.store.switching import SENDING_IS_STOPPED, STOPPED, stopped_since
from smtpd.errors import AllWait, ClaimLost

# A worker writes a heartbeat every 5 s; three missed ones and its mail is taken over.
HEARTBEAT_S = 5.0
TAKEOVER_S = 15.0
# How long a mail waits for another one of its thread before it asks again.
_BUSY_S = 2.0
_TAKEN_OVER = "another worker took the mail over"

# What a claim that ended without a word leaves behind: a send may have happened.
_AFTER_DEATH: dict[str, Any] = {
    "lost": MAIL.c.lost + 1,
    "uncertain": MAIL.c.uncertain + case((MAIL.c.state == State.SENDING, 1), else_=0),
    "state": case((MAIL.c.state == State.SENDING, State.WRITTEN), else_=MAIL.c.state),
}


@dataclass(frozen=True, slots=True)
class Later:
    """The mail is owed but cannot be worked on before this moment."""

    due: datetime
    urgent: bool = False


LIVING = select(Heartbeat.worker).where(Heartbeat.seen_at > database_now() - TAKEOVER_S)
# A worker that lost sight of the database for a while may still be talking to the relay:
# what it sends is taken over only when the relay's deadline has passed, too.
ABANDONED = and_(
    MAIL.c.worker.not_in(LIVING),
    or_(MAIL.c.state != State.SENDING, MAIL.c.last_attempt <= bindparam("sent_before")),
)
_UNHELD = or_(MAIL.c.worker.is_(None), ABANDONED)
_THIS = MAIL.c.id == bindparam("mail")


def _claim_statement() -> ReturningUpdate[Any]:
    other = MAIL.alias()
    same_thread_in_work = exists().where(
        other.c.thread_id == MAIL.c.thread_id,
        other.c.id != MAIL.c.id,
        other.c.worker.is_not(None),
    )
    died = MAIL.c.worker.is_not(None)
    return (
        update(MAIL)
        .where(_THIS, IS_OWED, _UNHELD, ~same_thread_in_work)
        .where(or_(MAIL.c.not_before.is_(None), MAIL.c.not_before <= bindparam("now")))
        .values(
            claim=MAIL.c.claim + 1,
            worker=bindparam("taker"),
            attempts=MAIL.c.attempts + 1,
            last_attempt=bindparam("now"),
            **{
                name: case((died, value), else_=MAIL.c[name])
                for name, value in _AFTER_DEATH.items()
            },
        )
        .returning(
            MAIL.c.claim,
            MAIL.c.person,
            MAIL.c.attempts,
            MAIL.c.uncertain,
            MAIL.c.lost,
            MAIL.c.urgent,
            MAIL.c.approved,
            MAIL.c.received_date,
            MAIL.c.decided_at,
        )
    )


_CLAIM = _claim_statement()
_THREAD = select(MAIL.c.thread_id).where(_THIS).scalar_subquery()
_LOCK_THREAD = select(func.pg_try_advisory_xact_lock(func.hashtextextended(_THREAD, 0)))
_WHY_NOT = select(MAIL.c.not_before, MAIL.c.urgent).where(_THIS, IS_OWED, _UNHELD)


def claim(
    connection: Connection, email_id: str, worker: str, now: datetime, sent_before: datetime
) -> Claim | Later | None:
    """Take the mail for this worker. None: nothing is owed, or somebody living has it.

    A dead worker's mail is taken over; one it was sending, only if that began at
    `sent_before` or earlier.
    """
    row = None
    if _lock_thread(connection, email_id):
        named = {"mail": email_id, "taker": worker, "now": now, "sent_before": sent_before}
        row = connection.execute(_CLAIM, named).one_or_none()
    if row is None:
        return _why_not(connection, email_id, now, sent_before)
    return Claim(
        id=email_id,
        number=row.claim,
        person=row.person,
        attempts=row.attempts,
        uncertain=row.uncertain,
        lost=row.lost,
        urgent=row.urgent,
        approved=row.approved,
        received_at=row.received_date,
        decided_at=row.decided_at,
    )


def _lock_thread(connection: Connection, email_id: str) -> bool:
    """Keep two processes from claiming two mails of one thread in the same moment."""
    if connection.dialect.name != "postgresql":
        return True  # SQLite has one writer
    # NULL, where the mail does not exist, locks nothing and harms nothing.
    return connection.execute(_LOCK_THREAD, {"mail": email_id}).scalar_one() is not False


def _why_not(
    connection: Connection, email_id: str, now: datetime, sent_before: datetime
) -> Later | None:
    named = {"mail": email_id, "sent_before": sent_before}
    row = connection.execute(_WHY_NOT, named).one_or_none()
    if row is None:
        return None
    soon = now + timedelta(seconds=_BUSY_S)
    return Later(max(soon, row.not_before or soon), urgent=row.urgent)


# True for the row of a claim, as long as it is the newest; takes what named() gives.
HOLDING = and_(_THIS, MAIL.c.claim == bindparam("number"))
# What is set comes with the parameters, by the columns' names.
ADVANCE = update(MAIL).where(HOLDING)
_LET_GO = ADVANCE.values(worker=None, claim=MAIL.c.claim + 1)
_SEND = ADVANCE.where(MAIL.c.state == State.WRITTEN, ~SENDING_IS_STOPPED).values(
    state=State.SENDING.value
)


def named(claimed: Claim) -> dict[str, Any]:
    """The parameters of HOLDING for this claim."""
    return {"mail": claimed.id, "number": claimed.number}


def held(connection: Connection, claimed: Claim, query: Select[*tuple[Any, ...]]) -> Any:
    """The row of the claim, by a query with HOLDING. Raises ClaimLost when it is no longer ours."""
    row = connection.execute(query, named(claimed)).one_or_none()
    if row is None:
        raise ClaimLost(_TAKEN_OVER)
    return row


def advance(
    connection: Connection, claimed: Claim, statement: Update = ADVANCE, **values: Any
) -> None:
    """Change the claimed row. Raises ClaimLost when it is no longer ours, or not so."""
    if connection.execute(statement, {**named(claimed), **values}).rowcount != 1:
        raise ClaimLost(_TAKEN_OVER)


def let_go(connection: Connection, claimed: Claim, **values: Any) -> None:
    """The last step of a claim: change the row and void the claim."""
    advance(connection, claimed, _LET_GO, **values)


def begin_sending(connection: Connection, claimed: Claim, now: datetime) -> None:
    """Commit that DATA may begin: the compare-and-set that makes one answer of one mail.

    Raises AllWait while sending is stopped.
    """
    try:
        advance(connection, claimed, _SEND, last_attempt=now)
    except ClaimLost:
        if stopped_since(connection) is None:
            raise
        raise AllWait(STOPPED) from None


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
    statement = _LET_GO.values(
        epoch=None,
        not_before=not_before,
        state=_AFTER_DEATH["state"],
        attempts=MAIL.c.attempts - (0 if counts else 1),
        uncertain=MAIL.c.uncertain if certain else _AFTER_DEATH["uncertain"],
    )
    advance(connection, claimed, statement)


def release(email_id: str, worker: str) -> Callable[[Connection], None]:
    """The write that undoes this worker's claim of a mail, should there be one."""

    def write(connection: Connection) -> None:
        connection.execute(
            update(MAIL)
            .where(MAIL.c.id == email_id, MAIL.c.worker == worker)
            .values(
                worker=None,
                epoch=None,
                claim=MAIL.c.claim + 1,
                attempts=MAIL.c.attempts - 1,
            )
        )

    return write


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
            update(MAIL)
            .where(MAIL.c.worker.startswith(f"{installation}:"))
            .values(worker=None, epoch=None, claim=MAIL.c.claim + 1, **_AFTER_DEATH)
        )
        connection.execute(delete(Heartbeat).where(Heartbeat.worker.startswith(f"{installation}:")))
        return freed.rowcount

    return write

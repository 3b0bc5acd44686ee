"""What the database owes and no queue remembers: found by index, in bounded batches.

A row that waits in the living queue is never looked at here, so a million
waiting cost nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, Select, delete, func, not_, select, update

from handlers.letter import Ticket
from handlers.store.claiming import ABANDONED
from handlers.store.clock import database_now
from handlers.store.models import IS_OWED, EmailMessage, Heartbeat

# A mail younger than this may be on its way into the queue at this moment.
_SETTLING_S = 5
# How long an idempotency hash is kept: longer than a peer goes on trying (RFC 5321
# section 4.5.4.1 asks for 4 to 5 days).
_HASHES_KEPT = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Debt:
    """A mail that has to be put in line (again)."""

    ticket: Ticket
    due: datetime | None


def forgotten(connection: Connection, epoch: str, now: datetime, limit: int) -> list[Debt]:
    """Owed mail in nobody's hands that was put into another queue memory, or into none."""
    line = EmailMessage.epoch
    debts: list[Debt] = []
    # Three ranges of one partial index; "is not this epoch" would read all of it.
    for where in (
        line.is_(None) & (EmailMessage.received_date < now - timedelta(seconds=_SETTLING_S)),
        line < epoch,
        line > epoch,
    ):
        if (room := limit - len(debts)) > 0:
            query = _owed().where(EmailMessage.worker.is_(None), where)
            debts += _debts(connection, query.order_by(line, EmailMessage.id).limit(room))
    return debts


def orphaned(connection: Connection, sent_before: datetime, limit: int) -> list[Debt]:
    """Owed mail that a dead worker left behind, as claim() would take it over."""
    query = _owed().where(EmailMessage.worker.is_not(None), ABANDONED).limit(limit)
    return _debts(connection, query, sent_before=sent_before)


def unclaimed(connection: Connection, ids: Sequence[str]) -> list[Debt]:
    """Those of these mails that are owed and in nobody's hands."""
    query = _owed().where(EmailMessage.worker.is_(None), EmailMessage.id.in_(ids))
    return _debts(connection, query)


def waiting(connection: Connection, now: datetime, limit: int) -> list[str]:
    """Owed mail in nobody's hands whose time has come, the oldest of each queue memory first."""
    mail = EmailMessage
    query = (
        select(mail.id)
        .where(IS_OWED, mail.worker.is_(None))
        .where(mail.not_before.is_(None) | (mail.not_before <= now))
        .order_by(mail.epoch, mail.id)
        .limit(limit)
    )
    return list(connection.execute(query).scalars())


def in_line(connection: Connection, limit: int) -> int:
    """How many owed mails are in nobody's hands, counted no further than `limit`."""
    mail = EmailMessage
    some = select(mail.id).where(IS_OWED, mail.worker.is_(None)).limit(limit).subquery()
    return connection.execute(select(func.count()).select_from(some)).scalar_one()


def settled(connection: Connection, ids: Sequence[str]) -> list[str]:
    """Those of these mails that nothing is owed on."""
    query = select(EmailMessage.id).where(EmailMessage.id.in_(ids))
    return list(connection.execute(query.where(not_(IS_OWED))).scalars())


def _owed() -> Select[str, bool, datetime | None]:
    return select(EmailMessage.id, EmailMessage.urgent, EmailMessage.not_before).where(IS_OWED)


def _debts(
    connection: Connection, query: Select[str, bool, datetime | None], **values: datetime
) -> list[Debt]:
    return [
        Debt(Ticket(id=row.id, owed=True, urgent=row.urgent), row.not_before)
        for row in connection.execute(query, values)
    ]


def mark_queued(ids: Sequence[str], epoch: str) -> Callable[[Connection], None]:
    """The write that remembers which queue memory holds these mails."""

    def write(connection: Connection) -> None:
        connection.execute(
            update(EmailMessage).where(EmailMessage.id.in_(ids), IS_OWED).values(epoch=epoch)
        )

    return write


def tidy(now: datetime) -> Callable[[Connection], None]:
    """The write that lets old idempotency hashes and dead heartbeats go."""

    def write(connection: Connection) -> None:
        connection.execute(
            update(EmailMessage)
            .where(EmailMessage.received_date < now - _HASHES_KEPT)
            .where(EmailMessage.delivery_hash.is_not(None))
            .values(delivery_hash=None, message_hash=None)
        )
        held = select(EmailMessage.worker).where(EmailMessage.worker.is_not(None))
        connection.execute(
            delete(Heartbeat)
            .where(Heartbeat.seen_at < database_now() - 3600)
            .where(Heartbeat.worker.not_in(held))
        )

    return write

"""The operator's way into the database: what is to be told, by whom, and what was told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from typing import TypeVar

from sqlalchemy import Connection, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from handlers.letter import NoticeKind
from handlers.store import notices
from handlers.store.claiming import LIVING
from handlers.store.digest import Digest, digest
from handlers.store.filed import FiledMail, filed_mail
from handlers.store.notices import News
from handlers.store.sealing import Seal
from handlers.store.transacting import DATABASE_ERRORS, in_our_words, reading
from handlers.store.writer import Writer

# What is told at once, in one mail.
URGENT = tuple(set(NoticeKind) - {NoticeKind.FILED, NoticeKind.DIGEST})
# Read at one time; what is beyond it waits for the next mail.
_AT_ONCE = 1000

_LEADER = select(func.min(LIVING.subquery().c.worker))

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Untold:
    """Everything that waits to be told, by the way it is told."""

    urgent: tuple[News, ...] = ()
    filed: tuple[News, ...] = ()
    digests: tuple[News, ...] = ()
    mails: int = 0  # to the operator within the time that was asked for


class NoticeBoard:
    """Reads and writes notices for handlers/operator.py. Every method raises Temporary."""

    def __init__(
        self,
        engine: AsyncEngine,
        writer: Writer,
        master: Seal,
        *,
        worker: str,
        domain: str,
        hold_days: int,
    ) -> None:
        self._engine = engine
        self._writer = writer
        self._master = master
        self._worker = worker
        self._domain = domain
        self._held_for = timedelta(days=hold_days)

    async def untold(self, mails_since: datetime) -> Untold | None:
        """What waits; None where another process of this house tells it."""

        def look(connection: Connection) -> Untold | None:
            if connection.execute(_LEADER).scalar_one() != self._worker:
                return None
            return Untold(
                urgent=notices.untold(connection, URGENT, _AT_ONCE),
                filed=notices.untold(connection, (NoticeKind.FILED,), _AT_ONCE),
                digests=notices.untold(connection, (NoticeKind.DIGEST,), _AT_ONCE),
                mails=notices.mails_since(connection, mails_since),
            )

        return await self._read(look)

    async def told(self, ids: Sequence[int], at: datetime) -> None:
        """Remember that the operator was told these."""
        await self._writer.write(lambda connection: notices.told(connection, ids, at))

    async def forget(self, before: datetime) -> None:
        """Let go of what was told before then."""
        await self._writer.write(lambda connection: notices.forget(connection, before))

    async def open_day(self, day: date, at: datetime) -> None:
        """Note, once a day for all processes, that its digest is due."""
        text = f"the digest of {day}"
        await self._writer.write(
            lambda connection: notices.note(
                connection, NoticeKind.DIGEST, day.isoformat(), text, at
            )
        )

    async def away(self, neighbour: str, since: datetime, because: str, at: datetime) -> None:
        """Note that a neighbour stays away, once an outage."""
        await self._writer.write(
            lambda connection: notices.away(connection, neighbour, since, because, at)
        )

    async def back(self, neighbour: str, at: datetime) -> None:
        """Note that a neighbour is back, where it was noted as away."""
        await self._writer.write(lambda connection: notices.back(connection, neighbour, at))

    async def digest(self, since: datetime, until: datetime) -> Digest:
        """What that time brought, and what waits now."""
        count = partial(
            digest, since=since, until=until, held_for=self._held_for, master=self._master
        )
        return await self._read(count)

    async def filed(self, email_id: str) -> FiledMail | None:
        """The mail to be passed on, None where it is gone or its author was erased."""
        return await self._read(
            lambda connection: filed_mail(connection, email_id, self._master, self._domain)
        )

    async def _read(self, query: Callable[[Connection], Result]) -> Result:
        try:
            return await reading(self._engine, query)
        except DATABASE_ERRORS as error:
            raise in_our_words(error) from error

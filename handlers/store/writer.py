"""One writer a process: what waits is committed together, and only then answered.

A write is a function of a connection and of the items that wait for it. It may
run twice (a failed batch is tried again item by item), so it keeps no state of
its own. An item it refuses gets an exception in its place in the result; what
it raises fails the batch.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from handlers.store.transacting import DATABASE_ERRORS, in_our_words, in_transaction
from smtpd.errors import Temporary, Trouble

# Larger batches gain nothing: at 200 the commit costs a hundredth of the rows.
_BATCH = 200

Item = TypeVar("Item")
Result = TypeVar("Result")
Write = Callable[[Connection, Sequence[Item]], Sequence[Result | Trouble]]


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting(Generic[Item, Result]):
    write: Write[Item, Result]
    item: Item
    alone: bool
    result: asyncio.Future[Result]


def each(
    connection: Connection, items: Sequence[Callable[[Connection], Result]]
) -> Sequence[Result | Trouble]:
    """The write for items that are themselves functions of the connection.

    An item that raises Trouble must not have written anything before.
    """

    def attempt(item: Callable[[Connection], Result]) -> Result | Trouble:
        try:
            return item(connection)
        except Trouble as refusal:
            return refusal

    return [attempt(item) for item in items]


class Writer:
    """Commits in batches. `run` is its one task; when that ends, nothing is written any more."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._waiting: asyncio.Queue[_Waiting[Any, Any] | None] = asyncio.Queue()
        self._stopped = ""

    @property
    def stopped(self) -> bool:
        """Whether nothing will be written any more."""
        return bool(self._stopped)

    async def batched(
        self, write: Write[Item, Result], item: Item, *, alone: bool = False
    ) -> Result:
        """Put the item in the next batch; its result, once that is committed durably.

        Raises Temporary when the database could not, or what the write refused it with.
        `alone` asks for a transaction of its own.
        """
        if self._stopped:
            raise Temporary(self._stopped)
        result: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.put_nowait(_Waiting(write, item, alone, result))
        return await result

    async def write(self, item: Callable[[Connection], Result]) -> Result:
        """Run one function in the next batch."""
        return await self.batched(each, item)

    async def run(self) -> None:
        """Write until stopped. Raises Temporary when the disk can no longer be trusted."""
        try:
            while (batch := await self._gather()) is not None:
                await self._commit(batch)
        except BaseException:
            self._stop("the database writer has stopped")
            raise
        self._stop("the house is closing")

    def finish(self) -> None:
        """Let `run` end once everything that waits now is written."""
        self._waiting.put_nowait(None)

    def _stop(self, because: str) -> None:
        self._stopped = because
        while not self._waiting.empty():
            waiting = self._waiting.get_nowait()
            if waiting is not None:
                _settle(waiting, Temporary(because))

    async def _gather(self) -> list[_Waiting[Any, Any]] | None:
        """Wait for one, take what else is there."""
        first = await self._waiting.get()
        if first is None:
            return None
        batch = [first]
        while not first.alone and len(batch) < _BATCH and not self._waiting.empty():
            following = self._waiting.get_nowait()
            if following is None or following.alone:
                # Its place is behind those that came in the meantime: order does not matter.
                self._waiting.put_nowait(following)
                break
            batch.append(following)
        return batch

    async def _commit(self, batch: list[_Waiting[Any, Any]]) -> None:
        # Whatever goes wrong belongs to those who wait for the batch, not to the writer.
        [error] = await asyncio.gather(self._transaction(batch), return_exceptions=True)
        if error is None:
            return
        if len(batch) == 1 or _disk_failed(error) or _connection_lost(error):
            for waiting in batch:
                _settle(waiting, _translated(error))
        else:
            # One bad row must not hurt the others.
            for waiting in batch:
                await self._commit([waiting])
        if _disk_failed(error):
            # After a failed fsync the page cache cannot be trusted: a second try may
            # "succeed" without anything having reached the disk.
            raise Temporary("the disk under the database failed") from error

    async def _transaction(self, batch: list[_Waiting[Any, Any]]) -> None:
        ordered = sorted(batch, key=lambda waiting: id(waiting.write))
        groups = [list(group) for _, group in groupby(ordered, key=lambda waiting: waiting.write)]

        def work(connection: Connection) -> list[Sequence[Any]]:
            return [
                group[0].write(connection, [waiting.item for waiting in group]) for group in groups
            ]

        results = await in_transaction(self._engine, work)
        for group, outcome in zip(groups, results, strict=True):
            for waiting, result in zip(group, outcome, strict=True):
                _settle(waiting, result)


def _settle(waiting: _Waiting[Any, Any], result: object) -> None:
    if waiting.result.done():  # its asker was cancelled
        return
    if isinstance(result, BaseException):
        waiting.result.set_exception(result)
    else:
        waiting.result.set_result(result)


def _translated(error: BaseException) -> BaseException:
    return in_our_words(error) if isinstance(error, DATABASE_ERRORS) else error


def _connection_lost(error: BaseException) -> bool:
    return isinstance(error, OSError) or (
        isinstance(error, DBAPIError) and error.connection_invalidated
    )


def _disk_failed(error: BaseException) -> bool:
    original = getattr(error, "orig", None)
    code = getattr(original, "sqlite_errorcode", None)
    # The low byte is the primary code; fsync's own is an extension of it.
    return code is not None and code & 0xFF == sqlite3.SQLITE_IOERR

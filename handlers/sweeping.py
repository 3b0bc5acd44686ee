"""The sweeper: finds what the database owes and no living queue or worker has."""

from __future__ import annotations

import asyncio
from dataclasses import astuple
from typing import Protocol

from handlers.line import Line
from handlers.queue.contract import QueueAway, WorkQueue
from handlers.store.owing import Debt
from smtpd.errors import Temporary
from smtpd.events import Event, log

_EVERY_S = 5.0
_BATCH = 500
_TIDY_EVERY = 120  # rounds: ten minutes
_NO_EPOCH = ""  # of no queue's memory


class Ledger(Protocol):
    """The part of the store that knows what is owed."""

    async def forgotten(self, epoch: str, limit: int) -> list[Debt]: ...

    async def orphaned(self, limit: int) -> list[Debt]: ...

    async def unclaimed(self, ids: tuple[str, ...]) -> list[Debt]: ...

    async def settled(self, ids: tuple[str, ...]) -> list[str]: ...

    async def tidy(self) -> None: ...


class Sweeper:
    """Queues again what a lost queue or a dead worker left behind."""

    def __init__(self, ledger: Ledger, queue: WorkQueue, line: Line) -> None:
        self._ledger = ledger
        self._queue = queue
        self._line = line
        self._suspects: frozenset[str] = frozenset()

    async def run(self) -> None:
        """Sweep every five seconds, for as long as it runs."""
        rounds = 0
        while True:
            try:
                swept = await self.sweep()
                if rounds % _TIDY_EVERY == 0:
                    await self._ledger.tidy()
            except Temporary as error:
                swept = 0
                neighbour = "queue" if isinstance(error, QueueAway) else "database"
                log(Event.AWAY, neighbour=neighbour, because=error.because)
            rounds += 1
            # A full batch means there is more: a restart with a million owed does not wait.
            if swept < _BATCH:
                await asyncio.sleep(_EVERY_S)

    async def sweep(self) -> int:
        """One round; how many mails were put in line."""
        epoch = await self._queue.current_epoch()
        if epoch is None:
            return 0
        await self._line.note()
        if not any(astuple(await self._queue.depth())):
            # Whatever the notes say: a queue that holds nothing has forgotten all that is owed.
            epoch = _NO_EPOCH
        debts = await self._ledger.forgotten(epoch, _BATCH)
        debts += await self._ledger.orphaned(_BATCH)
        debts += await self._stranded()
        # Ids are in order of arrival: the oldest first, wherever it was found.
        debts.sort(key=lambda debt: debt.ticket.id)
        queued = 0
        for debt in debts:
            if not await self._line.put(debt.ticket, due=debt.due):
                break
            queued += 1
        if queued:
            await self._line.note()
            log(Event.SWEPT, mails=queued)
        return queued

    async def _stranded(self) -> list[Debt]:
        """What was taken from the queue but never claimed: seen so in two rounds running."""
        in_work = frozenset(await self._queue.processing())
        suspects = self._suspects & in_work
        self._suspects = in_work
        if not suspects:
            return []
        debts = await self._ledger.unclaimed(tuple(suspects))
        over = await self._ledger.settled(tuple(suspects))
        for email_id in (*over, *(debt.ticket.id for debt in debts)):
            await self._line.done(email_id)
        return debts

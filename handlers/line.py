"""The line of waiting mail: the queue, and the database's note of what the queue holds.

The note lets the sweeper leave alone what waits in line. It is written late and
in bulk: were it lost, a mail would be queued twice, which is harmless.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from handlers.letter import Ticket
from handlers.queue.contract import WorkQueue
from smtpd.errors import Temporary
from smtpd.events import Event, log

# Most mail is claimed within this time, and then needs no note at all.
_NOTE_EVERY_S = 1.0
_NOTED_AT_ONCE = 500


class Notes(Protocol):
    """The part of the store that the line writes to."""

    async def mark_queued(self, ids: Sequence[str], epoch: str) -> None: ...


class Line:
    """The journey's queue port, and the worker's and the sweeper's way to the queue."""

    def __init__(self, queue: WorkQueue, notes: Notes) -> None:
        self._queue = queue
        self._notes = notes
        self._unnoted: dict[str, str] = {}  # mail's id: epoch it was put in

    async def put(self, ticket: Ticket, *, due: datetime | None = None) -> bool:
        """Put the ticket in line; never raises, takes at most 50 ms. False: not queued."""
        queued = await self._queue.put(ticket, due=due)
        if queued:
            self._unnoted[ticket.id] = self._queue.epoch
        return queued

    async def take(self) -> str:
        """Wait for the next mail's id. Raises QueueAway."""
        email_id = await self._queue.take()
        self._unnoted.pop(email_id, None)
        return email_id

    async def give_back(self, ticket: Ticket) -> bool:
        """Put what was taken in front of its line again; never raises. False: it was not."""
        given = await self._queue.give_back(ticket)
        if given:
            self._unnoted[ticket.id] = self._queue.epoch
        return given

    async def done(self, email_id: str, state: str = "") -> None:
        """Take the mail out of what is in work, filing how it ended, if it did."""
        await self._queue.done(email_id, state)

    async def keep_notes(self) -> None:
        """Write down, for as long as it runs, what waits in line."""
        while True:
            await asyncio.sleep(_NOTE_EVERY_S)
            await self.note()

    async def note(self) -> None:
        """Write down what waits in line now."""
        waiting, self._unnoted = self._unnoted, {}
        epochs: dict[str, list[str]] = {}
        for email_id, epoch in waiting.items():
            epochs.setdefault(epoch, []).append(email_id)
        for epoch, ids in epochs.items():
            for start in range(0, len(ids), _NOTED_AT_ONCE):
                try:
                    await self._notes.mark_queued(ids[start : start + _NOTED_AT_ONCE], epoch)
                except Temporary as error:
                    # Without the note the sweeper queues them again: only a hint too many.
                    log(Event.AWAY, neighbour="database", because=error.because)

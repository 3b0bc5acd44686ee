"""The queue inside this process, for an installation without Redis."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import secrets
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

from handlers.letter import State, Ticket
from handlers.queue.contract import COMPLETED, Depth, ordinary_first

# A waiting id takes about 200 bytes; what finds no room here waits in the database.
_MOST_WAITING = 100_000


def _now() -> datetime:
    return datetime.now(UTC)


class MemoryQueue:
    """The contract's queue in plain data structures; gone with the process."""

    def __init__(
        self,
        history: int,
        *,
        most_waiting: int = _MOST_WAITING,
        now: Callable[[], datetime] = _now,
    ) -> None:
        self.epoch = secrets.token_hex(8)
        self.completed: deque[str] = deque(maxlen=history)
        self.failed: deque[str] = deque(maxlen=history)
        self._most_waiting = most_waiting
        self._now = now
        self._ordinary: deque[str] = deque()
        self._urgent: deque[str] = deque()
        self._delayed: list[tuple[datetime, int, Ticket]] = []
        self._order = itertools.count()  # keeps those due at the same time in line
        self._processing: dict[str, None] = {}
        self._taken = 0
        self._wake = asyncio.Event()

    async def current_epoch(self) -> str | None:
        """Always the one it began with."""
        return self.epoch

    async def put(self, ticket: Ticket, *, due: datetime | None = None) -> bool:
        """Put the ticket in line. False when the memory is full."""
        if len(self._ordinary) + len(self._urgent) + len(self._delayed) >= self._most_waiting:
            return False
        if due is not None and due > self._now():
            heapq.heappush(self._delayed, (due, next(self._order), ticket))
        else:
            self._line(ticket.urgent).append(ticket.id)
        self._wake.set()
        return True

    async def take(self) -> str:
        """Wait for a ticket's id and note it as in work."""
        while (email_id := self._next()) is None:
            self._wake.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._until_due()):
                    await self._wake.wait()
        self._taken += 1
        self._processing[email_id] = None
        return email_id

    async def done(self, email_id: str, state: str) -> bool:
        """The id is no longer in work; an ending is filed."""
        self._processing.pop(email_id, None)
        if state in COMPLETED:
            self.completed.appendleft(email_id)
        elif state == State.FAILED:
            self.failed.appendleft(email_id)
        return True

    async def give_back(self, ticket: Ticket) -> bool:
        """What was taken goes back in front of its line. False for what is not in work."""
        if ticket.id not in self._processing:
            return False
        del self._processing[ticket.id]
        self._line(ticket.urgent).appendleft(ticket.id)
        self._wake.set()
        return True

    async def processing(self) -> tuple[str, ...]:
        """The ids in work, longest first."""
        return tuple(self._processing)

    async def depth(self) -> Depth:
        """How long the lines are."""
        return Depth(
            pending=len(self._ordinary),
            urgent=len(self._urgent),
            processing=len(self._processing),
            delayed=len(self._delayed),
        )

    async def close(self) -> None:
        """Nothing to let go of."""

    def _line(self, urgent: bool) -> deque[str]:
        return self._urgent if urgent else self._ordinary

    def _next(self) -> str | None:
        """Take from the line whose turn it is, after moving there what has become due."""
        while self._delayed and self._delayed[0][0] <= self._now():
            ticket = heapq.heappop(self._delayed)[2]
            self._line(ticket.urgent).append(ticket.id)
        urgent = not ordinary_first(self._taken)
        line = self._line(urgent) or self._line(not urgent)
        return line.popleft() if line else None

    def _until_due(self) -> float | None:
        """Seconds until the next delayed ticket is due, None without one."""
        if not self._delayed:
            return None
        return (self._delayed[0][0] - self._now()).total_seconds()

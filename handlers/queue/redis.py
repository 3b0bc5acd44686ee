"""The queue in Redis, shared by all processes of an installation."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from handlers.letter import State, Ticket
from handlers.queue import scripts
from handlers.queue.connection import Connection
from handlers.queue.contract import COMPLETED, Depth, QueueAway, ordinary_first
from handlers.queue.keys import Keys

# The contract says 50 ms; the rest is for our own loop.
_PUT_WITHIN_S = 0.04
# One script call puts so many at most, so that Redis is never busy with one for long.
_PUT_AT_ONCE = 200
# An idle taker looks by itself this often, should a wake-up have died with its process.
_IDLE_MS = 5000
# A mail's status, attempts and last attempt, for whoever looks into Redis.
_TRACKED_S = 7 * 86400


@dataclass(frozen=True, slots=True, eq=False)
class _Put:
    """A ticket on its way to Redis."""

    ticket: Ticket
    delay_ms: int
    queued: asyncio.Future[bool]  # cancelled when its put() no longer waits


class RedisQueue:
    """The contract's queue on a Redis server, or on a cluster under one hash tag.

    Nothing is connected before the first call. The contract's haste is `put_within_s`.
    """

    def __init__(
        self, url: str, history: int, cluster: bool = False, *, put_within_s: float = _PUT_WITHIN_S
    ) -> None:
        self.epoch = ""
        self._put_within_s = put_within_s
        self._history = history
        self._keys = Keys(cluster=cluster)
        self._connection = Connection(url, cluster=cluster)
        self._current_epoch = self._connection.script(scripts.CURRENT_EPOCH)
        self._put = self._connection.script(scripts.PUT)
        self._take = self._connection.script(scripts.TAKE)
        self._done = self._connection.script(scripts.DONE)
        self._give_back = self._connection.script(scripts.GIVE_BACK)
        self._depth = self._connection.script(scripts.DEPTH)
        self._putting: list[_Put] = []
        self._putter: asyncio.Task[None] | None = None
        self._take_turn = asyncio.Lock()  # one taker waits for all of this process
        self._taken = 0

    async def current_epoch(self) -> str | None:
        """The identity of Redis's memory now; None while it is away."""
        try:
            return str(await self._current_epoch([self._keys.epoch], [_fresh()]))
        except QueueAway:
            return None

    async def put(self, ticket: Ticket, *, due: datetime | None = None) -> bool:
        """Put the ticket in line; never raises, takes at most 50 ms. False: not queued.

        Tickets that come while others are on their way go together, in one step.
        """
        if self._connection.lately_away:
            return False
        queued: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._putting.append(_Put(ticket, _milliseconds_until(due), queued))
        if self._putter is None or self._putter.done():
            self._putter = asyncio.create_task(self._put_all(), name="redis put")
        try:
            async with asyncio.timeout(self._put_within_s):
                return await queued
        except TimeoutError:
            # Nobody waits as long for the next ones. The step itself may still end well.
            self._connection.seems_away()
            return False

    async def take(self) -> str:
        """Wait for a ticket's id and note it as in work. Raises QueueAway."""
        async with self._take_turn:
            while True:
                email_id, wait_ms = await self._take_or_give_back()
                if email_id is not None:
                    self._taken += 1
                    return email_id
                await self._connection.wait_for(self._keys.wake, wait_ms / 1000)

    async def done(self, email_id: str, state: str) -> bool:
        """The id is no longer in work; an ending is filed. Never raises; False when away."""
        if self._connection.lately_away:
            return False
        names = self._keys
        keys = [names.processing]
        if state:
            keys += [names.status(email_id), names.attempts(email_id), names.last_attempt(email_id)]
        if state in COMPLETED:
            keys.append(names.completed)
        elif state == State.FAILED:
            keys.append(names.failed)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        try:
            await self._done(keys, [email_id, state, now, _TRACKED_S, self._history])
        except QueueAway:
            return False
        return True

    async def give_back(self, ticket: Ticket) -> bool:
        """What was taken goes back in front of its line. Never raises.

        False when away, and for what is not in work.
        """
        names = self._keys
        line = names.urgent if ticket.urgent else names.pending
        try:
            return bool(await self._give_back([names.wake, names.processing, line], [ticket.id]))
        except QueueAway:
            return False

    async def processing(self) -> tuple[str, ...]:
        """The ids in work, longest first. Raises QueueAway."""
        return tuple(dict.fromkeys(await self._connection.read_list(self._keys.processing)))

    async def depth(self) -> Depth:
        """How long the lines are. Raises QueueAway."""
        names = self._keys
        pending, urgent, processing, delayed = await self._depth(
            [names.pending, names.urgent, names.processing, names.delayed], []
        )
        return Depth(pending=pending, urgent=urgent, processing=processing, delayed=delayed)

    async def close(self) -> None:
        """Close the connections."""
        if self._putter is not None:
            self._putter.cancel()
            await asyncio.wait([self._putter])
        with suppress(QueueAway):
            await self._connection.close()

    async def _put_all(self) -> None:
        """Put what waits, batch by batch, until nothing does."""
        while self._putting:
            batch, self._putting = self._putting[:_PUT_AT_ONCE], self._putting[_PUT_AT_ONCE:]
            # Whoever stopped waiting has cancelled the future, and was told "not queued".
            queued = await self._put_batch([one for one in batch if not one.queued.done()])
            for one in batch:
                if not one.queued.done():
                    one.queued.set_result(queued)

    async def _put_batch(self, batch: Sequence[_Put]) -> bool:
        names = self._keys
        keys = [names.epoch, names.wake, names.pending, names.urgent, names.delayed]
        args: list[str | int] = [_fresh(), _TRACKED_S, State.WAITING]
        for one in batch:
            keys.append(names.status(one.ticket.id))
            args += [one.ticket.id, int(one.ticket.urgent), one.delay_ms]
        try:
            self.epoch = str(await self._put(keys, args))
        except QueueAway:
            return False
        return True

    async def _take_or_give_back(self) -> tuple[str | None, int]:
        """One look at the lines. Cancelled meanwhile, it gives back what it was given."""
        attempt = asyncio.ensure_future(self._look())
        try:
            return await asyncio.shield(attempt)
        except asyncio.CancelledError:
            with suppress(QueueAway):
                email_id, _ = await attempt
                if email_id is not None:
                    await self.give_back(Ticket(id=email_id, owed=True))
            raise

    async def _look(self) -> tuple[str | None, int]:
        names = self._keys
        keys = [names.wake, names.pending, names.urgent, names.delayed, names.processing]
        urgent_first = int(not ordinary_first(self._taken))
        given: list[Any] = await self._take(keys, [urgent_first, _IDLE_MS])
        return given[0], int(given[1])


def _fresh() -> str:
    """The random part of an epoch, should Redis need a new one."""
    return secrets.token_hex(8)


def _milliseconds_until(due: datetime | None) -> int:
    if due is None:
        return 0
    return max(0, round((due - datetime.now(UTC)).total_seconds() * 1000))

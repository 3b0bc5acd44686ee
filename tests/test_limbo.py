"""No mail is left where no queue has it and no worker works on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import make_url

from config.settings import WorkerSettings
from handlers.letter import Claim, Ending, Ticket
from handlers.line import Line
from handlers.queue.contract import QueueAway
from handlers.queue.memory import MemoryQueue
from handlers.store.claiming import Later
from handlers.store.store import SqlStore
from handlers.sweeping import Sweeper
from handlers.worker import Worker
from smtpd.errors import Temporary
from tests.stores import open_gate, opened
from tests.test_worker import ANSWERED, WatchedLine, World

ONE_WORKER = WorkerSettings.model_validate({"worker_concurrency": 1})


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with opened(make_url(f"sqlite+aiosqlite:///{tmp_path}/mail.sqlite3")) as store:
        yield World(store)


class FirstClaim:
    """A store whose first claim goes as a test says."""

    def __init__(self, store: SqlStore, first: Callable[[], Later]) -> None:
        self._store = store
        self._first: Callable[[], Later] | None = first
        self.asked = asyncio.Event()

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    async def claim(self, email_id: str) -> object:
        self.asked.set()
        if (first := self._first) is not None:
            self._first = None
            return first()
        return await self._store.claim(email_id)


class SlowQueue(MemoryQueue):
    """A queue that once does not take a delayed ticket in time."""

    def __init__(self) -> None:
        super().__init__(history=10)
        self.was_slow = asyncio.Event()

    async def put(self, ticket: Ticket, *, due: datetime | None = None) -> bool:
        if due is not None and not self.was_slow.is_set():
            self.was_slow.set()
            return False
        return await super().put(ticket, due=due)


@asynccontextmanager
async def one_worker(world: World, claims: object) -> AsyncIterator[None]:
    gate = await open_gate()

    async def answer(claim: Claim) -> Ending:
        await world.store.close(claim, ANSWERED)
        return ANSWERED

    worker = Worker(answer, claims, world.line, gate, ONE_WORKER)  # type: ignore[arg-type]
    running = asyncio.create_task(worker.run())
    try:
        yield
    finally:
        await worker.stop()
        await running


async def noted_mail(world: World, queue: MemoryQueue) -> str:
    """A mail that has waited for long enough to be noted as in line, and not alone."""
    in_an_hour = datetime.now(UTC) + timedelta(hours=1)
    await MemoryQueue.put(queue, Ticket(id="another", owed=True), due=in_an_hour)
    email_id = await world.mail()
    await world.line.note()
    return email_id


async def swept_until_answered(world: World, queue: MemoryQueue, email_id: str) -> None:
    sweeper = Sweeper(world.store, queue, world.line)
    for _ in range(3):
        await sweeper.sweep()
    await world.until(email_id, "answered")


async def test_a_database_away_at_the_claim_leaves_the_mail_to_the_sweeper(world: World) -> None:
    queue = MemoryQueue(history=10)
    world.line = WatchedLine(queue, world.store)

    def away() -> Later:
        raise Temporary("no database")

    claims = FirstClaim(world.store, away)
    email_id = await noted_mail(world, queue)
    async with one_worker(world, claims):
        await claims.asked.wait()
        await swept_until_answered(world, queue, email_id)


async def test_a_mail_that_finds_no_place_for_later_is_left_to_the_sweeper(world: World) -> None:
    queue = SlowQueue()
    world.line = WatchedLine(queue, world.store)
    claims = FirstClaim(world.store, lambda: Later(datetime.now(UTC) + timedelta(hours=1)))
    email_id = await noted_mail(world, queue)
    async with one_worker(world, claims):
        await queue.was_slow.wait()
        await swept_until_answered(world, queue, email_id)


class HeardQueue(MemoryQueue):
    """A queue that tells what was delayed."""

    def __init__(self) -> None:
        super().__init__(history=10)
        self.delayed: asyncio.Future[Ticket] = asyncio.get_running_loop().create_future()

    async def put(self, ticket: Ticket, *, due: datetime | None = None) -> bool:
        if due is not None:
            self.delayed.set_result(ticket)
        return await super().put(ticket, due=due)


async def test_urgent_mail_that_cannot_be_claimed_yet_stays_urgent(world: World) -> None:
    queue = HeardQueue()
    world.line = WatchedLine(queue, world.store)
    later = Later(datetime.now(UTC) + timedelta(hours=1), urgent=True)
    email_id = await noted_mail(world, queue)
    async with one_worker(world, FirstClaim(world.store, lambda: later)), asyncio.timeout(20):
        assert await queue.delayed == Ticket(id=email_id, owed=True, urgent=True)


async def test_without_a_queue_what_cannot_be_claimed_is_not_asked_for_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("handlers.worker._AWAY_S", 3600)

    class AwayQueue(MemoryQueue):
        async def take(self) -> str:
            raise QueueAway("no Redis")

    class Busy:
        asked = 0

        async def waiting(self, limit: int) -> list[str]:
            return ["a mail"]

        async def claim(self, email_id: str) -> Later:
            self.asked += 1
            await asyncio.sleep(0)
            return Later(datetime.now(UTC) + timedelta(seconds=2))

        async def mark_queued(self, ids: Sequence[str], epoch: str) -> None:
            pass

    async def answer(claim: Claim) -> Ending:
        raise NotImplementedError

    busy = Busy()
    settings = WorkerSettings.model_validate({"worker_concurrency": 1, "drain_timeout": 0})
    line = Line(AwayQueue(history=10), busy)
    worker = Worker(answer, busy, line, await open_gate(), settings)  # type: ignore[arg-type]
    running = asyncio.create_task(worker.run())
    for _ in range(500):
        await asyncio.sleep(0)
    await worker.stop()
    await running
    assert busy.asked == 1

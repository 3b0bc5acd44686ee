"""Workers: one attempt after the other, whatever an attempt does."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import make_url, text
from structlog.testing import capture_logs

from config.settings import WorkerSettings
from handlers.letter import Claim, Ending, State, Ticket
from handlers.line import Line
from handlers.queue.contract import QueueAway
from handlers.queue.memory import MemoryQueue
from handlers.store.store import SqlStore
from handlers.worker import Worker
from smtpd.cell import Cell
from smtpd.errors import Permanent, Postponed, Temporary
from smtpd.evidence import Evidence
from tests.arrivals import ANSWER, arrival
from tests.stores import open_gate, opened

ANSWERED = Ending(what=State.ANSWERED, because="250 2.0.0 Ok")
Answering = Callable[[Claim], Awaitable[Ending]]


class WatchedLine(Line):
    """Tells a test whenever an attempt is over."""

    moved = asyncio.Event()

    async def put(self, ticket: Ticket, *, due: datetime | None = None) -> bool:
        queued = await super().put(ticket, due=due)
        self._tell()
        return queued

    async def give_back(self, ticket: Ticket) -> bool:
        given = await super().give_back(ticket)
        self._tell()
        return given

    async def done(self, email_id: str, state: str = "") -> None:
        await super().done(email_id, state)
        self._tell()

    def _tell(self) -> None:
        self.moved.set()
        self.moved = asyncio.Event()


class World:
    """A store on disk, a queue in memory, and workers that answer as a test says."""

    def __init__(self, store: SqlStore) -> None:
        self.store = store
        self.line = WatchedLine(MemoryQueue(history=10), store)

    async def mail(self) -> str:
        ticket = await self.store.keep(arrival(), Evidence(), ANSWER)
        await self.line.put(ticket)
        return ticket.id

    @asynccontextmanager
    async def working(self, answer: Answering, **changes: float) -> AsyncIterator[Worker]:
        settings = WorkerSettings.model_validate({"drain_timeout": 5, **changes})
        worker = Worker(answer, self.store, self.line, await open_gate(), settings)
        running = asyncio.create_task(worker.run())
        try:
            yield worker
        finally:
            await worker.stop()
            await running

    async def closing(self) -> Answering:
        async def answer(claim: Claim) -> Ending:
            return ANSWERED

        return answer

    async def state(self, email_id: str) -> tuple[str, int, float | None]:
        async with self.store._engine.connect() as connection:
            query = "SELECT state, attempts, not_before FROM email_message WHERE id=:i"
            row = (await connection.execute(text(query), {"i": email_id})).one()
        return tuple(row)

    async def until(self, email_id: str, state: str) -> None:
        """Wait for the mail to come to this state."""
        async with asyncio.timeout(20):
            while True:
                moved = self.line.moved
                if (await self.state(email_id))[0] == state:
                    return
                await moved.wait()

    async def until_handed_back(self, email_id: str) -> None:
        async with asyncio.timeout(20):
            while True:
                moved = self.line.moved
                if (await self.state(email_id))[2] is not None:
                    return
                await moved.wait()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with opened(make_url(f"sqlite+aiosqlite:///{tmp_path}/mail.sqlite3")) as store:
        yield World(store)


async def test_a_queued_mail_is_answered(world: World) -> None:
    async with world.working(await world.closing()):
        await world.until(await world.mail(), "answered")


async def socket_that_drips() -> None:
    """A peer that sends a byte now and then, and never an end."""

    gone = asyncio.Event()

    async def drip(client: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hung_up = asyncio.create_task(client.read())
        while not hung_up.done():
            writer.write(b".")
            await asyncio.wait([hung_up], timeout=0.05)
        writer.close()
        gone.set()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        try:
            await reader.readuntil(b"\n")
        finally:
            writer.close()
            await gone.wait()


async def lock_that_nobody_releases() -> None:
    lock = asyncio.Lock()
    await lock.acquire()
    await lock.acquire()


def c_loop() -> None:
    """One call into C that keeps the interpreter's lock for longer than anybody waits."""
    re.match("(a+)+$", "a" * 60 + "b")


def thread_lock() -> None:
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


async def in_the_cell(job: Callable[[], None]) -> None:
    cell = Cell(1, timeout_s=0.5, memory_bytes=1 << 29)
    await cell.start()
    try:
        await cell.run(job)
    finally:
        await cell.stop()


@pytest.mark.parametrize(
    "stuck",
    [
        socket_that_drips,
        lock_that_nobody_releases,
        lambda: in_the_cell(c_loop),
        lambda: in_the_cell(thread_lock),
    ],
    ids=["socket", "lock", "C loop", "thread lock"],
)
async def test_a_stuck_mail_is_ended_and_the_others_pass_it(
    world: World, stuck: Callable[[], Awaitable[None]]
) -> None:
    first = await world.mail()
    close = await world.closing()

    async def answer(claim: Claim) -> Ending:
        if claim.id == first:
            await stuck()
        return await close(claim)

    async with world.working(answer, processing_timeout=3, worker_concurrency=1):
        second = await world.mail()
        await world.until_handed_back(first)
        await world.until(second, "answered")
    assert (await world.state(first))[:2] == ("waiting", 1)


async def test_a_bug_is_retried_and_then_parked_with_its_traceback(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: list[tuple[str, object]] = []
    monkeypatch.setattr(
        "handlers.worker.log", lambda event, **fields: logged.append((event, fields.get("because")))
    )
    email_id = await world.mail()

    async def answer(claim: Claim) -> Ending:
        raise KeyError("a bug")

    async with world.working(answer):
        for _ in range(4):
            await world.until_handed_back(email_id)
            await ready_again(world, email_id)
        await world.until(email_id, "failed")
    explained = await world.store.explain(email_id)
    assert explained is not None
    assert explained.attempts == 5
    assert "KeyError" in explained.because
    assert "test_worker.py" in explained.because
    # What the exception says may be the mail's own words.
    assert logged[1::2] == [("retry", "unforeseen KeyError")] * 4 + [
        ("given_up", "unforeseen KeyError")
    ]


async def ready_again(world: World, email_id: str) -> None:
    """Let the backoff of a mail pass."""
    async with world.store._engine.begin() as connection:
        statement = "UPDATE email_message SET not_before=NULL WHERE id=:i"
        await connection.execute(text(statement), {"i": email_id})
    await world.line.put(Ticket(id=email_id, owed=True))


async def test_what_is_permanent_is_parked_at_once(world: World) -> None:
    async def answer(claim: Claim) -> Ending:
        raise Permanent("550 5.1.1 no such user")

    email_id = await world.mail()
    async with world.working(answer):
        await world.until(email_id, "failed")


async def test_waiting_for_the_hour_is_no_attempt(world: World) -> None:
    async def answer(claim: Claim) -> Ending:
        raise Postponed("the hour is full", retry_after_s=1200)

    email_id = await world.mail()
    async with world.working(answer):
        await world.until_handed_back(email_id)
    state, attempts, not_before = await world.state(email_id)
    assert (state, attempts) == ("waiting", 0)
    due = datetime.fromtimestamp(not_before or 0, UTC)
    assert abs(due - datetime.now(UTC) - timedelta(seconds=1200)) < timedelta(seconds=60)


async def test_a_mail_that_killed_five_processes_is_parked(world: World) -> None:
    email_id = await world.mail()
    async with world.store._engine.begin() as connection:
        statement = "UPDATE email_message SET lost=5 WHERE id=:i"
        await connection.execute(text(statement), {"i": email_id})
    async with world.working(await world.closing()):
        await world.until(email_id, "failed")


async def test_stopping_lets_running_work_finish(world: World) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()
    close = await world.closing()

    async def answer(claim: Claim) -> Ending:
        begun.set()
        await go_on.wait()
        return await close(claim)

    email_id = await world.mail()
    async with world.working(answer) as worker:
        await begun.wait()
        stopping = asyncio.create_task(worker.stop())
        late = await world.mail()
        go_on.set()
        await stopping
    assert (await world.state(email_id))[0] == "answered"
    assert (await world.state(late))[0] == "waiting"


async def test_what_does_not_finish_in_time_is_handed_back(world: World) -> None:
    begun = asyncio.Event()

    async def answer(claim: Claim) -> Ending:
        begun.set()
        await asyncio.Event().wait()
        return ANSWERED

    email_id = await world.mail()
    async with world.working(answer, drain_timeout=0) as worker:
        await begun.wait()
        await worker.stop()
    state, attempts, not_before = await world.state(email_id)
    assert (state, attempts) == ("waiting", 0)
    assert not_before is not None
    assert isinstance(await world.store.claim(email_id), Claim)


async def test_without_a_queue_the_database_is_worked_off(world: World) -> None:
    class AwayQueue(MemoryQueue):
        async def take(self) -> str:
            raise QueueAway("no Redis")

    world.line = WatchedLine(AwayQueue(history=10), world.store)
    tickets = [await world.mail() for _ in range(5)]
    with capture_logs() as lines:
        async with world.working(await world.closing()):
            for email_id in tickets:
                await world.until(email_id, "answered")
    # Told once, not by each worker each second.
    assert [line["event"] for line in lines].count("away") == 1


async def test_a_database_that_is_away_for_a_moment_costs_no_worker(world: World) -> None:
    close = await world.closing()
    failures = iter([Temporary("no database"), Temporary("no database")])
    claim = world.store.claim

    class Flaky:
        def __getattr__(self, name: str) -> object:
            return getattr(world.store, name)

        async def claim(self, email_id: str) -> object:
            for failure in failures:
                raise failure
            return await claim(email_id)

    settings = WorkerSettings.model_validate({})
    worker = Worker(close, Flaky(), world.line, await open_gate(), settings)  # type: ignore[arg-type]
    running = asyncio.create_task(worker.run())
    lost = [await world.mail() for _ in range(2)]
    kept = await world.mail()
    await world.until(kept, "answered")
    await worker.stop()
    await running
    assert {debt.ticket.id for debt in await world.store.unclaimed(lost)} == set(lost)


async def test_a_claim_whose_commit_got_no_reply_is_undone(world: World) -> None:
    """Otherwise a living worker would hold the mail for ever, and do nothing."""
    lost = await world.mail()
    claim = world.store.claim

    class LosesTheReply:
        def __getattr__(self, name: str) -> object:
            return getattr(world.store, name)

        async def claim(self, email_id: str) -> object:
            claimed = await claim(email_id)
            if email_id == lost and isinstance(claimed, Claim) and claimed.number == 1:
                raise Temporary("the connection broke at COMMIT")
            return claimed

    answer = await world.closing()
    one = WorkerSettings.model_validate({"worker_concurrency": 1})
    worker = Worker(answer, LosesTheReply(), world.line, await open_gate(), one)  # type: ignore[arg-type]
    running = asyncio.create_task(worker.run())
    await world.until(await world.mail(), "answered")
    assert await world.store.unclaimed([lost])
    await world.line.put(Ticket(id=lost, owed=True))
    await world.until(lost, "answered")
    await worker.stop()
    await running
    assert (await world.state(lost))[1] == 1

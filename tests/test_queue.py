"""One contract, held by the queue in memory, the one in Redis and the one in a cluster."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from handlers.letter import Ticket
from handlers.queue.contract import Depth, WorkQueue
from handlers.queue.memory import MemoryQueue
from handlers.queue.redis import RedisQueue
from tests.redis_client import connected, taker_asleep
from tests.servers.redis import RedisServer

HISTORY = 3
# A busy machine answers late; how late is too late, test_queue_redis.py holds.
PATIENCE_S = 10.0
KINDS = ["memory", "redis", "cluster"]


@dataclass(frozen=True, slots=True)
class Bench:
    """A queue, the same queue as another process sees it, and two looks behind it."""

    queue: WorkQueue
    elsewhere: WorkQueue
    filed: Callable[[str], Awaitable[list[str]]]  # the history of that name
    asleep: Callable[[], Awaitable[object]]  # returns once a taker sleeps


@pytest.fixture(params=KINDS)
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    if request.param == "memory":
        memory = MemoryQueue(HISTORY)
        lists = {"completed": memory.completed, "failed": memory.failed}

        async def remembered(name: str) -> list[str]:
            return list(lists[name])

        # A task that was just made runs up to its first wait in one step of the loop.
        yield Bench(memory, memory, remembered, lambda: asyncio.sleep(0))
        return
    cluster = request.param == "cluster"
    server: RedisServer = request.getfixturevalue("redis_cluster" if cluster else "redis_server")
    server.say("FLUSHALL")
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(connected(server.url))
        namespace = "{email}" if cluster else "email"

        async def listed(name: str) -> list[str]:
            return list(await client.lrange(f"{namespace}:queue:{name}", 0, -1))

        queues = [RedisQueue(server.url, HISTORY, cluster, put_within_s=PATIENCE_S) for _ in "ab"]
        for queue in queues:
            stack.push_async_callback(queue.close)
        yield Bench(queues[0], queues[1], listed, lambda: taker_asleep(client))


def ticket(email_id: str, *, urgent: bool = False) -> Ticket:
    return Ticket(id=email_id, owed=True, urgent=urgent)


def soon(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


async def put(queue: WorkQueue, *ids: str, urgent: bool = False) -> None:
    for email_id in ids:
        assert await queue.put(ticket(email_id, urgent=urgent))


async def take(queue: WorkQueue, count: int) -> list[str]:
    async with asyncio.timeout(10):
        return [await queue.take() for _ in range(count)]


async def test_mail_is_taken_in_the_order_it_was_put(bench: Bench) -> None:
    await put(bench.queue, "a", "b", "c")
    assert await take(bench.elsewhere, 3) == ["a", "b", "c"]


@pytest.mark.parametrize("urgent", [False, True])
async def test_what_is_given_back_comes_before_all_that_waits(bench: Bench, urgent: bool) -> None:
    tickets = [Ticket(id=f"t{number}", owed=True, urgent=urgent) for number in range(3)]
    for ticket in tickets:
        await bench.queue.put(ticket)
    assert await bench.queue.take() == "t0"
    assert await bench.queue.give_back(tickets[0])
    assert await bench.queue.processing() == ()
    assert [await bench.queue.take() for _ in tickets] == ["t0", "t1", "t2"]


async def test_what_is_not_in_work_is_not_given_back(bench: Bench) -> None:
    """The sweeper may have put it in line again: a second hint would be one too many."""
    tickets = [Ticket(id=f"t{number}", owed=True) for number in range(2)]
    await put(bench.queue, "t0", "t1")
    await bench.queue.take()
    await bench.queue.done("t0", "")
    assert not await bench.queue.give_back(tickets[0])
    depth = await bench.queue.depth()
    assert (depth.pending, depth.processing) == (1, 0)


async def test_urgent_mail_is_taken_first(bench: Bench) -> None:
    await put(bench.queue, "a")
    await put(bench.queue, "u", "v", urgent=True)
    assert await take(bench.queue, 3) == ["u", "v", "a"]


async def test_urgent_mail_does_not_starve_the_rest(bench: Bench) -> None:
    await put(bench.queue, "a", "b")
    await put(bench.queue, *(f"u{number}" for number in range(10)), urgent=True)
    taken = await take(bench.queue, 12)
    assert (taken[4], taken[9]) == ("a", "b")


async def test_ordinary_mail_has_no_turn_to_wait_for_when_nothing_is_urgent(bench: Bench) -> None:
    await put(bench.queue, *"abcdefg")
    assert await take(bench.queue, 7) == list("abcdefg")


async def test_a_delayed_mail_is_not_taken_before_its_time(bench: Bench) -> None:
    due = soon(0.3)
    assert await bench.queue.put(ticket("later"), due=due)
    await put(bench.queue, "now")
    assert await take(bench.queue, 2) == ["now", "later"]
    # The clock of the due time and the queue's own may round differently.
    assert datetime.now(UTC) >= due - timedelta(milliseconds=2)


async def test_what_is_due_already_is_not_delayed(bench: Bench) -> None:
    assert await bench.queue.put(ticket("a"), due=soon(-60))
    assert (await bench.queue.depth()).pending == 1


async def test_delayed_mail_comes_by_its_due_time_and_keeps_its_urgency(bench: Bench) -> None:
    assert await bench.queue.put(ticket("second"), due=soon(0.2))
    assert await bench.queue.put(ticket("first"), due=soon(0.1))
    assert await take(bench.queue, 2) == ["first", "second"]
    assert await bench.queue.put(ticket("ordinary"), due=soon(0.1))
    assert await bench.queue.put(ticket("urgent", urgent=True), due=soon(0.1))
    await wait_until_due(bench.queue, 0.1)
    assert await take(bench.queue, 2) == ["urgent", "ordinary"]


async def wait_until_due(queue: WorkQueue, seconds: float) -> None:
    """Let the time pass that makes mail due; there is nothing to wait for but the clock."""
    await asyncio.sleep(seconds + 0.02)


async def test_a_sleeping_taker_wakes_for_a_delayed_mail_put_meanwhile(bench: Bench) -> None:
    async with asyncio.timeout(3), asyncio.TaskGroup() as tasks:
        taker = tasks.create_task(bench.queue.take())
        await bench.asleep()
        assert await bench.elsewhere.put(ticket("far"), due=soon(3600))
        assert await bench.elsewhere.put(ticket("near"), due=soon(0.2))
        assert await taker == "near"


async def test_a_put_elsewhere_wakes_a_sleeping_taker(bench: Bench) -> None:
    # Well below the seconds after which an idle taker looks by itself.
    async with asyncio.timeout(2), asyncio.TaskGroup() as tasks:
        takers = [tasks.create_task(bench.queue.take()) for _ in range(3)]
        await bench.asleep()
        await put(bench.elsewhere, "a", "b", "c")
        assert sorted([await taker for taker in takers]) == ["a", "b", "c"]


async def test_two_processes_that_sleep_are_both_woken(bench: Bench) -> None:
    for round_number in range(20):
        async with asyncio.timeout(3), asyncio.TaskGroup() as tasks:
            here = tasks.create_task(bench.queue.take())
            there = tasks.create_task(bench.elsewhere.take())
            ids = [f"a{round_number}", f"b{round_number}"]
            await asyncio.gather(*(bench.queue.put(ticket(email_id)) for email_id in ids))
            assert sorted([await here, await there]) == ids


async def test_a_hundred_takers_take_a_thousand_mails_once_each(bench: Bench) -> None:
    taken: Counter[str] = Counter()

    async def work(queue: WorkQueue) -> None:
        while True:
            email_id = await queue.take()
            taken[email_id] += 1
            assert await queue.done(email_id, "answered")
            if taken.total() == 1000:
                finished.set()

    finished = asyncio.Event()
    ids = [f"t{number}" for number in range(1000)]
    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        queues = [bench.queue, bench.elsewhere]
        workers = [tasks.create_task(work(queues[number % 2])) for number in range(100)]
        for start in range(0, 1000, 100):
            batch = ids[start : start + 100]
            queued = await asyncio.gather(*(bench.queue.put(ticket(one)) for one in batch))
            assert all(queued)
        await finished.wait()
        for worker in workers:
            worker.cancel()
    assert taken == Counter(ids)
    assert await bench.queue.depth() == Depth(pending=0, urgent=0, processing=0, delayed=0)


async def test_what_is_taken_is_in_work_until_it_is_done(bench: Bench) -> None:
    await put(bench.queue, "a", "b")
    await take(bench.queue, 2)
    assert await bench.elsewhere.processing() == ("a", "b")
    assert await bench.queue.done("a", "answered")
    assert await bench.elsewhere.processing() == ("b",)


async def test_a_put_of_what_waits_already_is_harmless(bench: Bench) -> None:
    await put(bench.queue, "a", "a", "b")
    assert await take(bench.queue, 3) == ["a", "a", "b"]
    assert await bench.queue.done("a", "answered")
    assert await bench.queue.processing() == ("b",)
    assert await bench.queue.done("a", "")
    assert await bench.filed("completed") == ["a"]


async def test_endings_are_filed_newest_first_and_no_more_than_the_history(bench: Bench) -> None:
    for number, state in enumerate(["answered", "held", "unanswered", "answered"]):
        assert await bench.queue.done(f"good{number}", state)
    for number in range(5):
        assert await bench.queue.done(f"bad{number}", "failed")
    assert await bench.filed("completed") == ["good3", "good2", "good1"]
    assert await bench.filed("failed") == ["bad4", "bad3", "bad2"]


async def test_what_is_not_an_ending_is_not_filed(bench: Bench) -> None:
    await put(bench.queue, "retry", "stranger")
    await take(bench.queue, 2)
    assert await bench.queue.done("retry", "waiting")
    assert await bench.queue.done("stranger", "")
    assert await bench.filed("completed") == await bench.filed("failed") == []
    assert await bench.queue.processing() == ()


async def test_the_depth_counts_every_line(bench: Bench) -> None:
    await put(bench.queue, "a", "b", "c")
    await put(bench.queue, "u", "v", urgent=True)
    assert await bench.queue.put(ticket("later"), due=soon(60))
    await take(bench.queue, 1)
    assert await bench.elsewhere.depth() == Depth(pending=3, urgent=1, processing=1, delayed=1)


async def test_a_cancelled_taker_takes_nothing_with_it(bench: Bench) -> None:
    for _ in range(50):
        taker = asyncio.create_task(bench.queue.take())
        await bench.elsewhere.put(ticket("a"))
        taker.cancel()
        try:
            assert await taker == "a"
        except asyncio.CancelledError:
            assert await take(bench.queue, 1) == ["a"]
        assert await bench.queue.processing() == ("a",)
        assert await bench.queue.done("a", "answered")


async def test_an_epoch_lasts_while_the_memory_does(bench: Bench) -> None:
    await put(bench.queue, "a")
    epoch = await bench.queue.current_epoch()
    assert epoch
    assert bench.queue.epoch == epoch
    assert await bench.elsewhere.current_epoch() == epoch


async def test_a_full_memory_takes_no_more_until_there_is_room() -> None:
    queue = MemoryQueue(HISTORY, most_waiting=3)
    await put(queue, "a")
    await put(queue, "u", urgent=True)
    assert await queue.put(ticket("later"), due=soon(60))
    assert not await queue.put(ticket("too many"))
    await take(queue, 1)
    assert await queue.put(ticket("fits"))


async def test_an_idle_taker_of_the_memory_never_looks() -> None:
    looks = 0

    def now() -> datetime:
        nonlocal looks
        looks += 1
        return datetime.now(UTC)

    queue = MemoryQueue(HISTORY, now=now)
    await queue.put(ticket("later"), due=soon(3600))
    async with asyncio.TaskGroup() as tasks:
        takers = [tasks.create_task(queue.take()) for _ in range(8)]
        await asyncio.sleep(0)
        before = looks
        await asyncio.sleep(0.3)
        assert looks - before <= 2
        for taker in takers:
            taker.cancel()

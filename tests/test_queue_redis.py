"""What the queue in Redis leaves there, and what it does while Redis misbehaves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import String

from handlers.letter import Ticket
from handlers.queue.contract import QueueAway
from handlers.queue.redis import RedisQueue
from handlers.store.models import MAIL
from tests.redis_client import connected, taker_asleep, until
from tests.servers.redis import RedisServer

WEEK_S = 7 * 24 * 3600
HISTORY = 3
# Where haste is not the point, a busy machine may answer late.
PATIENCE_S = 10.0


@pytest.fixture
async def queue(redis_server: RedisServer) -> AsyncIterator[RedisQueue]:
    redis_server.say("FLUSHALL")
    async with opened(redis_server.url, put_within_s=PATIENCE_S) as queue:
        yield queue


@pytest.fixture
async def hasty_queue(redis_server: RedisServer) -> AsyncIterator[RedisQueue]:
    """As in production: a put may take 50 ms."""
    redis_server.say("FLUSHALL")
    async with opened(redis_server.url) as queue:
        await queue.depth()
        yield queue


@asynccontextmanager
async def opened(url: str, *, cluster: bool = False, **options: float) -> AsyncIterator[RedisQueue]:
    queue = RedisQueue(url, HISTORY, cluster, **options)
    try:
        yield queue
    finally:
        await queue.close()


@pytest.fixture
async def client(redis_server: RedisServer) -> AsyncIterator[Any]:
    async with connected(redis_server.url) as client:
        yield client


def ticket(email_id: str, *, urgent: bool = False) -> Ticket:
    return Ticket(id=email_id, owed=True, urgent=urgent)


async def fill(queue: RedisQueue) -> None:
    """Leave something under every name there is."""
    assert await queue.put(ticket("a"))
    assert await queue.put(ticket("b"))
    assert await queue.put(ticket("u", urgent=True))
    assert await queue.put(ticket("v", urgent=True))
    assert await queue.put(ticket("l"), due=datetime.now(UTC) + timedelta(hours=1))
    assert await queue.take() == "u"
    assert await queue.done("good", "answered")
    assert await queue.done("bad", "failed")
    assert await queue.done("not ours", "")  # leaves nothing


NAMES = {
    "queue:pending": ["a", "b"],
    "queue:pending:urgent": ["v"],
    "queue:processing": ["u"],
    "queue:completed": ["good"],
    "queue:failed": ["bad"],
    "queue:wake": ["1"],
}


@pytest.mark.parametrize("cluster", [False, True], ids=["alone", "cluster"])
async def test_redis_holds_the_promised_names_with_ids_states_and_times_alone(
    cluster: bool, request: pytest.FixtureRequest
) -> None:
    server: RedisServer = request.getfixturevalue("redis_cluster" if cluster else "redis_server")
    server.say("FLUSHALL")
    async with (
        opened(server.url, cluster=cluster, put_within_s=PATIENCE_S) as queue,
        connected(server.url) as client,
    ):
        await fill(queue)
        email = "{email}" if cluster else "email"
        for name, content in NAMES.items():
            assert await client.lrange(f"{email}:{name}", 0, -1) == content
        [(marked, due_ms)] = await client.zrange(f"{email}:queue:delayed", 0, -1, withscores=True)
        assert marked == "0l"
        assert 3590 < due_ms / 1000 - time.time() <= 3600
        assert await client.get(f"{email}:queue:epoch") == queue.epoch
        for email_id in ("a", "b", "u", "v", "l"):
            assert await client.get(f"{email}:{email_id}:status") == "waiting"
        assert await client.get(f"{email}:good:status") == "answered"
        assert await client.get(f"{email}:bad:attempts") == "1"
        assert datetime.fromisoformat(await client.get(f"{email}:bad:last_attempt")).tzinfo
        queue_names = {f"{email}:{name}" for name in NAMES}
        queue_names |= {f"{email}:queue:delayed", f"{email}:queue:epoch"}
        tracking = {f"{email}:{one}:status" for one in ("a", "b", "u", "v", "l", "good", "bad")}
        tracking |= {
            f"{email}:{one}:{what}"
            for one in ("good", "bad")
            for what in ("attempts", "last_attempt")
        }
        assert set(await client.keys("*")) == queue_names | tracking
        for name in tracking:
            assert WEEK_S - 60 < await client.ttl(name) <= WEEK_S


async def test_an_idle_taker_asks_redis_next_to_nothing(queue: RedisQueue, client: Any) -> None:
    assert await queue.put(ticket("later"), due=datetime.now(UTC) + timedelta(hours=1))
    async with asyncio.TaskGroup() as tasks:
        takers = [tasks.create_task(queue.take()) for _ in range(8)]
        await taker_asleep(client)
        before = (await client.info("stats"))["total_commands_processed"]
        await asyncio.sleep(1)
        after = (await client.info("stats"))["total_commands_processed"]
        # One is the question itself.
        assert after - before <= 2
        for taker in takers:
            taker.cancel()


async def test_all_redis_work_of_one_mail_is_three_calls(queue: RedisQueue, client: Any) -> None:
    await queue.put(ticket("first"))
    await queue.done(await queue.take(), "answered")
    before = (await client.info("commandstats"))["cmdstat_evalsha"]["calls"]
    await queue.put(ticket("a"))
    await queue.take()
    await queue.done("a", "answered")
    stats = await client.info("commandstats")
    assert stats["cmdstat_evalsha"]["calls"] - before == 3


async def test_what_comes_together_goes_to_redis_together(queue: RedisQueue, client: Any) -> None:
    await queue.depth()
    before = (await client.info("commandstats"))["cmdstat_evalsha"]["calls"]
    queued = await asyncio.gather(*(queue.put(ticket(f"t{number}")) for number in range(400)))
    assert all(queued)
    stats = await client.info("commandstats")
    assert stats["cmdstat_evalsha"]["calls"] - before <= 4
    assert (await queue.depth()).pending == 400


async def test_a_taker_cancelled_while_redis_is_slow_gives_the_mail_back(
    queue: RedisQueue, client: Any
) -> None:
    assert await queue.put(ticket("a"))
    await client.client_pause(60000, all=False)
    taker = asyncio.create_task(queue.take())
    await taker_asleep(client)
    taker.cancel()
    await client.client_unpause()
    with pytest.raises(asyncio.CancelledError):
        await taker
    depth = await queue.depth()
    assert (depth.pending, depth.processing) == (1, 0)


async def test_an_epoch_fits_where_the_database_notes_it(queue: RedisQueue) -> None:
    column = MAIL.c.epoch.type
    assert isinstance(column, String)
    epoch = await queue.current_epoch()
    assert epoch is not None
    assert len(epoch) <= (column.length or 0)


async def test_an_emptied_redis_has_another_epoch_and_goes_on(
    queue: RedisQueue, client: Any
) -> None:
    assert await queue.put(ticket("lost"), due=datetime.now(UTC) + timedelta(hours=1))
    before = queue.epoch
    async with asyncio.timeout(3), asyncio.TaskGroup() as tasks:
        taker = tasks.create_task(queue.take())
        await taker_asleep(client)
        await client.flushall()
        assert await queue.put(ticket("a"))
        assert await taker == "a"
    assert queue.epoch != before
    assert await queue.current_epoch() == queue.epoch


async def test_the_epoch_is_that_of_the_last_put_until_the_next(
    queue: RedisQueue, client: Any
) -> None:
    assert await queue.put(ticket("a"))
    before = queue.epoch
    await client.flushall()
    assert await queue.current_epoch() != before
    assert queue.epoch == before


async def test_a_frozen_redis_holds_nobody_up_and_is_used_again(
    hasty_queue: RedisQueue, redis_server: RedisServer
) -> None:
    redis_server.pause()
    try:
        # Fifty deadlines in a row would be over two seconds: only the first pays one.
        async with asyncio.timeout(1):
            assert not any([await hasty_queue.put(ticket(f"t{number}")) for number in range(50)])
            assert not await hasty_queue.done("t", "answered")
    finally:
        redis_server.resume()
    await until(lambda: hasty_queue.put(ticket("back")))
    async with asyncio.timeout(5):
        while await hasty_queue.take() != "back":
            pass


async def test_a_redis_that_was_only_slow_is_used_as_soon_as_it_answers(
    hasty_queue: RedisQueue, redis_server: RedisServer
) -> None:
    redis_server.pause()
    try:
        assert not await hasty_queue.put(ticket("slow"))
    finally:
        redis_server.resume()
    # Sooner than a Redis that failed would be asked again.
    await until(lambda: hasty_queue.put(ticket("next")), timeout_s=0.7)


async def test_a_taker_notices_a_frozen_redis(redis_server: RedisServer) -> None:
    async with opened(redis_server.url) as queue:
        await queue.depth()
        redis_server.pause()
        try:
            assert await queue.current_epoch() is None
            with pytest.raises(QueueAway):
                await queue.take()
            with pytest.raises(QueueAway):
                await queue.depth()
        finally:
            redis_server.resume()


async def test_a_redis_that_was_never_there_is_away() -> None:
    async with opened("redis://127.0.0.1:1") as queue:
        async with asyncio.timeout(1):
            assert not await queue.put(ticket("a"))
            assert not await queue.done("a", "answered")
            assert await queue.current_epoch() is None
        for call in (queue.take(), queue.processing(), queue.depth()):
            with pytest.raises(QueueAway):
                await call


async def test_the_secret_of_the_address_is_in_no_error() -> None:
    async with opened("redis://:hunter2@127.0.0.1:1") as queue:
        with pytest.raises(QueueAway) as trouble:
            await queue.depth()
    assert "hunter2" not in trouble.value.because


async def test_a_killed_redis_wakes_the_taker_with_an_error_and_comes_back_empty() -> None:
    with RedisServer() as server:
        async with opened(server.url) as queue, connected(server.url) as client:
            await queue.depth()
            assert await queue.put(ticket("lost"), due=datetime.now(UTC) + timedelta(hours=1))
            before = await queue.current_epoch()
            taker = asyncio.create_task(queue.take())
            await taker_asleep(client)
            server.kill()
            async with asyncio.timeout(3):
                with pytest.raises(QueueAway):
                    await taker
            assert not await queue.put(ticket("nowhere"))
            assert await queue.current_epoch() is None
            server.start()
            await until(lambda: queue.put(ticket("a")))
            assert await queue.take() == "a"
            assert await queue.current_epoch() not in (None, before)


async def test_a_restart_over_an_idle_connection_loses_no_put() -> None:
    with RedisServer() as server:
        async with opened(server.url, put_within_s=PATIENCE_S) as queue:
            assert await queue.put(ticket("a"))
            server.stop()
            server.start()
            assert await queue.put(ticket("b"))
            assert await queue.take() == "b"


async def test_a_redis_that_remembers_may_lack_the_last_puts_and_has_another_epoch() -> None:
    with RedisServer(append_only=True) as server:
        async with opened(server.url, put_within_s=PATIENCE_S) as queue:
            assert await queue.put(ticket("a"))
            before = queue.epoch
            server.stop()
            server.start()
            after = await queue.current_epoch()
            assert after not in (None, before)
            assert await queue.current_epoch() == after
            assert (await queue.depth()).pending == 1

"""The sweeper finds what no queue and no worker has, and leaves the rest alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import make_url, update

from handlers.letter import Claim
from handlers.line import Line
from handlers.queue.memory import MemoryQueue
from handlers.store.models import Heartbeat
from handlers.store.store import SqlStore
from handlers.sweeping import Sweeper
from smtpd.evidence import Evidence
from tests.arrivals import ANSWER, arrival
from tests.stores import opened

A_MINUTE_AGO = timedelta(seconds=60)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqlStore]:
    async with opened(make_url(f"sqlite+aiosqlite:///{tmp_path}/mail.sqlite3")) as store:
        yield store


class House:
    """A queue and its sweeper over a store; a new one is what a restart makes."""

    def __init__(self, store: SqlStore) -> None:
        self.queue = MemoryQueue(history=10)
        self.line = Line(self.queue, store)
        self.sweeper = Sweeper(store, self.queue, self.line)


async def old_mail(store: SqlStore) -> str:
    """A mail that was kept a minute ago and never put in line."""
    received_at = datetime.now(UTC) - A_MINUTE_AGO
    return (await store.keep(arrival(received_at=received_at), Evidence(), ANSWER)).id


async def test_mail_that_never_came_into_the_queue_is_put_there(store: SqlStore) -> None:
    house = House(store)
    email_id = await old_mail(store)
    assert await house.sweeper.sweep() == 1
    assert await house.line.take() == email_id


async def test_mail_that_waits_in_line_is_not_queued_again(store: SqlStore) -> None:
    house = House(store)
    for _ in range(3):
        await old_mail(store)
    assert await house.sweeper.sweep() == 3
    assert await house.sweeper.sweep() == 0
    assert (await house.queue.depth()).pending == 3


async def test_the_oldest_goes_first_whether_a_queue_had_it_or_not(store: SqlStore) -> None:
    oldest = await old_mail(store)
    await House(store).sweeper.sweep()
    younger = await old_mail(store)  # in no queue yet
    after = House(store)
    assert await after.sweeper.sweep() == 2
    assert [await after.line.take(), await after.line.take()] == [oldest, younger]


async def test_a_lost_queue_is_filled_again_in_batches(store: SqlStore) -> None:
    before = House(store)
    for _ in range(700):
        await old_mail(store)
    await before.sweeper.sweep()
    await before.sweeper.sweep()
    after = House(store)
    assert [await after.sweeper.sweep() for _ in range(3)] == [500, 200, 0]


async def test_a_dead_workers_mail_is_put_in_line_and_a_living_ones_is_not(
    store: SqlStore,
) -> None:
    house = House(store)
    email_id = await old_mail(store)
    await house.sweeper.sweep()
    await house.line.take()
    assert isinstance(await store.claim(email_id), Claim)
    assert await house.sweeper.sweep() == 0
    async with store._engine.begin() as connection:
        await connection.execute(update(Heartbeat).values(seen_at=Heartbeat.seen_at - 16))
    assert await house.sweeper.sweep() == 1
    assert isinstance(await store.claim(email_id), Claim)


async def test_a_hint_that_was_taken_and_never_claimed_comes_back(store: SqlStore) -> None:
    house = House(store)
    email_id = await old_mail(store)
    await house.sweeper.sweep()
    assert await house.line.take() == email_id  # by a worker that dies at once
    assert await house.sweeper.sweep() == 0  # it may only be slow
    assert await house.sweeper.sweep() == 1
    assert await house.line.take() == email_id


async def test_what_has_to_wait_is_queued_for_its_time(store: SqlStore) -> None:
    email_id = await old_mail(store)
    claim = await store.claim(email_id)
    assert isinstance(claim, Claim)
    due = datetime.now(UTC) + timedelta(hours=1)
    await store.hand_back(claim, not_before=due, because="busy", counts=True, certain=True)
    house = House(store)
    assert await house.sweeper.sweep() == 1
    depth = await house.queue.depth()
    assert (depth.pending, depth.delayed) == (0, 1)


async def test_a_full_queue_leaves_the_rest_for_later(store: SqlStore) -> None:
    house = House(store)
    house.queue = MemoryQueue(history=10, most_waiting=2)
    house.line = Line(house.queue, store)
    house.sweeper = Sweeper(store, house.queue, house.line)
    for _ in range(5):
        await old_mail(store)
    assert await house.sweeper.sweep() == 2
    await house.line.take()
    assert await house.sweeper.sweep() == 1


async def test_a_queue_that_lost_its_lines_but_not_its_name_is_filled_again(
    store: SqlStore,
) -> None:
    """As where Redis is short of memory and may drop any key."""
    house = House(store)
    email_id = await old_mail(store)
    await house.sweeper.sweep()
    house.queue._ordinary.clear()
    assert await house.sweeper.sweep() == 1
    assert await house.line.take() == email_id

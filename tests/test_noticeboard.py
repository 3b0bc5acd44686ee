"""Notices in the database, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import URL, update

from handlers.letter import NoticeKind
from handlers.store.models import Heartbeat
from handlers.store.store import SqlStore
from tests.operators import NOON, Clock, Postbox, board_on, noted, operator_at
from tests.stores import opened


async def test_mails_are_counted_and_not_the_notices_in_them(store: SqlStore) -> None:
    await noted(store, NoticeKind.FUSE, times=3)
    await noted(store, NoticeKind.FILED, times=2)
    await noted(store, NoticeKind.DIGEST)
    board = board_on(store)
    found = await board.untold(NOON)
    assert found is not None
    assert found.mails == 0
    assert [len(some) for some in (found.urgent, found.filed, found.digests)] == [3, 2, 1]
    await board.told([one.id for one in found.urgent], NOON + timedelta(seconds=1))
    for minutes, one in enumerate((*found.filed, *found.digests), start=2):
        await board.told([one.id], NOON + timedelta(minutes=minutes))
    for since, mails in ((0, 3), (1, 2), (2, 1), (60, 0)):
        after = await board.untold(NOON + timedelta(minutes=since))
        assert after is not None
        assert after.mails == mails
        assert (after.urgent, after.filed, after.digests) == ((), (), ())


async def test_a_day_is_noted_once_for_all_processes(store: SqlStore) -> None:
    for _ in range(3):
        await board_on(store).open_day(NOON.date(), NOON)
    found = await board_on(store).untold(NOON)
    assert found is not None
    assert len(found.digests) == 1


async def test_only_what_was_told_is_forgotten(store: SqlStore) -> None:
    await noted(store, NoticeKind.FUSE, "an untold one")
    await board_on(store).forget(NOON + timedelta(days=99))
    found = await board_on(store).untold(NOON)
    assert found is not None
    assert len(found.urgent) == 1


async def test_only_the_process_with_the_smallest_living_name_tells(url: URL) -> None:
    if url.drivername.startswith("sqlite"):
        pytest.skip("SQLite has one process")
    box, clock = Postbox(), Clock()
    async with opened(url, worker="a:1") as one, opened(url, worker="b:1") as two:
        await noted(one, NoticeKind.FUSE)
        second = operator_at(two, box, clock, worker="b:1")
        await second.look()
        assert box.taken == []
        async with one._engine.begin() as connection:
            dead = update(Heartbeat).where(Heartbeat.worker == "a:1")
            await connection.execute(dead.values(seen_at=Heartbeat.seen_at - 16))
        await second.look()
        assert len(box.taken) == 1


async def test_two_processes_tell_one_outage(store: SqlStore) -> None:
    for minutes in (0, 3):
        since = NOON + timedelta(minutes=minutes)
        await board_on(store).away("the relay", since, "refused", NOON)
        await board_on(store).away("the AI core", since, "refused", NOON)
    for _ in range(2):
        await board_on(store).back("the relay", NOON + timedelta(hours=1))
    found = await board_on(store).untold(NOON)
    assert found is not None
    assert [one.text for one in found.urgent] == [
        "the relay has been away since 2026-11-23 12:00 UTC: refused",
        "the AI core has been away since 2026-11-23 12:00 UTC: refused",
        "the relay is back; it was away from 2026-11-23 12:00 UTC until 2026-11-23 13:00 UTC",
    ]

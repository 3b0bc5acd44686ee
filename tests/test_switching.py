"""The stop switch, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial

from sqlalchemy import select, update

from handlers.store import switching
from handlers.store.models import MAIL, NOTICE
from handlers.store.store import SqlStore
from handlers.store.switching import SENDING_IS_STOPPED, stopped_since, traffic
from tests.arrivals import HOLD
from tests.stores import claimed, keep, put, step, write

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)

STOP, STOP_LATER = (partial(switching.stop, now=now) for now in (NOW, LATER))
RESUME, RESUME_LATER = (partial(switching.resume, now=now) for now in (NOW, LATER))


async def notices(store: SqlStore) -> list[tuple[str, str]]:
    query = select(NOTICE.c.kind, NOTICE.c.text).order_by(NOTICE.c.id)
    return [(row.kind, row.text) for row in await step(store, lambda c: c.execute(query).all())]


async def test_a_second_stop_changes_nothing_and_tells_nobody(store: SqlStore) -> None:
    assert await step(store, stopped_since) is None
    assert await step(store, STOP)
    assert not await step(store, STOP_LATER)
    assert await step(store, stopped_since) == NOW
    assert [kind for kind, _ in await notices(store)] == ["stop"]


async def test_what_was_stopped_is_resumed_once(store: SqlStore) -> None:
    assert not await step(store, RESUME)
    await step(store, STOP)
    assert await step(store, RESUME_LATER)
    assert not await step(store, RESUME_LATER)
    assert await step(store, stopped_since) is None
    assert ["goes on" in text for _, text in await notices(store)] == [False, True]


async def test_each_stop_is_told_anew(store: SqlStore) -> None:
    for work in (STOP, RESUME, STOP_LATER, RESUME_LATER):
        assert await step(store, work)
    assert len(await notices(store)) == 4


async def test_the_switch_stands_in_the_way_of_the_statement_that_looks_at_it(
    store: SqlStore,
) -> None:
    ticket = await keep(store)
    send = update(MAIL).where(MAIL.c.id == ticket.id, ~SENDING_IS_STOPPED).values(urgent=True)

    async def changed() -> int:
        return await step(store, lambda connection: connection.execute(send).rowcount)

    await step(store, STOP)
    assert await changed() == 0
    await step(store, RESUME)
    assert await changed() == 1


async def test_what_waits_and_what_leaves_is_counted(store: SqlStore) -> None:
    await keep(store)
    await put(store, HOLD)
    claim = await claimed(store, await keep(store))
    await write(store, claim)
    assert (await step(store, traffic)).waiting == 2
    await store.sending(claim)
    found = await step(store, traffic)
    assert (found.waiting, found.leaving, found.stopped_since) == (1, 1, None)
    assert (found.held, found.failed) == (1, 0)

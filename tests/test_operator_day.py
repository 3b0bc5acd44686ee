"""When the day is told, and a neighbour that stays away."""

from __future__ import annotations

from datetime import timedelta

from structlog.testing import capture_logs

from handlers.letter import NoticeKind
from handlers.store.models import NOTICE
from handlers.store.store import SqlStore
from handlers.watching import Watch
from smtpd.errors import Temporary
from tests.operators import NOON, Clock, Postbox, events, noted, operator_at, text_of
from tests.watched import answering, failing

# The day


async def test_a_days_digest_comes_once_whatever_restarts(
    store: SqlStore, box: Postbox, clock: Clock
) -> None:
    for _ in range(4):
        operator = operator_at(store, box, clock, operator_digest_hour=12)
        for _ in range(3):
            await operator.look()
            clock.move(minutes=10)
    assert box.subjects == ["[us.example] 23 Nov: 0 received, 0 answered, 0 held, 0 parked"]


async def test_the_digest_waits_for_its_hour(store: SqlStore, box: Postbox) -> None:
    clock = Clock(NOON.replace(hour=6, minute=59, second=50))
    operator = operator_at(store, box, clock, operator_digest_hour=7)
    for _ in range(3):
        await operator.look()
    assert box.taken == []
    clock.move(seconds=10)
    await operator.look()
    await operator.look()
    assert len(box.taken) == 1
    clock.move(days=1)
    await operator.look()
    await operator.look()
    assert len(box.taken) == 2


async def test_days_without_a_relay_are_told_in_one_digest(
    store: SqlStore, box: Postbox, clock: Clock
) -> None:
    box.refuse = lambda _: Temporary("away")
    operator = operator_at(store, box, clock, operator_digest_hour=12)
    for _ in range(6):
        await operator.look()
        clock.move(hours=12)
    box.refuse = lambda _: None
    await operator.look()
    assert len(box.taken) == 1
    assert "2026-11-22 12:00 to 2026-11-25 12:00 UTC" in text_of(box.mails[0])


async def test_without_an_address_the_log_hears_the_digest(store: SqlStore, clock: Clock) -> None:
    operator = operator_at(store, None, clock, operator_digest_hour=12)
    with capture_logs() as logs:
        for _ in range(3):
            await operator.look()
    [digest] = events(logs, "digest")
    assert {digest[name] for name in ("received", "answered", "held", "parked", "waiting")} == {0}


async def test_the_digest_takes_no_place_of_the_hour(
    store: SqlStore, box: Postbox, clock: Clock
) -> None:
    operator = operator_at(store, box, clock, operator_digest_hour=12, operator_mails_per_hour=1)
    await operator.look()
    await operator.look()
    await noted(store, NoticeKind.FUSE)
    await operator.look()
    assert len(box.taken) == 2


async def test_what_was_told_a_month_ago_is_forgotten(
    store: SqlStore, box: Postbox, clock: Clock
) -> None:
    await noted(store, NoticeKind.FUSE)
    operator = operator_at(store, box, clock, operator_digest_hour=12)
    await operator.look()
    await operator.look()
    clock.move(days=31)
    await operator.look()
    async with store._engine.connect() as connection:
        kept = (await connection.execute(NOTICE.select())).all()
    assert [one.key for one in kept] == ["digest:2026-12-24"]


# Neighbours


async def test_an_outage_is_told_once_and_its_end_once(
    store: SqlStore, box: Postbox, clock: Clock
) -> None:
    watch = Watch("the relay", timedelta(minutes=10), clock)
    operator = operator_at(store, box, clock, watches=[watch])
    for _ in range(4):
        await failing(watch, "450 <ada@example.org> later")
        await operator.look()
        clock.move(minutes=5)
    await answering(watch)
    for _ in range(3):
        await operator.look()
    assert box.subjects == [
        "[us.example] The relay has been away since 2026-11-23 12:00 UTC",
        "[us.example] The relay is back; it was away from 2026-11-23 12:00 UTC until 2026-11-23"
        " 12:20 UTC",
    ]
    assert "ada@" not in text_of(box.mails[0])


async def test_an_outage_that_outlives_the_house_ends_with_the_next_answer(
    store: SqlStore, box: Postbox, clock: Clock
) -> None:
    before = Watch("the AI core", timedelta(minutes=10), clock)
    await failing(before)
    clock.move(minutes=10)
    await failing(before)
    await operator_at(store, box, clock, watches=[before]).look()
    after = Watch("the AI core", timedelta(minutes=10), clock)
    operator = operator_at(store, box, clock, watches=[after])
    await failing(after)
    clock.move(minutes=10)
    await failing(after)
    await operator.look()  # the same outage: not told again
    await answering(after)
    await operator.look()
    assert len(box.taken) == 2
    assert "away from 2026-11-23 12:00 UTC until 2026-11-23 12:20 UTC" in " ".join(
        text_of(box.mails[1]).split()
    )


async def test_a_neighbour_that_always_answered_is_no_news(
    store: SqlStore, box: Postbox, clock: Clock
) -> None:
    watch = Watch("the relay", timedelta(minutes=10), clock)
    operator = operator_at(store, box, clock, watches=[watch])
    await answering(watch)
    await operator.look()
    assert box.taken == []

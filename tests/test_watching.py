"""When a neighbour counts as away: by the calls that it fails, not by the clock."""

from __future__ import annotations

from datetime import timedelta

import pytest

from handlers.letter import Outgoing
from handlers.watching import Outage, Watch, WatchedRelay
from smtpd.errors import ClaimLost, Permanent, Postponed, Temporary, Uncertain
from tests.operators import NOON, Clock, Postbox
from tests.scripted_relay import outgoing
from tests.watched import answering, failing

PATIENCE = timedelta(minutes=10)


@pytest.fixture
def watch(clock: Clock) -> Watch:
    return Watch("the relay", PATIENCE, clock)


async def test_nothing_asked_is_nothing_to_tell(watch: Watch, clock: Clock) -> None:
    clock.move(days=1)
    assert watch.outage is None
    assert watch.answered_at is None


async def test_every_call_has_to_fail_for_so_long(watch: Watch, clock: Clock) -> None:
    await failing(watch, "first")
    clock.move(minutes=9, seconds=59)
    await failing(watch, "second")
    assert watch.outage is None
    clock.move(seconds=1)
    await failing(watch, Uncertain("last"))
    outage = watch.outage
    assert outage is not None
    assert outage.because == "last"
    assert outage.since.replace(microsecond=0) == NOON


async def test_time_alone_makes_no_outage(watch: Watch, clock: Clock) -> None:
    await failing(watch)
    clock.move(hours=5)
    assert watch.outage is None


@pytest.mark.parametrize("answer", [None, Permanent("550 no")])
async def test_one_answer_in_between_begins_anew(
    watch: Watch, clock: Clock, answer: Permanent | None
) -> None:
    await failing(watch)
    clock.move(minutes=9)
    await (failing(watch, answer) if answer else answering(watch))
    clock.move(minutes=9)
    await failing(watch)
    clock.move(minutes=9)
    await failing(watch)
    assert watch.outage is None


@pytest.mark.parametrize("neither", [Postponed("not yet"), ClaimLost("taken over")])
async def test_what_says_nothing_of_the_neighbour_changes_nothing(
    watch: Watch, clock: Clock, neither: Temporary
) -> None:
    await failing(watch, neither)
    clock.move(minutes=10)
    await failing(watch)
    assert watch.outage is None
    assert watch.answered_at is None
    clock.move(minutes=5)
    await failing(watch, neither)
    clock.move(minutes=5)
    await failing(watch)
    assert watch.outage is not None


async def test_an_answer_ends_the_outage(watch: Watch, clock: Clock) -> None:
    await failing(watch)
    clock.move(minutes=10)
    await failing(watch)
    assert isinstance(watch.outage, Outage)
    await answering(watch)
    assert watch.outage is None
    assert watch.answered_at is not None


async def test_a_failure_of_last_week_is_not_the_same_outage(watch: Watch, clock: Clock) -> None:
    await failing(watch)
    clock.move(days=7)
    await failing(watch)
    assert watch.outage is None


async def test_the_pauses_between_a_mails_attempts_do_not_end_an_outage(
    watch: Watch, clock: Clock
) -> None:
    for pause_s in (30, 120, 600, 3600, 14400 * 1.2):
        await failing(watch)
        clock.move(seconds=pause_s)
    await failing(watch)
    outage = watch.outage
    assert outage is not None
    assert outage.since.replace(microsecond=0) == NOON


async def test_the_watched_relay_is_the_relay(watch: Watch) -> None:
    box = Postbox()
    relay = WatchedRelay(box, watch)
    assert await relay.send(outgoing()) == "250 2.0.0 Ok"
    assert watch.answered_at is not None

    def refuse(_: Outgoing) -> Temporary:
        return Temporary("away", retry_after_s=7)

    box.refuse = refuse
    with pytest.raises(Temporary) as failure:
        await relay.send(outgoing())
    assert failure.value.retry_after_s == 7

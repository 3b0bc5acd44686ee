"""Workers while sending is stopped, and while the hour is full."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import make_url

from config.settings import WorkerSettings
from handlers.gate import Gate
from handlers.letter import Claim, Ending
from handlers.worker import Worker
from smtpd.errors import AllWait, Postponed
from tests.stores import ANSWERED, open_gate, opened
from tests.test_worker import World


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with opened(make_url(f"sqlite+aiosqlite:///{tmp_path}/mail.sqlite3")) as store:
        yield World(store)


class Stopped:
    """A switch that stops sending until a test lets it go on."""

    stops = True

    async def stopped(self) -> bool:
        return self.stops


async def test_while_sending_is_stopped_nothing_is_worked_on(world: World) -> None:
    """What was taken from the line first goes first when it goes on."""
    switch = Stopped()
    gate = Gate(switch)
    await gate.look()
    answered: list[str] = []

    async def answer(claim: Claim) -> Ending:
        answered.append(claim.id)
        return ANSWERED

    one = WorkerSettings.model_validate({"worker_concurrency": 1})
    worker = Worker(answer, world.store, world.line, gate, one)
    running = asyncio.create_task(worker.run())
    ids = [await world.mail() for _ in range(5)]
    assert {await state_of(world, email_id) for email_id in ids} == {("waiting", 0)}
    switch.stops = False
    await gate.look()
    await world.until(ids[-1], "answered")
    assert answered == ids
    await worker.stop()
    await running


async def state_of(world: World, email_id: str) -> tuple[str, int]:
    return (await world.state(email_id))[:2]


async def test_a_house_that_closes_while_sending_is_stopped_loses_no_mail(world: World) -> None:
    gate = Gate(Stopped())
    await gate.look()
    worker = Worker(
        await world.closing(), world.store, world.line, gate, WorkerSettings.model_validate({})
    )
    running = asyncio.create_task(worker.run())
    ids = [await world.mail() for _ in range(3)]
    await worker.stop()
    async with asyncio.timeout(20):
        await running
    assert {debt.ticket.id for debt in await world.store.unclaimed(ids)} == set(ids)


@pytest.mark.parametrize(
    ("asked_s", "pause_s"),
    # Stopped, no time is named; without a pause the worker would try again at once, and again.
    [(30.0, 30.0), (None, 2.0)],
)
async def test_what_nobody_may_do_now_pauses_all(
    world: World, asked_s: float | None, pause_s: float
) -> None:
    gate = await open_gate()
    paused = asyncio.Event()
    pauses: list[float] = []
    really = gate.pause

    def pause(seconds: float, because: str = "") -> None:
        pauses.append(seconds)
        really(seconds, because)
        paused.set()

    gate.pause = pause  # type: ignore[method-assign]

    async def answer(claim: Claim) -> Ending:
        raise AllWait("the hour is full", retry_after_s=asked_s)

    settings = WorkerSettings.model_validate({"worker_concurrency": 1})
    worker = Worker(answer, world.store, world.line, gate, settings)
    running = asyncio.create_task(worker.run())
    email_id = await world.mail()
    async with asyncio.timeout(20):
        await paused.wait()
    await world.until_handed_back(email_id)
    assert pauses == [pause_s]
    assert await state_of(world, email_id) == ("waiting", 0)
    await worker.stop()
    await running


async def test_one_sender_who_has_to_wait_pauses_nobody(world: World) -> None:
    first = await world.mail()

    async def answer(claim: Claim) -> Ending:
        if claim.id == first:
            raise Postponed("the hour's answers to this sender are used up", retry_after_s=1200)
        return ANSWERED

    async with world.working(answer, worker_concurrency=1):
        await world.until_handed_back(first)
        await world.until(await world.mail(), "answered")

"""The gate before the workers: the stop switch, and the hour's answers to all."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import URL
from structlog.testing import capture_logs

from handlers.gate import Gate
from smtpd.errors import AllWait, ClaimLost, Postponed, Temporary
from tests.stores import WAYS, claimed, keep, open_gate, opened, row, write
from tests.talking import rows

STOP = "INSERT INTO switch VALUES ('sending', 0)"
GO_ON = "DELETE FROM switch"


class Switch:
    """A switch that tests throw; None: nobody can see it."""

    def __init__(self, *, stopped: bool | None) -> None:
        self.is_stopped = stopped

    async def stopped(self) -> bool:
        if self.is_stopped is None:
            raise Temporary("no database")
        return self.is_stopped


async def a_few_rounds() -> None:
    """Let everything happen that can without another event."""
    for _ in range(5):
        await asyncio.sleep(0)


def move_on(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let the loop's clock say that so much time has passed."""
    loop = asyncio.get_running_loop()
    later = loop.time() + seconds
    monkeypatch.setattr(loop, "time", lambda: later)


async def passes(gate: Gate) -> bool:
    """Whether a worker gets through without anything else happening."""
    passage = asyncio.ensure_future(gate.passage())
    await a_few_rounds()
    passed = passage.done()
    passage.cancel()
    await asyncio.gather(passage, return_exceptions=True)
    return passed


async def test_nobody_passes_before_somebody_looked() -> None:
    switch = Switch(stopped=None)
    gate = Gate(switch)
    await gate.look()
    assert not await passes(gate)
    switch.is_stopped = False
    await gate.look()
    assert await passes(gate)


async def test_the_switch_closes_and_opens_it_and_each_is_told_once() -> None:
    switch = Switch(stopped=False)
    gate = Gate(switch)
    with capture_logs() as lines:
        for stopped in (False, True, True, False, False):
            switch.is_stopped = stopped
            await gate.look()
            assert await passes(gate) is not stopped
    assert [line["event"] for line in lines] == ["sending_stopped", "sending_resumed"]


@pytest.mark.parametrize("stopped", [True, False])
async def test_a_switch_that_cannot_be_seen_is_as_it_was(stopped: bool) -> None:
    switch = Switch(stopped=stopped)
    gate = Gate(switch)
    await gate.look()
    switch.is_stopped = None
    await gate.look()
    assert await passes(gate) is not stopped


async def test_who_waits_there_goes_on_when_it_opens() -> None:
    switch = Switch(stopped=True)
    gate = Gate(switch)
    await gate.look()
    waiting = [asyncio.ensure_future(gate.passage()) for _ in range(3)]
    await asyncio.sleep(0)
    switch.is_stopped = False
    await gate.look()
    async with asyncio.timeout(20):
        await asyncio.gather(*waiting)


async def test_it_looks_again_by_itself() -> None:
    switch = Switch(stopped=False)
    gate = Gate(switch)
    running = asyncio.ensure_future(gate.run())
    async with asyncio.timeout(20):
        await gate.passage()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_pause_lets_nobody_pass_and_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = await open_gate()
    with capture_logs() as lines:
        gate.pause(60)
        gate.pause(30)  # the longer one holds, and one line tells of both
        move_on(monkeypatch, 45)
        assert not await passes(gate)
    assert [line["event"] for line in lines] == ["paced"]
    move_on(monkeypatch, 16)
    assert await passes(gate)


async def test_a_pause_is_never_longer_than_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = await open_gate()
    gate.pause(86400)
    move_on(monkeypatch, 3601)
    assert await passes(gate)


async def test_a_switch_thrown_in_a_pause_holds_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    switch = Switch(stopped=False)
    gate = Gate(switch)
    await gate.look()
    gate.pause(60)
    waiting = asyncio.ensure_future(gate.passage())
    await a_few_rounds()
    switch.is_stopped = True
    await gate.look()
    move_on(monkeypatch, 61)
    await a_few_rounds()
    assert not waiting.done()
    switch.is_stopped = False
    await gate.look()
    await a_few_rounds()
    assert waiting.done()


async def test_while_sending_is_stopped_the_relay_gets_nothing_and_nothing_is_lost(
    url: URL,
) -> None:
    async with opened(url) as store:
        ticket = await keep(store)
        claim = await claimed(store, ticket)
        await write(store, claim)
        await rows(store, STOP)
        assert await store.stopped()
        with pytest.raises(Postponed):
            await store.sending(claim)
        assert (await row(store, ticket.id)).state == "written"
        assert (await keep(store)).owed  # receiving goes on
        await rows(store, GO_ON)
        assert not await store.stopped()
        await store.sending(claim)
        assert (await row(store, ticket.id)).state == "sending"


async def test_a_lost_claim_is_lost_even_while_sending_is_not_stopped(url: URL) -> None:
    async with opened(url) as store:
        claim = await claimed(store, await keep(store))
        await write(store, claim)
        with pytest.raises(ClaimLost):
            await store.sending(replace(claim, number=claim.number - 1))


async def test_the_file_stops_sending_without_a_database_client(url: URL, tmp_path: Path) -> None:
    file = tmp_path / "stop-sending"
    async with opened(url, ways=replace(WAYS, stop_file=file)) as store:
        claim = await claimed(store, await keep(store))
        await write(store, claim)
        file.touch()
        assert await store.stopped()
        with pytest.raises(AllWait):
            await store.sending(claim)
        file.unlink()
        assert not await store.stopped()
        await store.sending(claim)

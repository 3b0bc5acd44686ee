"""How work on a mail ends is written down, whatever the database does meanwhile."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, delete, make_url
from sqlalchemy.exc import OperationalError

from handlers.letter import Claim, Ending, State
from handlers.store import people
from handlers.store.models import PersonKey
from handlers.store.store import SqlStore
from handlers.store.transacting import reading
from handlers.store.writer import Result, Writer
from smtpd.errors import Permanent, Temporary
from smtpd.evidence import Evidence
from tests.arrivals import ANSWER, arrival
from tests.stores import ANSWERED, claimed, opened
from tests.test_worker import World

PARKED = Ending(what=State.FAILED, because="it cannot be read")


@pytest.fixture
async def restarted(tmp_path: Path) -> AsyncIterator[tuple[SqlStore, Claim]]:
    """A store that has claimed a mail and never asked for its author's key yet."""
    url = make_url(f"sqlite+aiosqlite:///{tmp_path}/mail.sqlite3")
    async with opened(url) as before:
        ticket = await before.keep(arrival(), Evidence(), ANSWER)
    async with opened(url) as store:
        yield store, await claimed(store, ticket)


async def test_a_database_that_is_away_when_the_key_is_asked_for_is_waited_for(
    restarted: tuple[SqlStore, Claim], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, claim = restarted
    failures = iter([OperationalError("", {}, Exception()), ConnectionRefusedError()])

    async def fails_twice(*asked: Any) -> Any:
        for failure in failures:
            raise failure
        return await reading(*asked)

    monkeypatch.setattr(people, "reading", fails_twice)
    monkeypatch.setattr("handlers.store.store._AGAIN_S", 0.01)
    await store.close(claim, PARKED)
    explained = await store.explain(claim.id)
    assert explained is not None
    assert (explained.state, explained.because) == ("failed", "it cannot be read")


async def test_the_mail_of_an_erased_person_is_parked_and_tells_nothing(
    restarted: tuple[SqlStore, Claim],
) -> None:
    store, claim = restarted
    await store._writer.write(lambda connection: connection.execute(delete(PersonKey)).rowcount)
    with pytest.raises(Permanent):
        await store.fetch(claim)
    await store.close(claim, PARKED)
    explained = await store.explain(claim.id)
    assert explained is not None
    assert (explained.state, explained.because) == ("failed", "(erased)")


class Unwilling(Writer):
    """A database that is away for the next so many writes."""

    away_for = 0

    async def write(self, item: Callable[[Connection], Result]) -> Result:
        if self.away_for > 0:
            self.away_for -= 1
            raise Temporary("no database")
        return await super().write(item)


async def test_a_database_away_while_work_ends_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.stores.Writer", Unwilling)
    monkeypatch.setattr("handlers.store.store._AGAIN_S", 0.01)
    async with opened(make_url(f"sqlite+aiosqlite:///{tmp_path}/mail.sqlite3")) as store:
        world = World(store)
        writer = store._writer
        assert isinstance(writer, Unwilling)
        failed = await world.mail()
        sent = []

        async def answer(claim: Claim) -> Ending:
            writer.away_for = 3
            if claim.id == failed:
                raise Temporary("the AI core is away")
            sent.append(claim.id)
            await store.close(claim, ANSWERED)
            return ANSWERED

        async with world.working(answer, worker_concurrency=1):
            await world.until_handed_back(failed)
            answered = await world.mail()
            await world.until(answered, "answered")
    # What the relay took was not sent again for want of a database to note it in.
    assert sent == [answered]

"""The hour's answers: counted exactly, to all and to each sender."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import URL

from handlers.letter import Claim
from handlers.store.store import SqlStore
from smtpd.errors import Postponed
from smtpd.evidence import Evidence
from tests.arrivals import ANSWER, arrival, mail
from tests.stores import claimed, keep, opened, paced


async def reserve(store: SqlStore, claim: Claim) -> None:
    assert await store.reserve(claim) is None


async def test_the_hours_answers_are_counted_exactly_and_once_a_mail(url: URL) -> None:
    async with opened(url, ways=paced(5, 100)) as store:
        claims = [await claimed(store, await keep(store)) for _ in range(8)]
        outcomes = await asyncio.gather(
            *(reserve(store, claim) for claim in claims), return_exceptions=True
        )
        refused = [outcome for outcome in outcomes if outcome is not None]
        assert len(refused) == 3
        assert all(isinstance(outcome, Postponed) for outcome in refused)
        winner = next(
            claim for claim, outcome in zip(claims, outcomes, strict=True) if outcome is None
        )
        await reserve(store, winner)  # a retry of the same mail takes no second place


async def test_one_sender_does_not_use_up_the_others_answers(url: URL) -> None:
    async with opened(url, ways=paced(100, 2)) as store:
        for _ in range(2):
            await reserve(store, await claimed(store, await keep(store)))
        third = await claimed(store, await keep(store))
        with pytest.raises(Postponed) as postponed:
            await reserve(store, third)
        assert 0 < (postponed.value.retry_after_s or 0) <= 3600
        other = await claimed(store, await keep(store, mail(sender="bob@example.org")))
        await reserve(store, other)


async def test_a_tag_makes_no_second_sender(url: URL) -> None:
    async with opened(url, ways=paced(100, 1)) as store:
        await reserve(store, await claimed(store, await keep(store)))
        tagged = await keep(store, mail(sender="Ada+again@example.org"))
        with pytest.raises(Postponed):
            await reserve(store, await claimed(store, tagged))


async def test_a_mail_to_many_recipients_takes_one_place(url: URL) -> None:
    async with opened(url, ways=paced(2, 100)) as store:
        to_many = arrival(rcpt_to=tuple(f"ai+{number}@us.example" for number in range(5)))
        await reserve(store, await claimed(store, await store.keep(to_many, Evidence(), ANSWER)))
        await reserve(store, await claimed(store, await keep(store)))
        with pytest.raises(Postponed):
            await reserve(store, await claimed(store, await keep(store)))

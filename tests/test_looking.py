"""What a person sees of one mail, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial

import pytest

from handlers.store import looking
from handlers.store.looking import Whole
from handlers.store.store import SqlStore
from tests.arrivals import KEEP, mail
from tests.stores import claimed, keep, letter, put, step, write

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


async def look(store: SqlStore, email_id: str) -> Whole:
    return await step(store, partial(looking.look, email_id=email_id, master=store._master))


async def test_a_mail_is_looked_at_before_and_after_it_was_read(store: SqlStore) -> None:
    ticket = await keep(store)
    assert (await look(store, ticket.id)).text is None
    claim = await claimed(store, ticket)
    await store.remember(claim, await store.fetch(claim), letter("May I?"))
    await write(store, claim)
    whole = await look(store, ticket.id)
    assert (whole.text, whole.answer, whole.answered) == ("May I?", "Yes, you may.", False)
    assert (whole.entry.sender, whole.entry.subject) == ("ada@example.org", "A question")


@pytest.mark.parametrize("size", [10, 600_000])
async def test_a_mails_bytes_come_back_without_a_claim(store: SqlStore, size: int) -> None:
    raw = mail("x" * size)
    email_id = await put(store, KEEP, raw)
    found = await step(
        store, partial(looking.record, email_id=email_id, master=store._master, now=NOW)
    )
    assert found.arrival.raw == raw
    assert found.author == "ada@example.org"

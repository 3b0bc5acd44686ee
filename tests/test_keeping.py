"""Two idempotency rules, and what a forger could do with them; on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import URL, make_url

from handlers.letter import Claim, Ending, State, Ticket
from handlers.store.store import SqlStore
from smtpd.evidence import Evidence
from smtpd.headers import scan
from smtpd.mail import Arrival
from tests.arrivals import ANSWER, HOLD, arrival, mail
from tests.stores import opened, write

FORWARDER = "forwarder@else.example"


@pytest.fixture(params=["sqlite", "postgresql"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SqlStore]:
    async with opened(await database(request, tmp_path)) as store:
        yield store


async def database(request: pytest.FixtureRequest, tmp_path: Path) -> URL:
    if request.param == "sqlite":
        return make_url(f"sqlite+aiosqlite:///{tmp_path}/mail.sqlite3")
    server = request.getfixturevalue("postgres_server")
    return make_url(await server.new_database()).set(drivername="postgresql+asyncpg")


async def proven(store: SqlStore, raw: bytes) -> Ticket:
    return await store.keep(arrival(raw), Evidence(), ANSWER)


async def unproven(store: SqlStore, raw: bytes, mail_from: str = "ada@example.org") -> Ticket:
    return await store.keep(arrival(raw, mail_from=mail_from), Evidence(), HOLD)


async def claimed(store: SqlStore, ticket: Ticket) -> Claim:
    claim = await store.claim(ticket.id)
    assert isinstance(claim, Claim)
    return claim


async def test_a_forger_with_the_same_envelope_does_not_silence_the_original(
    store: SqlStore,
) -> None:
    raw = mail()
    held = await unproven(store, raw)
    original = await proven(store, raw)
    assert original.owed
    assert original.id != held.id
    assert await proven(store, raw) == original
    assert await unproven(store, raw) == original


async def test_two_unproven_deliveries_do_not_silence_the_original(store: SqlStore) -> None:
    raw = mail()
    await unproven(store, raw, FORWARDER)
    await unproven(store, raw)
    assert (await proven(store, raw)).owed


async def test_a_mail_that_may_have_been_answered_is_not_answered_as_another_copy(
    store: SqlStore,
) -> None:
    raw = mail()
    claim = await claimed(store, await proven(store, raw))
    await write(store, claim)
    await store.sending(claim)
    await store.close(claim, Ending(what=State.HELD, because="nobody knows"))
    copy = await store.keep(arrival(raw, mail_from=FORWARDER), Evidence(), ANSWER)
    assert not copy.owed
    assert not (await proven(store, raw)).owed


async def test_a_forged_message_id_does_not_lead_a_reply_into_another_thread(
    store: SqlStore,
) -> None:
    claim = await claimed(store, await proven(store, mail(message_id="<first@example.org>")))
    thread_id = (await store.fetch(claim)).thread_id
    await store.close(claim, Ending(what=State.ANSWERED, because="250 2.0.0 Ok"))
    await unproven(store, mail("forged", message_id="<first@example.org>"))
    later = await proven(store, mail("and this?", references="<first@example.org>"))
    assert (await store.fetch(await claimed(store, later))).thread_id == thread_id


async def test_headers_as_large_as_the_door_was_told_to_take_are_read_again(
    store: SqlStore,
) -> None:
    raw = mail(extra="\n".join(f"X-Long-{number}: {'a' * 60_000}" for number in range(6)))
    came = arrival()
    large = Arrival(
        id=came.id,
        peer=came.peer,
        mail_from=came.mail_from,
        rcpt_to=came.rcpt_to,
        raw=raw,
        headers=scan(raw, 1_000_000),
        received_at=came.received_at,
    )
    ticket = await store.keep(large, Evidence(), ANSWER)
    assert (await store.fetch(await claimed(store, ticket))).arrival.headers == large.headers

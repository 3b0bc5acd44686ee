"""Stores for tests: opened on a database, and the steps that every test of them takes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TypeVar

from sqlalchemy import URL, Connection, delete, text

from handlers.fuses import FuseLimits
from handlers.gate import Gate
from handlers.letter import Answer, Claim, Ending, Exchange, Letter, Outgoing, Past, State, Ticket
from handlers.store.models import EmailMessage, PersonKey
from handlers.store.opening import engine_for, open_database
from handlers.store.store import SqlStore, Ways
from handlers.store.transacting import in_transaction
from handlers.store.turns import Pace
from handlers.store.writer import Writer
from smtpd.evidence import Evidence
from smtpd.mail import Verdict
from tests.arrivals import ANSWER, arrival

Result = TypeVar("Result")

SECRET = "a secret of the tests, thirty-two bytes or more"
ANSWERED = Ending(what=State.ANSWERED, because="250 2.0.0 Ok")


def paced(to_all: int = 100, to_one: int = 100, **fuses: int) -> Ways:
    """The ways of a house with these answers an hour, and fuses that are not in the way."""
    high = {"per_sender": 1000, "per_sender_per_day": 1000, "per_domain": 1000, **fuses}
    return Ways(pace=Pace(to_all=to_all, to_one=to_one, fuses=FuseLimits(**high)))


WAYS = paced()


@asynccontextmanager
async def opened(
    url: URL,
    *,
    worker: str = "here:1",
    ways: Ways = WAYS,
    secret: str = SECRET,
    relay_timeout_s: float = 0,
) -> AsyncIterator[SqlStore]:
    """A store on this database, its writer running."""
    engine = engine_for(url, {})
    try:
        keys = await open_database(engine, secret, unsafe=True)
        writer = Writer(engine)
        store = SqlStore(
            engine, writer, keys, worker=worker, ways=ways, relay_timeout_s=relay_timeout_s
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(writer.run(), name="writer")
            await store.beat()
            yield store
            writer.finish()
    finally:
        await engine.dispose()


class Sending:
    """A switch that stops nothing."""

    async def stopped(self) -> bool:
        return False


async def open_gate() -> Gate:
    gate = Gate(Sending())
    await gate.look()
    return gate


async def keep(store: SqlStore, raw: bytes | None = None) -> Ticket:
    return await store.keep(arrival(raw), Evidence(), ANSWER)


async def claimed(store: SqlStore, ticket: Ticket) -> Claim:
    claim = await store.claim(ticket.id)
    assert isinstance(claim, Claim)
    return claim


OUTGOING = Outgoing(
    message_id="<reply@us.example>", mail_from="", rcpt_to="ada@example.org", raw=b"Reply\r\n"
)
SAID = Answer(text="Yes, you may.", model="demo")


async def write(
    store: SqlStore, claim: Claim, message_id: str = "<reply@us.example>", said: Answer = SAID
) -> None:
    exchange = Exchange(letter=letter("May I?"), past=Past())
    outgoing = replace(OUTGOING, message_id=message_id)
    assert await store.written(claim, exchange, said, outgoing, last=True)


async def row(store: SqlStore, email_id: str) -> EmailMessage:
    async with store._engine.connect() as connection:
        found = await connection.execute(
            text("SELECT * FROM email_message WHERE id=:i"), {"i": email_id}
        )
        return found.one()  # type: ignore[return-value]


def letter(body: str) -> Letter:
    return Letter(
        sender="ada@example.org",
        sender_name="Ada",
        subject="A question",
        message_id="<1@example.org>",
        references=(),
        body_text=body,
        body_html="",
        new_text=body,
    )


async def step(store: SqlStore, work: Callable[[Connection], Result]) -> Result:
    """What one step of the store gives, in a transaction of its own."""
    return await in_transaction(store._engine, work)


async def put(store: SqlStore, verdict: Verdict, raw: bytes | None = None) -> str:
    """Keep a mail on which the door gave this verdict; its id."""
    return (await store.keep(arrival(raw), Evidence(), verdict)).id


async def erase(store: SqlStore, address: str) -> None:
    """Erase a person, as another process would: the store has no key of theirs in memory."""
    person = store._hasher.address(address)
    store._people._seals.pop(person, None)
    erased = delete(PersonKey).where(PersonKey.person == person)
    await step(store, lambda connection: connection.execute(erased))

"""Stores for tests: opened on a database, and the steps that every test of them takes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from sqlalchemy import URL, text

from handlers.letter import Answer, Claim, Ending, Letter, Outgoing, State, Ticket
from handlers.store.models import EmailMessage
from handlers.store.opening import engine_for, open_database
from handlers.store.store import Limits, SqlStore
from handlers.store.writer import Writer
from smtpd.evidence import Evidence
from tests.arrivals import ANSWER, arrival

SECRET = "a secret of the tests, thirty-two bytes or more"
ANSWERED = Ending(what=State.ANSWERED, because="250 2.0.0 Ok")


@asynccontextmanager
async def opened(
    url: URL,
    *,
    worker: str = "here:1",
    limits: Limits | None = None,
    secret: str = SECRET,
    relay_timeout_s: float = 0,
) -> AsyncIterator[SqlStore]:
    """A store on this database, its writer running."""
    engine = engine_for(url, {})
    try:
        keys = await open_database(engine, secret, unsafe=True)
        writer = Writer(engine)
        limits = limits or Limits(to_all=100, to_one=100)
        store = SqlStore(
            engine, writer, keys, worker=worker, limits=limits, relay_timeout_s=relay_timeout_s
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(writer.run(), name="writer")
            await store.beat()
            yield store
            writer.finish()
    finally:
        await engine.dispose()


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


async def write(store: SqlStore, claim: Claim, message_id: str = "<reply@us.example>") -> None:
    await store.written(claim, SAID, replace(OUTGOING, message_id=message_id))


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

"""Conversations for tests: people who write, and answers that were really given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import text

from handlers.letter import Answer, Claim, Ending, Exchange, Letter, Past, State, Ticket
from handlers.store.store import SqlStore
from smtpd.evidence import Evidence
from smtpd.mail import Verdict
from tests.arrivals import ANSWER, HOLD, arrival, mail
from tests.stores import OUTGOING, claimed
from tests.stores import letter as a_letter

ADA, BOB, EVE = "ada@example.org", "bob@example.net", "eve@example.com"


async def wrote(
    store: SqlStore,
    sender: str = ADA,
    body: str = "May I ask something?",
    *,
    to: tuple[str, ...] = ("ai@us.example",),
    cc: str = "",
    verdict: Verdict = ANSWER,
    **fields: str,
) -> Ticket:
    """Somebody's mail at the door; further fields are those of `mail`."""
    raw = mail(body, sender=sender, extra=f"Cc: {cc}" if cc else "", **fields)
    return await store.keep(arrival(raw, mail_from=sender, rcpt_to=to), Evidence(), verdict)


async def known(store: SqlStore, *senders: str) -> None:
    """Let them have keys, so that their mails of one moment are kept in one batch."""
    for sender in senders:
        await wrote(store, sender, "Nothing yet.", verdict=HOLD)


def reply_id(ticket: Ticket) -> str:
    """The Message-ID of our answer to this mail."""
    return f"<r-{ticket.id}@us.example>"


async def exchange_of(
    store: SqlStore, claim: Claim, body: str, along: Sequence[tuple[str, Letter]] = ()
) -> Exchange:
    """The mail read, and what was before it."""
    record = await store.fetch(claim)
    letter = a_letter(body)
    past = await store.remember(claim, record, letter)
    return Exchange(letter=letter, past=past, along=tuple(along))


async def answered(
    store: SqlStore,
    ticket: Ticket,
    body: str = "May I ask something?",
    answer: str = "Yes, you may.",
    receipt: str = "250 2.0.0 Ok",
) -> Past:
    """A mail answered from claim to ending; what was before it."""
    claim = await claimed(store, ticket)
    assert await store.reserve(claim) is None
    exchange = await exchange_of(store, claim, body)
    assert await written(store, claim, exchange, ticket, answer)
    await store.sending(claim)
    await store.close(claim, Ending(what=State.ANSWERED, because=receipt))
    return exchange.past


async def written(
    store: SqlStore, claim: Claim, exchange: Exchange, ticket: Ticket, answer: str = "Yes."
) -> bool:
    """Whether the reply to the mail was stored, on the last occasion."""
    outgoing = replace(OUTGOING, message_id=reply_id(ticket))
    said = Answer(text=answer, model="demo")
    return await store.written(claim, exchange, said, outgoing, last=True)


async def past_of(store: SqlStore, ticket: Ticket, body: str = "And this?") -> Past:
    """What the author of a waiting mail may see; it goes on waiting."""
    past = (await exchange_of(store, await claimed(store, ticket), body)).past
    await store.release(ticket.id)
    return past


def texts(past: Past) -> list[str]:
    return [one.content for one in past.said]


async def rows(store: SqlStore, query: str, **values: Any) -> list[Any]:
    """What the database says, asked as nobody of the house would."""
    async with store._engine.begin() as connection:
        found = await connection.execute(text(query), values)
        return list(found.all()) if found.returns_rows else []


async def tried_again(store: SqlStore, claim: Claim) -> None:
    """The attempt fails; the mail waits again."""
    at = claim.received_at
    await store.hand_back(claim, not_before=at, because="no AI", counts=True, certain=True)


async def field(store: SqlStore, ticket: Ticket | str, name: str) -> Any:
    """One column of a mail."""
    ident = ticket if isinstance(ticket, str) else ticket.id
    return (await rows(store, f"SELECT {name} FROM email_message WHERE id=:i", i=ident))[0][0]  # noqa: S608


async def notices(store: SqlStore) -> list[tuple[str, str, str]]:
    """Kind, text and mail of what the operator is told."""
    found = await rows(store, "SELECT kind, text, email_id FROM notice ORDER BY id")
    return [tuple(one) for one in found]

"""The journey's second half on a real store: asked before each attempt, sent once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from handlers.conversation import Conversation
from handlers.journey import Journey
from handlers.letter import Answer, Claim, Ending, Exchange, Letter, Outgoing, Record, State, Ticket
from handlers.store.store import SqlStore
from smtpd.errors import Postponed, Temporary
from smtpd.mail import Arrival
from tests.stores import OUTGOING, SAID, claimed
from tests.stores import letter as letter_of
from tests.talking import BOB, field, notices, rows, tried_again, wrote
from tests.test_conversation import MANNERS
from tests.test_turns import stands


async def nothing() -> None:
    """Nothing happens while the AI thinks."""


class Neighbours:
    """Reader, thinker, writer and relay that note what they are asked."""

    def __init__(self, meanwhile: Callable[[], Awaitable[None]] = nothing) -> None:
        self.meanwhile = meanwhile
        self.asked: list[str] = []
        self.sent: list[Outgoing] = []
        self.relay_away = False

    async def read(self, arrival: Arrival) -> Letter:
        return letter_of(arrival.raw.partition(b"\r\n\r\n")[2].decode().strip())

    async def think(self, claim: Claim, record: Record, exchange: Exchange) -> Answer:
        self.asked.append(exchange.letter.new_text)
        await self.meanwhile()
        return SAID

    async def write(self, record: Record, letter: Letter, answer: Answer) -> Outgoing:
        return OUTGOING

    async def send(self, outgoing: Outgoing) -> str:
        if self.relay_away:
            raise Temporary("no relay")
        self.sent.append(outgoing)
        return "250 2.0.0 Ok"


def journey(store: SqlStore, others: Neighbours) -> Journey:
    return Journey(
        house=cast(Any, None),
        manners=MANNERS,
        verifier=cast(Any, None),
        store=store,
        queue=cast(Any, None),
        conversation=Conversation(memory=store, reader=others, manners=MANNERS),
        thinker=others,
        writer=others,
        relay=others,
    )


async def answer(store: SqlStore, others: Neighbours, ticket: Ticket) -> Ending:
    """One attempt, closed as a worker closes it."""
    claim = await claimed(store, ticket)
    ending = await journey(store, others).answer(claim)
    await store.close(claim, ending)
    return ending


async def written_but_not_sent(store: SqlStore, others: Neighbours) -> Ticket:
    ticket = await wrote(store)
    claim = await claimed(store, ticket)
    others.relay_away = True
    with pytest.raises(Temporary):
        await journey(store, others).answer(claim)
    others.relay_away = False
    await tried_again(store, claim)
    return ticket


async def test_what_is_written_is_sent_again_and_counted_once(store: SqlStore) -> None:
    others = Neighbours()
    ticket = await written_but_not_sent(store, others)
    assert (await answer(store, others, ticket)).what is State.ANSWERED
    assert (len(others.asked), others.sent) == (1, [OUTGOING])
    assert len(await rows(store, "SELECT * FROM turn")) == 1


@pytest.mark.parametrize("status", ["blocked", "stopped"])
async def test_a_written_reply_is_not_sent_to_who_is_blocked_by_now(
    store: SqlStore, status: str
) -> None:
    others = Neighbours()
    ticket = await written_but_not_sent(store, others)
    await stands(store, ticket, status)
    assert (await answer(store, others, ticket)).what is State.UNANSWERED
    assert others.sent == []


async def test_nor_into_a_conversation_that_a_person_leads_by_now(store: SqlStore) -> None:
    others = Neighbours()
    ticket = await written_but_not_sent(store, others)
    await rows(store, "INSERT INTO taken_over VALUES (:i, 0)", i=ticket.id)
    assert (await answer(store, others, ticket)).what is State.HELD
    assert others.sent == []
    assert [kind for kind, _, _ in await notices(store)] == ["taken"]


async def test_who_takes_over_while_the_ai_thinks_is_heard(store: SqlStore) -> None:
    ticket = await wrote(store)

    async def taken_over() -> None:
        await rows(store, "INSERT INTO taken_over VALUES (:i, 0)", i=ticket.id)

    others = Neighbours(taken_over)
    assert (await answer(store, others, ticket)).what is State.HELD
    assert (len(others.asked), others.sent) == (1, [])


async def test_what_comes_while_the_ai_thinks_is_answered_along_but_not_for_ever(
    store: SqlStore,
) -> None:
    """The third mail comes while the second answer is thought of: it gets one of its own."""
    ticket = await wrote(store, body="first", message_id="<1@example.org>")
    names = "<1@example.org>"
    more = iter(["second", "third"])
    came: list[Ticket] = []

    async def meanwhile() -> None:
        for body in more:
            came.append(await wrote(store, body=body, references=names))
            return

    others = Neighbours(meanwhile)
    assert (await answer(store, others, ticket)).what is State.ANSWERED
    assert others.asked == ["first", "first\n\nsecond"]
    assert len(others.sent) == 1
    assert [await field(store, one, "state") for one in came] == ["answered", "waiting"]
    assert (await answer(store, others, came[1])).what is State.ANSWERED
    assert others.asked[2:] == ["third"]


async def test_mail_of_others_starts_nobodys_answer_again(store: SqlStore) -> None:
    ticket = await wrote(store, message_id="<1@example.org>", cc=BOB)

    async def meanwhile() -> None:
        await wrote(store, BOB, references="<1@example.org>")

    others = Neighbours(meanwhile)
    await answer(store, others, ticket)
    assert len(others.asked) == 1


async def test_a_switch_thrown_while_the_ai_thinks_is_seen_before_the_relay(
    store: SqlStore,
) -> None:
    async def stop() -> None:
        await rows(store, "INSERT INTO switch VALUES ('sending', 0)")

    others = Neighbours(stop)
    ticket = await wrote(store)
    claim = await claimed(store, ticket)
    with pytest.raises(Postponed):
        await journey(store, others).answer(claim)
    await tried_again(store, claim)
    assert await field(store, ticket, "state") == "written"
    await rows(store, "DELETE FROM switch")
    assert (await answer(store, others, ticket)).what is State.ANSWERED
    assert (len(others.asked), len(others.sent)) == (1, 1)

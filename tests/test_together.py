"""Mails of one conversation that are answered together; on both databases."""

from __future__ import annotations

from dataclasses import replace

import pytest

from handlers.letter import Claim, Exchange, Past, Ticket
from handlers.store.store import SqlStore
from smtpd.errors import ClaimLost, Permanent, Postponed
from tests.letters import an_attachment
from tests.stores import ANSWERED, OUTGOING, SAID, claimed
from tests.stores import letter as letter_of
from tests.talking import (
    ADA,
    BOB,
    exchange_of,
    field,
    past_of,
    reply_id,
    rows,
    tried_again,
    written,
    wrote,
)


async def two_waiting(store: SqlStore) -> tuple[Ticket, Ticket]:
    first = await wrote(store, message_id="<1@example.org>")
    return first, await wrote(store, body="And this?", references="<1@example.org>")


async def along(store: SqlStore, claim: Claim) -> list[str]:
    record = await store.fetch(claim)
    return [one.arrival.id for one in await store.gather(claim, record)]


async def test_what_waits_in_a_conversation_is_answered_with_its_first(store: SqlStore) -> None:
    first, second = await two_waiting(store)
    claim = await claimed(store, first)
    assert await along(store, claim) == [second.id]
    letter = letter_of("And this?")
    exchange = await exchange_of(store, claim, "May I?", [(second.id, letter)])
    assert await written(store, claim, exchange, first)
    assert await field(store, second, "state") == "answered"
    explained = await store.explain(second.id)
    assert explained is not None
    assert explained.because == f"answered with {first.id}"
    assert await store.claim(second.id) is None
    await store.sending(claim)
    await store.close(claim, ANSWERED)
    past = await past_of(store, await wrote(store, body="3", references=reply_id(first)))
    assert [one.role for one in past.said] == ["user", "assistant", "user"]


async def test_only_what_waits_of_the_same_person_and_conversation_is(store: SqlStore) -> None:
    first = await wrote(store, message_id="<1@example.org>", cc=BOB)
    second = await wrote(store, body="And this?", references="<1@example.org>")
    bobs = await wrote(store, BOB, cc=ADA, references="<1@example.org>")
    assert await field(store, bobs, "thread_id") == first.id
    other = await wrote(store, body="another matter")
    large = await wrote(store, body="x" * 1_100_000, references="<1@example.org>")
    claim = await claimed(store, first)
    found = await along(store, claim)
    assert found == [second.id]
    assert not {bobs.id, other.id, large.id} & set(found)


async def test_no_more_are_answered_together_than_fit(store: SqlStore) -> None:
    first = await wrote(store, message_id="<1@example.org>")
    for number in range(25):
        await wrote(store, body=f"{number}", references="<1@example.org>")
    assert len(await along(store, await claimed(store, first))) == 19


async def test_what_came_while_the_answer_was_thought_of_is_asked_about_once(
    store: SqlStore,
) -> None:
    first = await wrote(store, message_id="<1@example.org>")
    claim = await claimed(store, first)
    exchange = await exchange_of(store, claim, "May I?")
    second = await wrote(store, body="And this?", references="<1@example.org>")
    assert not await stored(store, claim, exchange_past=exchange.past, last=False)
    assert await field(store, first, "state") == "waiting"
    assert await stored(store, claim, exchange_past=exchange.past, last=True)
    assert await field(store, second, "state") == "waiting"


async def stored(store: SqlStore, claim: Claim, *, exchange_past: Past, last: bool) -> bool:
    exchange = Exchange(letter=letter_of("May I?"), past=exchange_past)
    return await store.written(claim, exchange, SAID, OUTGOING, last=last)


async def test_mail_that_is_not_answered_along_is_not_waited_for(store: SqlStore) -> None:
    first, second = await two_waiting(store)
    claim = await claimed(store, first)
    exchange = await exchange_of(store, claim, "May I?")
    seen = replace(exchange, waited=frozenset({second.id}))
    assert await store.written(claim, seen, SAID, OUTGOING, last=False)
    assert await field(store, second, "state") == "waiting"


async def test_who_takes_the_conversation_over_meanwhile_is_heard(store: SqlStore) -> None:
    first = await wrote(store)
    claim = await claimed(store, first)
    exchange = await exchange_of(store, claim, "May I?")
    await rows(store, "INSERT INTO taken_over VALUES (:i, 0)", i=first.id)
    assert not await stored(store, claim, exchange_past=exchange.past, last=False)
    assert (await exchange_of(store, claim, "May I?")).past.taken_over
    with pytest.raises(Postponed):
        await stored(store, claim, exchange_past=exchange.past, last=True)
    assert await field(store, first, "state") == "waiting"


async def test_a_crash_before_the_reply_is_written_loses_no_mail(store: SqlStore) -> None:
    first, second = await two_waiting(store)
    claim = await claimed(store, first)
    await along(store, claim)
    await rows(store, "UPDATE heartbeat SET seen_at = seen_at - 60")
    taken_over = await claimed(store, first)
    with pytest.raises(ClaimLost):
        await written(store, claim, await exchange_of(store, taken_over, "May I?"), first)
    assert await field(store, second, "state") == "waiting"
    assert await along(store, taken_over) == [second.id]


async def test_what_is_answered_along_may_have_been_tried_before(store: SqlStore) -> None:
    """Its attachments and its turn are there already."""
    first, second = await two_waiting(store)
    claim = await claimed(store, second)
    assert await store.reserve(claim) is None
    letter = replace(letter_of("And this?"), attachments=(an_attachment(),))
    await store.remember(claim, await store.fetch(claim), letter)
    await tried_again(store, claim)
    lead = await claimed(store, first)
    assert await store.reserve(lead) is None
    exchange = await exchange_of(store, lead, "May I?", [(second.id, letter)])
    assert await written(store, lead, exchange, first)
    assert await field(store, second, "state") == "answered"
    assert [one.email_id for one in await rows(store, "SELECT * FROM turn")] == [first.id]
    assert len(await rows(store, "SELECT * FROM attachment")) == 1
    assert (await rows(store, "SELECT mails FROM user_account"))[0].mails == 2


async def test_what_a_worker_took_meanwhile_is_not_ended_along(store: SqlStore) -> None:
    first, second = await two_waiting(store)
    claim = await claimed(store, first)
    exchange = await exchange_of(store, claim, "May I?", [(second.id, letter_of("And this?"))])
    await rows(store, "UPDATE email_message SET state = 'held' WHERE id = :i", i=second.id)
    assert await written(store, claim, exchange, first)
    assert await field(store, second, "state") == "held"


async def test_mail_of_an_erased_person_is_parked(store: SqlStore) -> None:
    claim = await claimed(store, await wrote(store))
    await rows(store, "DELETE FROM person_key")
    store._people._seals.clear()
    with pytest.raises(Permanent):
        await store.fetch(claim)

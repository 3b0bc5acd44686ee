"""What the author of a mail may see of what was before it; on both databases."""

from __future__ import annotations

from handlers.letter import Claim, Ending, State, Ticket
from handlers.store.store import SqlStore
from tests.letters import NOW
from tests.stores import claimed
from tests.talking import (
    ADA,
    BOB,
    EVE,
    answered,
    exchange_of,
    field,
    past_of,
    reply_id,
    rows,
    texts,
    tried_again,
    written,
    wrote,
)


async def test_a_person_sees_what_they_wrote_and_what_we_answered(store: SqlStore) -> None:
    asked = await wrote(store)
    await answered(store, asked, "First question", "First answer")
    again = await wrote(store, references=reply_id(asked))
    past = await past_of(store, again, "Second question")
    assert [(one.role, one.content) for one in past.said] == [
        ("user", "First question"),
        ("assistant", "First answer"),
    ]
    assert past.joined_by == "ours"
    assert past.answered_at is not None


async def test_a_new_conversation_remembers_no_other(store: SqlStore) -> None:
    await answered(store, await wrote(store), "First question")
    assert texts(await past_of(store, await wrote(store))) == []


async def in_copy_of_the_fifth(store: SqlStore) -> list[Ticket]:
    """Ada and we, five times; the fifth mail has Bob in Cc."""
    tickets: list[Ticket] = []
    for number in range(5):
        names = " ".join(map(reply_id, tickets))
        cc = BOB if number == 4 else ""
        ticket = await wrote(store, body=f"{number}", references=names, cc=cc)
        await answered(store, ticket, f"Question {number}", f"Answer {number}")
        tickets.append(ticket)
    return tickets


async def test_who_is_put_in_copy_of_the_fifth_mail_sees_that_one_alone(store: SqlStore) -> None:
    tickets = await in_copy_of_the_fifth(store)
    names = " ".join([*map(reply_id, tickets), await id_of(store, tickets[4])])
    bobs = await wrote(store, BOB, references=names)
    assert await field(store, bobs, "thread_id") == tickets[0].id
    assert texts(await past_of(store, bobs)) == ["Question 4"]


async def id_of(store: SqlStore, ticket: Ticket) -> str:
    """The Message-ID of a mail."""
    claim = Claim(
        id=ticket.id,
        number=await field(store, ticket, "claim"),
        person=await field(store, ticket, "person"),
        attempts=1,
        received_at=NOW,
    )
    return (await store.fetch(claim)).arrival.facts.message_id


async def test_nor_more_through_a_later_reply_of_theirs(store: SqlStore) -> None:
    tickets = await in_copy_of_the_fifth(store)
    fifth = await id_of(store, tickets[4])
    bobs = await wrote(store, BOB, references=fifth, message_id="<bob-1@example.net>")
    await answered(store, bobs, "Bob's question", "Answer to Bob")
    names = f"{fifth} {reply_id(bobs)} {' '.join(map(reply_id, tickets))}"
    later = await wrote(store, BOB, references=names)
    assert await field(store, later, "thread_id") == tickets[0].id
    assert texts(await past_of(store, later)) == ["Question 4", "Bob's question", "Answer to Bob"]


async def test_the_first_sees_nothing_of_what_others_asked_us_alone(store: SqlStore) -> None:
    tickets = await in_copy_of_the_fifth(store)
    bobs = await wrote(store, BOB, references=await id_of(store, tickets[4]))
    await answered(store, bobs, "Between Bob and the house", "For Bob alone")
    adas = await wrote(store, references=reply_id(tickets[4]))
    assert await field(store, adas, "thread_id") == await field(store, bobs, "thread_id")
    assert not [one for one in texts(await past_of(store, adas)) if "Bob" in one]


async def test_who_guesses_its_conversation_sees_nothing_of_it(store: SqlStore) -> None:
    """Even were Eve's mail in it: memory does not rest on who got in."""
    tickets = await in_copy_of_the_fifth(store)
    for sender in (EVE, "ada+x@example.org", "ada@sub.example.org"):
        stray = await wrote(store, sender, references=reply_id(tickets[0]))
        change = "UPDATE email_message SET thread_id = :t WHERE id = :i"
        await rows(store, change, t=tickets[0].id, i=stray.id)
        assert texts(await past_of(store, stray)) == []


async def test_another_spelling_of_an_address_is_no_other_person(store: SqlStore) -> None:
    asked = await wrote(store)
    await answered(store, asked, "First question", "First answer")
    again = await wrote(store, "ADA@EXAMPLE.org", references=reply_id(asked))
    assert texts(await past_of(store, again)) == ["First question", "First answer"]


async def test_what_was_written_and_not_sent_was_not_said(store: SqlStore) -> None:
    asked = await wrote(store)
    claim = await claimed(store, asked)
    exchange = await exchange_of(store, claim, "First question")
    assert await written(store, claim, exchange, asked, "Never sent")
    await store.close(claim, Ending(what=State.HELD, because="unknown"))
    again = await wrote(store, references=reply_id(asked))
    assert texts(await past_of(store, again)) == ["First question"]


async def test_what_came_later_is_not_yet_remembered(store: SqlStore) -> None:
    asked = await wrote(store)
    await answered(store, asked)
    waits = await wrote(store, references=reply_id(asked))
    later = await wrote(store, cc=ADA, references=reply_id(asked))
    await answered(store, later, "Later question", "Later answer")
    assert "Later question" not in texts(await past_of(store, waits))


async def test_their_own_mail_that_still_waits_is_no_past(store: SqlStore) -> None:
    """It is answered along: said twice, it would look like a robot's."""
    first = await wrote(store, message_id="<1@example.org>")
    claim = await claimed(store, first)
    await exchange_of(store, claim, "A long question, " * 20)
    await tried_again(store, claim)
    again = await wrote(store, references="<1@example.org>")
    assert texts(await past_of(store, again)) == []


async def test_the_memory_of_a_long_conversation_is_short(store: SqlStore) -> None:
    asked = await wrote(store)
    await answered(store, asked, "0")
    for number in range(1, 25):
        ticket = await wrote(store, body=f"{number}", references=reply_id(asked))
        await answered(store, ticket, f"{number}")
    past = await past_of(store, await wrote(store, body="25", references=reply_id(asked)))
    assert len(past.said) == 40
    assert past.said[0].content == "5"
    assert past.said[-1].role == "assistant"


async def test_texts_are_recalled_newest_first_until_there_are_enough(store: SqlStore) -> None:
    asked = await wrote(store)
    await answered(store, asked, "x" * 60_000)
    for body in ("y" * 60_000, "z" * 60_000):
        await answered(store, await wrote(store, body=body, references=reply_id(asked)), body)
    past = await past_of(store, await wrote(store, references=reply_id(asked)))
    assert [one.content[0] for one in past.said if one.role == "user"] == ["y", "z"]


async def test_nobodys_text_is_opened_whose_key_is_erased(store: SqlStore) -> None:
    asked = await wrote(store, cc=BOB, message_id="<1@example.org>")
    await answered(store, asked, "Ada's question")
    bobs = await wrote(store, BOB, references="<1@example.org>")
    person = await field(store, asked, "person")
    await rows(store, "DELETE FROM person_key WHERE person = :p", p=person)
    store._people._seals.clear()
    assert texts(await past_of(store, bobs)) == []

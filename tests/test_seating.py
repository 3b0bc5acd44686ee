"""The place a mail takes at the door: who goes first, who waits, who is held; on both databases."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import URL

from handlers.letter import Ticket
from handlers.store.preparing import House
from handlers.store.store import SqlStore, Ways
from smtpd.category import Category
from smtpd.evidence import Evidence
from tests.arrivals import ANSWER, HOLD, arrival, mail
from tests.stores import WAYS, claimed, keep, opened
from tests.talking import ADA, BOB, answered, field, known, notices, past_of, reply_id, rows, wrote
from tests.test_turns import stands

CHIEF = "chief@elsewhere.example"
OURS = frozenset({"ai@us.example", "info@us.example"})


def house(**changes: object) -> Ways:
    known = House(own_addresses=OURS, persons=frozenset({CHIEF}))
    return replace(WAYS, house=replace(known, **changes))  # type: ignore[arg-type]


async def state(store: SqlStore, ticket: Ticket) -> tuple[str, str]:
    return await field(store, ticket, "state"), await field(store, ticket, "setting")


async def test_of_one_sender_no_more_than_so_many_wait(url: URL) -> None:
    async with opened(url, ways=house(waiting_max=2)) as store:
        kept = [await wrote(store, body=f"{number}") for number in range(4)]
        assert [ticket.owed for ticket in kept] == [True, True, False, False]
        assert await state(store, kept[2]) == ("held", "SENDER_WAITING_MAX")
        assert (await wrote(store, BOB)).owed
        [(kind, told, email_id)] = await notices(store)
        assert (kind, email_id) == ("crowd", kept[2].id)
        assert "@" not in told


async def test_a_tag_and_upper_case_make_no_second_sender(url: URL) -> None:
    async with opened(url, ways=house(waiting_max=1)) as store:
        spelled = ("ada@example.org", "Ada+one@example.org", "ADA+TWO@EXAMPLE.ORG")
        kept = [await wrote(store, sender) for sender in spelled]
        assert [ticket.owed for ticket in kept] == [True, False, False]


async def test_a_crowd_of_one_moment_is_counted_too(url: URL) -> None:
    async with opened(url, ways=house(waiting_max=3)) as store:
        kept = await asyncio.gather(*(wrote(store, body=f"{number}") for number in range(10)))
        assert sum(ticket.owed for ticket in kept) == 3
        assert len(await notices(store)) == 1


async def test_what_was_answered_waits_no_more(url: URL) -> None:
    async with opened(url, ways=house(waiting_max=1)) as store:
        await answered(store, await wrote(store))
        assert (await wrote(store)).owed


async def test_zero_is_no_limit(url: URL) -> None:
    async with opened(url, ways=house(waiting_max=0)) as store:
        assert all([(await wrote(store, body=f"{number}")).owed for number in range(30)])


async def test_what_was_held_for_a_crowd_and_comes_again_is_answered_once(url: URL) -> None:
    """The first copy is over: a person who released it would have it answered twice."""
    async with opened(url, ways=house(waiting_max=1)) as store:
        waits, raw = await wrote(store), mail()
        held = await keep(store, raw)
        assert await keep(store, raw) == held
        await answered(store, waits)
        again = await keep(store, raw)
        assert again.owed
        assert (await state(store, held))[0] == "unanswered"
        explained = await store.explain(held.id)
        assert explained is not None
        assert explained.because == f"the same message as {again.id}"


async def test_a_delivery_that_comes_again_is_no_crowd(url: URL) -> None:
    """Its 250 was lost: nothing of it is new, and the operator hears nothing."""
    async with opened(url, ways=house(waiting_max=1)) as store:
        raw = mail()
        first = await keep(store, raw)
        assert await keep(store, raw) == first
        assert await notices(store) == []


async def test_a_mail_to_many_of_our_addresses_counts_and_is_answered_once(url: URL) -> None:
    async with opened(url, ways=house(waiting_max=2)) as store:
        raw = mail()
        to = ("ai@us.example", "info@us.example")
        both = await store.keep(arrival(raw, rcpt_to=to), Evidence(), ANSWER)
        copy = await store.keep(arrival(raw, rcpt_to=to[1:]), Evidence(), ANSWER)
        assert (both.owed, copy.owed) == (True, False)
        assert (await state(store, copy))[0] == "unanswered"
        assert (await wrote(store)).owed


async def test_a_vip_goes_first_with_a_tag_too(url: URL) -> None:
    async with opened(url, ways=house()) as store:
        await answered(store, await wrote(store, "ada+x@example.org"))
        first = await wrote(store)
        assert not first.urgent
        await stands(store, first, "vip")
        for sender in (ADA, ADA.upper(), "ada+x@example.org"):
            assert (await wrote(store, sender)).urgent
        assert not (await wrote(store, BOB)).urgent


@pytest.mark.parametrize("status", ["blocked", "stopped"])
async def test_who_is_blocked_gets_no_answer_under_any_spelling(url: URL, status: str) -> None:
    async with opened(url, ways=house()) as store:
        await stands(store, await wrote(store), status)
        for sender in (ADA, "ADA@EXAMPLE.ORG", "ada+again@example.org"):
            ticket = await wrote(store, sender)
            assert not ticket.owed
            assert (await state(store, ticket))[0] == "unanswered"
        assert (await wrote(store, BOB)).owed


async def test_who_blocked_one_of_their_tags_may_write_under_another(url: URL) -> None:
    async with opened(url, ways=house()) as store:
        await stands(store, await wrote(store, "ada+news@example.org"), "blocked")
        assert not (await wrote(store, "ada+news@example.org")).owed
        assert (await wrote(store)).owed


async def test_an_answer_of_ours_that_comes_back_is_filed(store: SqlStore) -> None:
    asked = await wrote(store)
    await answered(store, asked)
    back = await wrote(store, BOB, message_id=reply_id(asked))
    assert not back.owed
    assert await field(store, back, "state") == "kept"
    assert await field(store, back, "category") == Category.OURS


async def test_mail_waits_for_others_only_where_that_is_set(url: URL) -> None:
    async with opened(url, ways=house()) as store:
        assert (await wrote(store)).due is None
    async with opened(url, ways=house(burst_window_s=30)) as store:
        came = arrival(mail("two"))
        ticket = await store.keep(came, Evidence(), ANSWER)
        assert ticket.due == came.received_at + timedelta(seconds=30)
        held = await store.keep(arrival(mail("three")), Evidence(), HOLD)
        assert held.due is None


async def led(store: SqlStore) -> Ticket:
    """Ada's conversation, in which a person of the house has answered."""
    asked = await wrote(store)
    await answered(store, asked)
    chief = await wrote(store, "Chief@Elsewhere.example", references=reply_id(asked), cc=ADA)
    assert not chief.owed
    assert await field(store, chief, "state") == "kept"
    assert await field(store, chief, "thread_id") == asked.id
    return asked


async def test_where_a_person_of_the_house_answers_the_ai_is_silent(url: URL) -> None:
    async with opened(url, ways=house()) as store:
        asked = await led(store)
        again = await wrote(store, references=reply_id(asked))
        assert await state(store, again) == ("held", "mail hand-back")
        [(kind, told, email_id)] = await notices(store)
        assert (kind, email_id) == ("taken", again.id)
        assert "@" not in told
        assert (await wrote(store)).owed  # another matter


async def test_their_own_questions_are_answered(url: URL) -> None:
    async with opened(url, ways=house()) as store:
        asked = await wrote(store, CHIEF)
        await answered(store, asked)
        assert (await wrote(store, CHIEF, references=reply_id(asked))).owed


async def test_nobody_silences_the_ai_in_their_name_unproven(url: URL) -> None:
    async with opened(url, ways=house()) as store:
        asked = await wrote(store)
        await answered(store, asked)
        forged = await wrote(store, CHIEF, references=reply_id(asked), verdict=HOLD)
        assert await field(store, forged, "thread_id") == forged.id
        assert (await wrote(store, references=reply_id(asked))).owed


async def test_what_waits_while_they_answer_is_held_and_the_operator_hears(url: URL) -> None:
    async with opened(url, ways=house()) as store:
        asked = await wrote(store)
        await answered(store, asked)
        waits = await wrote(store, references=reply_id(asked))
        await wrote(store, CHIEF, references=reply_id(asked))
        claim = await claimed(store, waits)
        ending = await store.reserve(claim)
        assert ending is not None
        await store.close(claim, ending)
        assert await state(store, waits) == ("held", "mail hand-back")
        assert [(kind, mail_id) for kind, _, mail_id in await notices(store)] == [
            ("taken", waits.id)
        ]


async def test_of_one_moment_their_answer_counts_first(url: URL) -> None:
    async with opened(url, ways=house()) as store:
        await known(store, CHIEF)
        asked = await wrote(store)
        await answered(store, asked)
        again, _ = await asyncio.gather(
            wrote(store, references=reply_id(asked)),
            wrote(store, CHIEF, references=reply_id(asked)),
        )
        assert (await state(store, again))[0] == "held"


async def test_a_delivery_into_a_led_conversation_that_comes_again_is_told_once(
    url: URL,
) -> None:
    """A notice that names a mail which was not kept could not be passed on."""
    async with opened(url, ways=house()) as store:
        asked = await led(store)
        raw = mail(references=reply_id(asked))
        held = await keep(store, raw)
        assert await keep(store, raw) == held
        assert [mail_id for _, _, mail_id in await notices(store)] == [held.id]


async def test_our_own_addresses_are_in_copy_of_nothing(url: URL) -> None:
    async with opened(url, ways=house()) as store:
        await wrote(store, cc=f"Info+x@us.example, {BOB}, {ADA}, {BOB.upper()}")
        assert len(await rows(store, "SELECT * FROM addressee")) == 1


async def test_what_they_wrote_there_is_not_shown_to_the_ai(url: URL) -> None:
    async with opened(url, ways=house()) as store:
        asked = await led(store)
        await rows(store, "DELETE FROM taken_over")
        past = await past_of(store, await wrote(store, references=reply_id(asked)))
        assert [one.role for one in past.said] == ["user", "assistant"]

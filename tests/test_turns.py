"""What the fuses count, and whom nobody answers; on both databases."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import URL

from handlers.letter import Ending, State, Ticket
from handlers.store.store import SqlStore
from smtpd.errors import Postponed, Temporary
from tests.stores import claimed, opened, paced
from tests.talking import (
    ADA,
    answered,
    exchange_of,
    field,
    notices,
    past_of,
    reply_id,
    rows,
    written,
    wrote,
)


async def held_by(store: SqlStore, ticket: Ticket) -> Ending | None:
    """Why the mail gets no answer; it is closed with that."""
    claim = await claimed(store, ticket)
    ending = await store.reserve(claim)
    if ending:
        await store.close(claim, ending)
    return ending


async def stands(store: SqlStore, ticket: Ticket, status: str) -> None:
    """Somebody decides how the author of this mail stands."""
    person = await field(store, ticket, "person")
    insert = (
        "INSERT INTO user_account (person, address, name, language, format, status, first_seen,"
        " last_seen, mails, answers) VALUES (:p, :b, :b, '', '', :s, 0, 0, 0, 0)"
        " ON CONFLICT (person) DO UPDATE SET status = :s"
    )
    await rows(store, insert, p=person, b=b"", s=status)


async def test_a_sender_has_a_fuse_of_their_own(url: URL) -> None:
    async with opened(url, ways=paced(per_sender=2)) as store:
        for _ in range(2):
            await answered(store, await wrote(store))
        ending = await held_by(store, await wrote(store))
        assert ending is not None
        assert (ending.what, ending.fuse) == (State.HELD, "sender")
        await answered(store, await wrote(store, "bob@example.org"))


@pytest.mark.parametrize("again", ["ada+2@example.org", "ADA@example.org", "Ada@EXAMPLE.org"])
async def test_another_spelling_is_no_other_sender(url: URL, again: str) -> None:
    async with opened(url, ways=paced(per_sender=1)) as store:
        await answered(store, await wrote(store, "ada+1@example.org"))
        ending = await held_by(store, await wrote(store, again))
        assert ending is not None
        assert ending.fuse == "sender"


async def test_a_pair_of_domains_has_a_fuse_whoever_writes_there(url: URL) -> None:
    async with opened(url, ways=paced(per_domain=3, domain_senders=3)) as store:
        for number in range(3):
            await answered(store, await wrote(store, f"robot{number}@example.org"))
        # Three senders, but on one subject: no crowd of people.
        ending = await held_by(store, await wrote(store, "robot3@example.org"))
        assert ending is not None
        assert ending.fuse == "domain"


async def test_a_domain_where_many_write_about_many_things_is_nobodys_pair(url: URL) -> None:
    async with opened(url, ways=paced(per_domain=3, domain_senders=3)) as store:
        for name in ("ada", "bob", "eve", "kim", "zoe"):
            sender, subject = f"{name}@example.org", f"What of {name}?"
            await answered(store, await wrote(store, sender, subject=subject))


async def test_subjects_that_differ_in_their_numbers_alone_are_one(url: URL) -> None:
    async with opened(url, ways=paced(per_domain=3, domain_senders=3)) as store:
        for number in range(3):
            sender, subject = f"robot{number}@example.org", f"Ticket {number} of 2026-11-2{number}"
            await answered(store, await wrote(store, sender, subject=subject))
        ending = await held_by(
            store, await wrote(store, "robot9@example.org", subject="Ticket 9 of 1")
        )
        assert ending is not None
        assert ending.fuse == "domain"


async def test_two_senders_with_many_subjects_make_no_crowd(url: URL) -> None:
    async with opened(url, ways=paced(per_domain=3, domain_senders=3)) as store:
        for number, name in enumerate(("ada", "bob", "ada")):
            subject = f"What of {'abc'[number]}?"
            await answered(store, await wrote(store, f"{name}@example.org", subject=subject))
        ending = await held_by(store, await wrote(store, "bob@example.org", subject="And now?"))
        assert ending is not None
        assert ending.fuse == "domain"


async def test_one_sender_alone_at_their_domain_is_no_pair_but_has_a_day(url: URL) -> None:
    async with opened(url, ways=paced(per_domain=2, per_sender_per_day=5)) as store:
        for number in range(5):
            await answered(store, await wrote(store, subject=f"Matter {number}"))
        ending = await held_by(store, await wrote(store, subject="Matter 6"))
        assert ending is not None
        assert (ending.fuse, ending.setting) == ("sender", "FUSE_PER_SENDER_PER_DAY")


async def test_a_day_has_an_end_for_all_together(url: URL) -> None:
    async with opened(url, ways=paced(per_day=2)) as store:
        for name in ("ada", "bob"):
            await answered(store, await wrote(store, f"{name}@{name}.example"))
        ending = await held_by(store, await wrote(store, "eve@eve.example"))
        assert ending is not None
        assert ending.fuse == "all"


async def test_answers_of_an_hour_ago_blow_no_fuse(url: URL) -> None:
    async with opened(url, ways=paced(per_sender=1, per_domain=1)) as store:
        await answered(store, await wrote(store))
        await rows(store, "UPDATE turn SET at = at - 3601")
        assert await held_by(store, await wrote(store)) is None


async def test_a_fuse_tells_the_operator_once_a_day_and_names_nobody(url: URL) -> None:
    async with opened(url, ways=paced(per_sender=1)) as store:
        await answered(store, await wrote(store))
        held = [await wrote(store, body=f"{number}") for number in range(3)]
        for ticket in held:
            assert await held_by(store, ticket) is not None
        [(kind, told, email_id)] = await notices(store)
        assert (kind, email_id) == ("fuse", held[0].id)
        assert "@" not in told
        assert "FUSE_PER_SENDER" in told


async def test_the_counts_outlive_a_restart(url: URL) -> None:
    ways = paced(per_sender=1)
    async with opened(url, ways=ways) as store:
        await answered(store, await wrote(store))
    async with opened(url, ways=ways, worker="here:2") as store:
        assert await held_by(store, await wrote(store)) is not None


async def test_a_fuse_that_cannot_be_read_makes_mail_wait(url: URL) -> None:
    async with opened(url) as store:
        claim = await claimed(store, await wrote(store))
        await rows(store, "ALTER TABLE turn RENAME TO elsewhere")
        with pytest.raises(Temporary):
            await store.reserve(claim)
        await rows(store, "ALTER TABLE elsewhere RENAME TO turn")
        assert await store.reserve(claim) is None


async def test_what_is_held_does_not_count_until_it_is_released(url: URL) -> None:
    async with opened(url, ways=paced(per_sender=1)) as store:
        ticket = await wrote(store)
        claim = await claimed(store, ticket)
        for _ in range(2):  # held, and released, and held again
            assert await store.reserve(claim) is None
            await store.close(claim, Ending(what=State.HELD, because="a person decides"))
            assert await rows(store, "SELECT * FROM turn") == []
            await released(store, ticket)
            claim = await claimed(store, ticket)
        assert await store.reserve(claim) is None
        assert await held_by(store, await wrote(store)) is not None


async def released(store: SqlStore, ticket: Ticket, state: str = "waiting") -> None:
    """A person puts it in line again."""
    change = "UPDATE email_message SET state=:s, claim=claim+1, ended_at=NULL WHERE id=:i"
    await rows(store, change, s=state, i=ticket.id)


async def test_a_written_reply_that_was_held_counts_again_once_it_is_released(url: URL) -> None:
    """So that release after release cannot send past a fuse."""
    async with opened(url, ways=paced(per_sender=1)) as store:
        ticket = await wrote(store)
        claim = await claimed(store, ticket)
        assert await store.reserve(claim) is None
        await store.close(claim, Ending(what=State.HELD, because="unknown"))
        await released(store, ticket)
        await answered(store, await wrote(store, body="another"))
        ending = await store.reserve(await claimed(store, ticket))
        assert ending is not None
        assert ending.fuse == "sender"


async def test_a_retry_does_not_blow_the_fuse_it_counted_for(url: URL) -> None:
    async with opened(url, ways=paced(per_sender=1, per_domain=1, per_day=1)) as store:
        claim = await claimed(store, await wrote(store))
        assert await store.reserve(claim) is None
        assert await store.reserve(claim) is None
        assert len(await rows(store, "SELECT * FROM turn")) == 1


async def test_an_hour_that_is_full_counts_nothing(url: URL) -> None:
    async with opened(url, ways=paced(1, 100)) as store:
        await answered(store, await wrote(store))
        waiting = await claimed(store, await wrote(store))
        with pytest.raises(Postponed):
            await store.reserve(waiting)
        assert len(await rows(store, "SELECT * FROM turn")) == 1


async def test_what_a_person_approved_passes_fuses_and_standing_but_keeps_the_pace(
    url: URL,
) -> None:
    async with opened(url, ways=paced(2, 2, per_sender=1)) as store:
        await answered(store, await wrote(store))
        approved = [await wrote(store, body=f"{number}") for number in range(2)]
        await stands(store, approved[0], "stopped")
        await rows(store, "UPDATE email_message SET approved = (1 = 1) WHERE state = 'waiting'")
        assert await store.reserve(await claimed(store, approved[0])) is None
        with pytest.raises(Postponed):
            await store.reserve(await claimed(store, approved[1]))


@pytest.mark.parametrize("status", ["blocked", "stopped"])
@pytest.mark.parametrize("tried_before", [False, True])
async def test_who_is_blocked_while_their_mail_waits_gets_no_answer(
    url: URL, status: str, tried_before: bool
) -> None:
    async with opened(url) as store:
        ticket = await wrote(store)
        claim = await claimed(store, ticket)
        if tried_before:
            assert await store.reserve(claim) is None
        await stands(store, ticket, status)
        ending = await store.reserve(claim)
        assert ending is not None
        assert ending.what is State.UNANSWERED
        await store.close(claim, ending)
        assert await rows(store, "SELECT * FROM turn") == []
        assert await notices(store) == []


async def test_a_conversation_that_a_person_leads_by_now_gets_no_answer(url: URL) -> None:
    async with opened(url) as store:
        ticket = await wrote(store)
        claim = await claimed(store, ticket)
        assert await store.reserve(claim) is None
        await rows(store, "INSERT INTO taken_over VALUES (:i, 0)", i=ticket.id)
        ending = await store.reserve(claim)
        assert ending is not None
        assert ending.what is State.HELD
        await store.close(claim, ending)
        assert [(kind, mail) for kind, _, mail in await notices(store)] == [("taken", ticket.id)]


async def test_a_persons_own_rate_goes_before_the_houses(url: URL) -> None:
    async with opened(url, ways=paced(100, 5)) as store:
        await answered(store, await wrote(store))
        await rows(store, "UPDATE user_account SET answers_per_hour = 1")
        with pytest.raises(Postponed):
            await held_by(store, await wrote(store))


async def test_a_conversations_turns_are_counted_since_a_person_last_showed(
    store: SqlStore,
) -> None:
    first = await wrote(store)
    await answered(store, first)
    for number in range(3):
        ticket = await wrote(store, body=f"{number}", references=reply_id(first))
        past = await answered(store, ticket)
        assert (past.turns, past.turns_today) == (number + 1, number + 1)  # without its own
    seen = "UPDATE turn SET person_seen = (1 = 1) WHERE email_id = :i"
    await rows(store, seen, i=first.id)
    last = await wrote(store, body="4", references=reply_id(first))
    assert (await past_of(store, last)).turns == 3
    await rows(store, seen, i=ticket.id)
    assert (await past_of(store, last)).turns == 0


async def test_turns_before_the_last_day_count_for_the_conversation_only(
    store: SqlStore,
) -> None:
    first = await wrote(store)
    await answered(store, first)
    await rows(store, "UPDATE turn SET at = at - 86401")
    past = await past_of(store, await wrote(store, references=reply_id(first)))
    assert (past.turns, past.turns_today) == (1, 0)


async def test_answers_on_one_subject_are_counted_whatever_stands_before_it(
    store: SqlStore,
) -> None:
    for subject in ("Access", "Re: access", "AW: Fwd: ACCESS"):
        await answered(store, await wrote(store, subject=subject))
    await answered(store, await wrote(store, subject="Another"))
    await answered(store, await wrote(store, "bob@example.org", subject="Access"))
    past = await past_of(store, await wrote(store, "ada+x@example.org", subject="Access"))
    assert past.on_this_subject == 3
    await rows(store, "UPDATE turn SET at = at - 10801")
    past = await past_of(store, await wrote(store, "eve@eve.example", subject="Access"))
    assert past.on_this_subject == 0


@pytest.mark.parametrize("seen", [True, False])
async def test_the_sign_of_a_person_is_kept_with_the_turn(store: SqlStore, seen: bool) -> None:
    ticket = await wrote(store)
    claim = await claimed(store, ticket)
    await store.reserve(claim)
    exchange = replace(await exchange_of(store, claim, "And this?"), person_seen=seen)
    assert await written(store, claim, exchange, ticket)
    assert [bool(one.person_seen) for one in await rows(store, "SELECT * FROM turn")] == [seen]


async def test_turns_that_no_fuse_looks_at_any_more_are_let_go(store: SqlStore) -> None:
    old, new = await wrote(store), await wrote(store, ADA, "2")
    for ticket in (old, new):
        await answered(store, ticket)
    await rows(store, "UPDATE turn SET at = at - 30*86400 WHERE email_id = :i", i=old.id)
    await store.tidy()
    assert [one.email_id for one in await rows(store, "SELECT * FROM turn")] == [new.id]

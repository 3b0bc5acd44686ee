"""Which conversation a mail joins, and who may not; on both databases."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest
from sqlalchemy import URL

from handlers.letter import Ticket
from handlers.store.joining import _named
from handlers.store.preparing import House, Keeping, prepare
from handlers.store.sealing import KEY_BYTES, Seal
from handlers.store.store import SqlStore
from smtpd.evidence import Evidence
from smtpd.mail import Verdict
from tests.arrivals import ANSWER, HOLD, KEEP, arrival, mail
from tests.stores import opened
from tests.talking import ADA, BOB, EVE, answered, field, known, reply_id, rows, wrote

FIRST = "<first@example.org>"
SES = "250 Ok 0102018f1c2d3e4f-aabbccdd-000000"
SES_ID = "<0102018f1c2d3e4f-aabbccdd-000000@eu-west-1.relay.example>"


async def first(store: SqlStore, receipt: str = "250 2.0.0 Ok") -> Ticket:
    """Ada's first mail, answered."""
    ticket = await wrote(store, message_id=FIRST)
    await answered(store, ticket, receipt=receipt)
    return ticket


async def place(store: SqlStore, ticket: Ticket) -> tuple[str, str]:
    """The conversation of a mail, and how it was found."""
    return await field(store, ticket, "thread_id"), await field(store, ticket, "joined_by")


async def ready(store: SqlStore, sender: str, references: str) -> Keeping:
    """A mail that is about to be kept."""
    came = arrival(mail(sender=sender, references=references))
    seal = Seal.of(bytes(KEY_BYTES))
    return prepare(came, Evidence(), ANSWER, seal=seal, hasher=store._hasher, house=House())


async def alone(store: SqlStore, ticket: Ticket) -> bool:
    """Whether the mail began a conversation of its own, and nobody hurries for it."""
    begun = await place(store, ticket) == (ticket.id, "")
    return begun and not ticket.urgent and ticket.owed


async def test_an_answer_to_our_answer_joins_its_conversation(store: SqlStore) -> None:
    asked = await first(store)
    again = await wrote(store, references=reply_id(asked))
    assert await place(store, again) == (asked.id, "ours")
    assert again.urgent


async def test_so_does_one_that_names_the_id_a_relay_put_in_its_place(store: SqlStore) -> None:
    asked = await first(store, SES)
    again = await wrote(store, references=SES_ID)
    assert await place(store, again) == (asked.id, "relay")


@pytest.mark.parametrize(
    "receipt", ["250 2.0.0 Ok", "250 2.0.0 Ok: queued as 4XyZ1", "250 accepted for delivery"]
)
async def test_a_receipt_without_an_id_of_its_own_finds_nothing(
    store: SqlStore, receipt: str
) -> None:
    await first(store, receipt)
    for word in receipt.split():
        assert await alone(store, await wrote(store, references=f"<{word}@relay.example>"))


@pytest.mark.parametrize("spelled", ["ai+c-{}@us.example", "AI+C-{}@US.EXAMPLE"])
async def test_so_does_one_to_the_conversations_own_address(store: SqlStore, spelled: str) -> None:
    asked = await first(store)
    again = await wrote(store, to=(spelled.format(asked.id),))
    assert await place(store, again) == (asked.id, "tag")


async def test_another_tag_names_no_conversation(store: SqlStore) -> None:
    asked = await first(store)
    assert await alone(store, await wrote(store, to=(f"ai+{asked.id}@us.example",)))


async def test_so_does_a_second_thought_to_their_own_mail(store: SqlStore) -> None:
    asked = await wrote(store, message_id=FIRST)
    assert await place(store, await wrote(store, references=FIRST)) == (asked.id, "theirs")


async def test_the_newest_that_is_named_decides(store: SqlStore) -> None:
    old = await first(store)
    new = await wrote(store, message_id="<other@example.org>")
    again = await wrote(store, references=f"{reply_id(old)} <other@example.org>")
    assert (await place(store, again))[0] == new.id


@pytest.mark.parametrize("subject", ["Re: A question", "AW: Re:  a  QUESTION", "回复: A question"])
async def test_a_reply_without_a_reference_is_found_by_its_subject(
    store: SqlStore, subject: str
) -> None:
    asked = await first(store)
    assert await place(store, await wrote(store, subject=subject)) == (asked.id, "subject")


@pytest.mark.parametrize("subject", ["A question", "Fwd: A question", "Re: Another", "Re:"])
async def test_other_subjects_begin_a_conversation(store: SqlStore, subject: str) -> None:
    await first(store)
    assert await alone(store, await wrote(store, subject=subject))


async def test_a_subject_finds_the_newest_conversation_and_forgets_in_two_weeks(
    store: SqlStore,
) -> None:
    old = await first(store)
    new = await wrote(store)
    assert (await place(store, await wrote(store, subject="Re: A question")))[0] == new.id
    change = "UPDATE email_message SET received_date = received_date - 15*86400"
    await rows(store, change)
    assert await alone(store, await wrote(store, subject="Re: A question"))
    assert old.owed


@pytest.mark.parametrize(("held", "finds"), [(99, True), (100, False)])
async def test_a_subject_is_looked_for_among_the_newest_mails_alone(
    store: SqlStore, held: int, finds: bool
) -> None:
    """However many somebody sends: the next one costs no more."""
    asked = await wrote(store)
    await asyncio.gather(*(wrote(store, body=f"{n}", verdict=HOLD) for n in range(held)))
    answer = await wrote(store, subject="Re: A question")
    assert await alone(store, answer) is not finds
    assert finds is ((await place(store, answer))[0] == asked.id)


async def test_a_subject_finds_nobody_elses_conversation(store: SqlStore) -> None:
    await first(store)
    for sender in (BOB, "ada+x@example.org"):
        assert await alone(store, await wrote(store, sender, subject="Re: A question"))


@pytest.mark.parametrize(
    "name", [FIRST, SES_ID, "ours", f"{FIRST} {SES_ID}"], ids=["theirs", "relay", "ours", "both"]
)
async def test_a_stranger_who_knows_a_message_id_begins_a_conversation_and_is_not_told(
    store: SqlStore, name: str
) -> None:
    asked = await first(store, SES)
    named = reply_id(asked) if name == "ours" else name
    assert await alone(store, await wrote(store, EVE, references=named))


async def test_a_stranger_who_knows_its_address_does_too(store: SqlStore) -> None:
    asked = await first(store)
    for sender in (EVE, "ada+eve@example.org", "ada@example.org.eve.example"):
        stray = await wrote(store, sender, to=(f"ai+c-{asked.id}@us.example",))
        assert await alone(store, stray)


async def test_upper_case_makes_no_stranger(store: SqlStore) -> None:
    asked = await first(store)
    again = await wrote(store, "ADA@Example.ORG", references=reply_id(asked))
    assert (await place(store, again))[0] == asked.id


async def test_who_was_in_copy_may_join(store: SqlStore) -> None:
    asked = await wrote(store, cc=f"Bob <{BOB.upper()}>", message_id=FIRST)
    again = await wrote(store, BOB, references=FIRST)
    assert await place(store, again) == (asked.id, "theirs")


async def test_who_was_in_copy_of_a_forged_mail_may_not(store: SqlStore) -> None:
    """Whoever puts a victim's name and Message-ID on a mail gives nobody a right to see."""
    await first(store)
    forged = await wrote(store, cc=EVE, body="forged", message_id=FIRST, verdict=HOLD)
    seen_by = "SELECT * FROM addressee WHERE email_id = :i"
    assert await rows(store, seen_by, i=forged.id) == []
    assert await alone(store, await wrote(store, EVE, references=FIRST))


@pytest.mark.parametrize("verdict", [HOLD, KEEP], ids=["held", "kept"])
async def test_an_unproven_mail_joins_nothing_and_is_joined_by_nothing(
    store: SqlStore, verdict: Verdict
) -> None:
    asked = await first(store)
    forged = await wrote(
        store, references=reply_id(asked), message_id="<forged@example.org>", verdict=verdict
    )
    assert await place(store, forged) == (forged.id, "")
    assert await alone(store, await wrote(store, references="<forged@example.org>"))


async def test_an_unproven_mail_of_the_same_moment_is_joined_by_nothing(store: SqlStore) -> None:
    await known(store, ADA)
    forged, real = await asyncio.gather(
        wrote(store, message_id="<forged@example.org>", verdict=HOLD),
        wrote(store, references="<forged@example.org>"),
    )
    assert await alone(store, real)
    assert forged.id != real.id


async def test_mails_of_the_same_moment_find_each_other(store: SqlStore) -> None:
    await known(store, ADA, EVE)
    tickets = await asyncio.gather(
        wrote(store, message_id=FIRST),
        wrote(store, message_id="<2@example.org>", references=FIRST),
        wrote(store, message_id="<3@example.org>", references=f"{FIRST} <2@example.org>"),
        wrote(store, EVE, references=FIRST),
    )
    threads = [(await place(store, ticket))[0] for ticket in tickets]
    assert threads == [tickets[0].id] * 3 + [tickets[3].id]


async def test_a_mail_sent_to_them_under_their_own_message_id_does_not_draw_them_away(
    store: SqlStore,
) -> None:
    """Or Eve could have Ada's next questions asked in a conversation that Eve began."""
    await wrote(store, EVE, cc=ADA, message_id=FIRST)
    asked = await wrote(store, message_id=FIRST)
    await wrote(store, EVE, body="again", cc=ADA, message_id=FIRST)
    assert (await place(store, await wrote(store, references=FIRST)))[0] == asked.id


async def test_names_that_many_share_do_not_make_a_stranger_read_them_all(
    store: SqlStore,
) -> None:
    """A relay's receipt may hold a constant that passes for an id."""
    receipt = "250 queued by outbound-relay-1.relay.example"
    for sender in (ADA, BOB):
        await answered(store, await wrote(store, sender), receipt=receipt)
    named = "<outbound-relay-1.relay.example@x.example>"
    stray, own = await asyncio.gather(
        wrote(store, EVE, references=named), wrote(store, BOB, references=named)
    )
    assert await alone(store, stray)
    assert (await place(store, own))[1] == "relay"
    for sender, messages in ((EVE, 0), (BOB, 1)):
        asked = await ready(store, sender, named)
        found = await store._writer.write(partial(_named, items=[asked]))
        assert sum(map(len, found.values())) == messages


async def test_mail_from_before_a_restart_is_found(url: URL) -> None:
    async with opened(url) as store:
        asked = await first(store)
    async with opened(url, worker="here:2") as store:
        again = await wrote(store, references=reply_id(asked))
        assert (await place(store, again))[0] == asked.id

"""The store's promises, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import URL, make_url, text, update

from handlers.letter import Claim, Ending, State, Ticket
from handlers.store.claiming import Later
from handlers.store.models import EmailMessage, Heartbeat
from handlers.store.store import SqlStore
from smtpd.errors import ClaimLost, Permanent
from smtpd.evidence import Evidence
from tests.arrivals import ANSWER, HOLD, KEEP, arrival, mail
from tests.stores import ANSWERED, OUTGOING, claimed, keep, letter, opened, row, write


async def test_the_same_delivery_gives_the_same_ticket(store: SqlStore) -> None:
    raw = mail()
    first = await keep(store, raw)
    later_hop = b"Received: from a by b; Mon, 23 Nov 2026 10:00:00 +0000\r\n" + raw
    again = await keep(store, later_hop)
    assert again == first


async def test_two_deliveries_in_one_batch_are_one_ticket(store: SqlStore) -> None:
    raw = mail()
    tickets = await asyncio.gather(*(keep(store, raw) for _ in range(20)))
    assert len({ticket.id for ticket in tickets}) == 1


async def test_the_same_message_by_another_way_is_kept_but_not_owed(store: SqlStore) -> None:
    raw = mail()
    first = await keep(store, raw)
    copy = await store.keep(arrival(raw, rcpt_to=("alias@us.example",)), Evidence(), ANSWER)
    assert copy.id != first.id
    assert not copy.owed
    assert (await row(store, copy.id)).state == "unanswered"


async def test_a_held_copy_does_not_silence_the_proven_original(store: SqlStore) -> None:
    raw = mail()
    await store.keep(arrival(raw, mail_from="forwarder@else.example"), Evidence(), HOLD)
    original = await keep(store, raw)
    assert original.owed
    assert not (await store.keep(arrival(raw, mail_from="x@else.example"), Evidence(), HOLD)).owed


async def test_held_and_filed_mail_is_not_owed(store: SqlStore) -> None:
    for verdict in (HOLD, KEEP):
        ticket = await store.keep(arrival(), Evidence(), verdict)
        assert not ticket.owed
        assert await store.claim(ticket.id) is None


@pytest.mark.parametrize("size", [10, 300_000, 3_000_000])
async def test_a_mail_comes_back_byte_for_byte(store: SqlStore, size: int) -> None:
    raw = mail("é" * (size // 2))
    ticket = await keep(store, raw)
    record = await store.fetch(await claimed(store, ticket))
    assert record.arrival.raw == raw
    assert record.arrival.mail_from == "ada@example.org"
    assert record.arrival.peer is not None
    assert record.arrival.peer.ip == "192.0.2.7"
    assert record.author == "ada@example.org"


async def test_a_mail_is_claimed_by_one_only(store: SqlStore) -> None:
    ticket = await keep(store)
    claims = await asyncio.gather(*(store.claim(ticket.id) for _ in range(10)))
    assert sum(isinstance(claim, Claim) for claim in claims) == 1


async def test_two_stores_never_hold_one_mail(url: URL) -> None:
    if url.drivername.startswith("sqlite"):
        pytest.skip("SQLite has one process")
    async with opened(url, worker="a:1") as one, opened(url, worker="b:1") as two:
        tickets = [await keep(one) for _ in range(30)]
        claims = await asyncio.gather(
            *(store.claim(ticket.id) for ticket in tickets for store in (one, two))
        )
        assert sum(isinstance(claim, Claim) for claim in claims) == 30


async def test_sending_begins_once(store: SqlStore) -> None:
    claim = await claimed(store, await keep(store))
    await write(store, claim)
    await store.sending(claim)
    with pytest.raises(ClaimLost):
        await store.sending(claim)


async def test_nothing_is_sent_that_was_not_written(store: SqlStore) -> None:
    claim = await claimed(store, await keep(store))
    with pytest.raises(ClaimLost):
        await store.sending(claim)


async def dead(store: SqlStore) -> None:
    """Let the takeover time pass for every worker there is."""
    async with store._engine.begin() as connection:
        await connection.execute(update(Heartbeat).values(seen_at=Heartbeat.seen_at - 16))


async def test_a_dead_workers_mail_is_taken_over_and_it_cannot_go_on(url: URL) -> None:
    async with opened(url, worker="old:1") as old:
        ticket = await keep(old)
        claim = await claimed(old, ticket)
        await write(old, claim)
        assert await old.claim(ticket.id) is None
        assert await old.orphaned(10) == []
        await dead(old)
        [debt] = await old.orphaned(10)
        assert debt.ticket.id == ticket.id
        second = await claimed(old, ticket)
        assert (second.number, second.lost, second.uncertain) == (claim.number + 1, 1, 0)
        for step in (old.sending(claim), old.close(claim, ANSWERED), write(old, claim)):
            with pytest.raises(ClaimLost):
                await step
        await old.sending(second)


async def test_death_while_sending_is_an_uncertain_send(store: SqlStore) -> None:
    ticket = await keep(store)
    claim = await claimed(store, ticket)
    await write(store, claim)
    await store.sending(claim)
    await dead(store)
    second = await claimed(store, ticket)
    assert second.uncertain == 1
    record = await store.fetch(second)
    assert record.outgoing == OUTGOING  # the same bytes, not another answer
    await store.sending(second)


async def test_a_send_is_not_taken_over_while_the_relay_may_still_be_talked_to(url: URL) -> None:
    async with opened(url, relay_timeout_s=60) as store:
        ticket = await keep(store)
        claim = await claimed(store, ticket)
        await write(store, claim)
        await store.sending(claim)
        await dead(store)
        assert await store.orphaned(10) == []
        assert await store.claim(ticket.id) is None
        long_ago = datetime.now(UTC) - timedelta(seconds=61)
        async with store._engine.begin() as connection:
            await connection.execute(update(EmailMessage).values(last_attempt=long_ago))
        assert len(await store.orphaned(10)) == 1
        await claimed(store, ticket)


async def test_a_restart_frees_what_the_run_before_held(store: SqlStore) -> None:
    ticket = await keep(store)
    claim = await claimed(store, ticket)
    await write(store, claim)
    await store.sending(claim)
    assert await store.release_installation("elsewhere") == 0
    assert await store.release_installation("here") == 1
    with pytest.raises(ClaimLost):
        await store.close(claim, ANSWERED)
    again = await claimed(store, ticket)
    assert (again.lost, again.uncertain) == (1, 1)


async def test_two_mails_of_one_thread_are_not_worked_on_at_once(store: SqlStore) -> None:
    first = await keep(store, mail(message_id="<one@example.org>"))
    second = await keep(store, mail("And this?", references="<one@example.org>"))
    assert second.urgent
    claim = await claimed(store, first)
    later = await store.claim(second.id)
    assert isinstance(later, Later)
    assert later.urgent
    await write(store, claim)
    await store.sending(claim)
    await store.close(claim, ANSWERED)
    await claimed(store, second)


async def test_an_ending_is_written_once(store: SqlStore) -> None:
    ticket = await keep(store)
    claim = await claimed(store, ticket)
    await store.close(claim, Ending(what=State.UNANSWERED, because="a robot"))
    with pytest.raises(ClaimLost):
        await store.close(claim, ANSWERED)
    assert await store.claim(ticket.id) is None
    found = await row(store, ticket.id)
    assert (found.state, found.processed, found.response_sent) == ("unanswered", 1, 0)


async def answer(store: SqlStore, ticket: Ticket, body: str, message_id: str) -> None:
    claim = await claimed(store, ticket)
    record = await store.fetch(claim)
    await store.remember(claim, record, letter(body))
    await write(store, claim, message_id)
    await store.sending(claim)
    await store.close(claim, ANSWERED)


async def test_a_person_sees_the_conversation_so_far(store: SqlStore) -> None:
    first = await keep(store, mail("First?", message_id="<f@example.org>"))
    await answer(store, first, "First?", "<r1@us.example>")
    second = await keep(store, mail("Second?", references="<r1@us.example>"))
    claim = await claimed(store, second)
    past = await store.remember(claim, await store.fetch(claim), letter("Second?"))
    assert [(one.role, one.content) for one in past.said] == [
        ("user", "First?"),
        ("assistant", "Yes, you may."),
    ]


async def test_a_stranger_who_knows_the_thread_sees_nothing_of_it(store: SqlStore) -> None:
    first = await keep(store, mail("My secret?", message_id="<f@example.org>"))
    await answer(store, first, "My secret?", "<r1@us.example>")
    stranger = await keep(
        store, mail("Go on?", sender="eve@else.example", references="<r1@us.example>")
    )
    assert not stranger.urgent
    claim = await claimed(store, stranger)
    past = await store.remember(claim, await store.fetch(claim), letter("Go on?"))
    assert (past.said, past.joined_by) == ((), "")


async def test_a_held_mail_joins_no_thread(store: SqlStore) -> None:
    first = await keep(store, mail(message_id="<f@example.org>"))
    held = await store.keep(
        arrival(mail("Forged?", references="<f@example.org>")), Evidence(), HOLD
    )
    assert (await row(store, held.id)).thread_id == held.id
    assert (await row(store, first.id)).thread_id == first.id


async def test_reading_again_files_a_letter_once(store: SqlStore) -> None:
    claim = await claimed(store, await keep(store))
    record = await store.fetch(claim)
    for _ in range(2):
        await store.remember(claim, record, letter("Hello"))
    async with store._engine.connect() as connection:
        mails = (await connection.execute(text("SELECT mails FROM user_account"))).scalars().all()
    assert mails == [1]


async def test_what_was_handed_back_waits_its_time(store: SqlStore) -> None:
    ticket = await keep(store)
    claim = await claimed(store, ticket)
    due = datetime.now(UTC) + timedelta(seconds=60)
    await store.hand_back(claim, not_before=due, because="busy", counts=True, certain=True)
    later = await store.claim(ticket.id)
    assert isinstance(later, Later)
    assert abs((later.due - due).total_seconds()) < 0.001


async def test_only_what_no_queue_remembers_is_owed_to_it(store: SqlStore) -> None:
    old = datetime.now(UTC) - timedelta(seconds=60)
    lost = (await store.keep(arrival(received_at=old), Evidence(), ANSWER)).id
    queued = (await store.keep(arrival(received_at=old), Evidence(), ANSWER)).id
    await keep(store)  # a moment ago: on its way into the queue
    await store.mark_queued([queued], "epoch-b")
    assert [debt.ticket.id for debt in await store.forgotten("epoch-b", 10)] == [lost]
    for epoch in ("epoch-a", "epoch-c"):
        found = {debt.ticket.id for debt in await store.forgotten(epoch, 10)}
        assert found == {lost, queued}


async def test_another_secret_key_does_not_open_the_database(url: URL) -> None:
    async with opened(url):
        pass
    with pytest.raises(Permanent, match="SECRET_KEY"):
        async with opened(url, secret="another secret, of thirty-two bytes or more"):
            pass


async def test_one_bad_row_does_not_hurt_the_others_of_its_batch(store: SqlStore) -> None:
    bad = replace(arrival(), id="x" * 5000)  # longer than its column, where columns have lengths
    good = [arrival() for _ in range(5)]
    outcomes = await asyncio.gather(
        *(store.keep(one, Evidence(), ANSWER) for one in [*good[:2], bad, *good[2:]]),
        return_exceptions=True,
    )
    assert sum(isinstance(outcome, Ticket) for outcome in outcomes) >= 5


async def test_old_hashes_are_let_go(store: SqlStore) -> None:
    old = datetime.now(UTC) - timedelta(days=8)
    raw = mail()
    first = await store.keep(arrival(raw, received_at=old), Evidence(), ANSWER)
    await store.tidy()
    assert (await keep(store, raw)).id != first.id


async def test_who_reads_does_not_wait_for_who_writes(tmp_path: Path) -> None:
    path = tmp_path / "mail.sqlite3"
    async with opened(make_url(f"sqlite+aiosqlite:///{path}")) as store:
        ticket = await keep(store)
        writing = sqlite3.connect(path, isolation_level=None)
        writing.execute("BEGIN IMMEDIATE")
        async with asyncio.timeout(2):  # a lock is waited for five seconds
            assert await store.explain(ticket.id) is not None
        writing.execute("ROLLBACK")
        writing.close()

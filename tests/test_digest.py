"""What a day brought, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from handlers.letter import NoticeKind, State
from handlers.store.digest import LISTED_MAX, Digest
from handlers.store.store import SqlStore
from smtpd.evidence import Evidence
from smtpd.mail import Action, Verdict
from smtpd.ticketid import new_ticket_id
from tests.arrivals import ANSWER, HOLD, KEEP, arrival, mail
from tests.operators import NOON, WRITER, board_on, noted, read, text_of

DAY = timedelta(days=1)
AN_HOUR_BEFORE = NOON - timedelta(hours=1)


async def kept(
    store: SqlStore,
    verdict: Verdict = ANSWER,
    *,
    at: datetime = AN_HOUR_BEFORE,
    ended: datetime | None = None,
    **columns: str,
) -> str:
    """A mail that came then; the columns as a worker or a rule would have left them."""
    heard = replace(arrival(mail(), received_at=at), id=new_ticket_id(at))
    ticket = await store.keep(heard, Evidence(), verdict)
    changed = {**columns, **({"ended_at": str(ended.timestamp())} if ended else {})}
    async with store._engine.begin() as connection:
        for name, value in changed.items():
            await connection.exec_driver_sql(
                f"UPDATE email_message SET {name} = '{value}' WHERE id = '{ticket.id}'"  # noqa: S608
            )
    return ticket.id


async def the_day(store: SqlStore) -> Digest:
    return await board_on(store).digest(NOON - DAY, NOON)


async def test_a_quiet_day_is_a_day_of_nothing(store: SqlStore) -> None:
    found = await the_day(store)
    assert (found.received, found.answered, found.bounces, found.waiting) == (0, 0, 0, 0)
    assert found.waiting_since is None
    assert found.held.size == found.parked.size == found.held.more == 0
    assert found.unanswered == found.filed == found.notices == {}


async def test_what_came_and_ended_in_the_day_is_counted_by_its_kind(store: SqlStore) -> None:
    for _ in range(3):
        await kept(store, state=State.ANSWERED, ended=AN_HOUR_BEFORE)
    await kept(store, state=State.UNANSWERED, category="list", ended=AN_HOUR_BEFORE)
    await kept(store, state=State.UNANSWERED, ended=AN_HOUR_BEFORE)
    await kept(store, KEEP, category="bounce")
    found = await the_day(store)
    assert (found.received, found.answered, found.bounces) == (6, 3, 1)
    assert found.unanswered == {"list": 1, "person": 1}
    assert found.filed == {"bounce": 1}


@pytest.mark.parametrize(
    ("came", "ended", "received", "answered"),
    [
        (NOON - DAY, NOON - timedelta(seconds=1), 1, 1),
        (NOON - DAY - timedelta(seconds=1), NOON - DAY, 0, 1),
        (NOON - timedelta(days=7), AN_HOUR_BEFORE, 0, 1),
        (NOON - timedelta(seconds=1), NOON, 1, 0),
        (NOON, NOON, 0, 0),
        (NOON - timedelta(days=3), NOON - timedelta(days=2), 0, 0),
    ],
)
async def test_the_day_ends_where_the_next_begins(
    store: SqlStore, came: datetime, ended: datetime, received: int, answered: int
) -> None:
    await kept(store, at=came, state=State.ANSWERED, ended=ended)
    found = await the_day(store)
    assert (found.received, found.answered) == (received, answered)


@pytest.mark.parametrize("hold_days", [7, 30])
async def test_what_was_held_to_the_end_is_counted_when_it_ends(
    store: SqlStore, hold_days: int
) -> None:
    came = NOON - timedelta(days=hold_days + 2)
    await kept(store, at=came, state=State.UNANSWERED, ended=AN_HOUR_BEFORE)
    found = await board_on(store, hold_days=hold_days).digest(NOON - DAY, NOON)
    assert found.unanswered == {"person": 1}


async def test_what_waits_is_counted_with_its_oldest(store: SqlStore) -> None:
    await kept(store, at=NOON - timedelta(days=2))
    await kept(store, state=State.WRITTEN)
    found = await the_day(store)
    assert found.waiting == 2
    assert found.waiting_since == NOON - timedelta(days=2)


async def test_held_mail_is_listed_with_its_reason_the_oldest_first(store: SqlStore) -> None:
    newer = await kept(store, HOLD)
    older = await kept(store, HOLD, at=NOON - timedelta(days=5))
    found = await the_day(store)
    assert [one.id for one in found.held.listed] == [older, newer]
    [first, _] = found.held.listed
    assert (first.because, first.setting) == ("not proven", "UNPROVEN_SENDER")
    assert first.since == NOON - timedelta(days=5)
    assert found.parked.size == 0


async def test_of_many_held_mails_the_rest_is_counted(store: SqlStore) -> None:
    for _ in range(LISTED_MAX + 2):
        await kept(store, HOLD)
    found = await the_day(store)
    assert found.held.size == LISTED_MAX + 2
    assert len(found.held.listed) == LISTED_MAX
    assert "and 2 more" in text_of(read(WRITER.digest(found, 80, NOON)))


async def test_parked_mail_is_listed_apart(store: SqlStore) -> None:
    ident = await kept(store, state=State.FAILED, ended=AN_HOUR_BEFORE)
    found = await the_day(store)
    assert [one.id for one in found.parked.listed] == [ident]
    assert found.parked.listed[0].since == AN_HOUR_BEFORE
    assert found.held.size == 0


@pytest.mark.parametrize(
    ("because", "shown"),
    [
        (
            "the relay refused the recipient: 550 <ada@example.org> unknown",
            "the relay refused the recipient: 550 … unknown",
        ),
        ("Traceback\n  line\nValueError: 'Dear Sir'", "something that nobody foresaw"),
        ("", ""),
    ],
)
async def test_no_reason_tells_an_address_or_a_mails_text(
    store: SqlStore, because: str, shown: str
) -> None:
    held = Verdict(action=Action.HOLD, reply=HOLD.reply, because=because)
    await kept(store, held)
    found = await the_day(store)
    assert found.held.listed[0].because == shown


async def test_the_reason_of_an_erased_person_reads_so(store: SqlStore) -> None:
    ident = await kept(store, HOLD)
    async with store._engine.begin() as connection:
        await connection.exec_driver_sql("DELETE FROM person_key")
    found = await the_day(store)
    assert [(one.id, one.because) for one in found.held.listed] == [(ident, "(erased)")]


async def test_notices_are_counted_by_kind(store: SqlStore) -> None:
    await noted(store, NoticeKind.FUSE, at=AN_HOUR_BEFORE, times=2)
    await noted(store, NoticeKind.DIGEST, at=AN_HOUR_BEFORE)
    await noted(store, NoticeKind.PARKED, at=NOON - 2 * DAY)
    assert (await the_day(store)).notices == {NoticeKind.FUSE: 2}


@pytest.mark.parametrize(
    ("days", "shown"),
    [
        (None, "none: mail arrives in plain text"),
        (80, "80 days left\n"),
        (13, "13 days left: RENEW IT"),
        (-1, "EXPIRED"),
    ],
)
async def test_the_certificates_days_are_told(
    store: SqlStore, days: int | None, shown: str
) -> None:
    assert shown in text_of(read(WRITER.digest(await the_day(store), days, NOON)))


async def test_the_digest_names_no_subject_and_no_address(store: SqlStore) -> None:
    await kept(store, HOLD)
    text = text_of(read(WRITER.digest(await the_day(store), 80, NOON)))
    assert "A question" not in text
    assert "@" not in text

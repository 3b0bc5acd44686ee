"""Whom the house tells: what goes in which mail, how often, and what a failure costs."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise

import pytest
from structlog.testing import capture_logs

from handlers.letter import NoticeKind
from handlers.operator import Portions, portions
from handlers.store.store import SqlStore
from smtpd.errors import Permanent, Temporary, Trouble, Uncertain
from tests.operators import Clock, Postbox, events, filed, noted, operator_at, text_of

RATE = 12


# One mail for what happened


async def test_what_happened_is_told_in_one_mail_and_once(
    store: SqlStore, box: Postbox, clock: Clock
) -> None:
    await noted(store, NoticeKind.FUSE, "a fuse blew", times=2)
    await noted(store, NoticeKind.PARKED, "mail 01 keeps failing")
    operator = operator_at(store, box, clock)
    await operator.look()
    await operator.look()
    await operator_at(store, box, clock).look()  # after a restart
    assert box.subjects == ["[us.example] 2 fuses blew, 1 mail parked"]
    assert text_of(box.mails[0]).count("a fuse blew") == 2


async def test_nothing_to_tell_sends_nothing(store: SqlStore, box: Postbox, clock: Clock) -> None:
    await operator_at(store, box, clock).look()
    assert box.taken == []


async def test_without_an_address_the_log_is_told_once(store: SqlStore, clock: Clock) -> None:
    await noted(store, NoticeKind.FUSE, "a fuse blew")
    email_id = await filed(store)
    with capture_logs() as logs:
        await operator_at(store, None, clock).look()
        await operator_at(store, None, clock).look()
    told = events(logs, "notice")
    assert [(one["kind"], one["ticket"]) for one in told] == [("fuse", ""), ("filed", email_id)]


async def test_with_an_address_the_log_is_told_too_and_once_though_the_relay_is_away(
    store: SqlStore, box: Postbox, clock: Clock
) -> None:
    box.refuse = lambda _: Temporary("away")
    await noted(store, NoticeKind.FUSE, "a fuse blew")
    operator = operator_at(store, box, clock)
    with capture_logs() as logs:
        for _ in range(5):
            await operator.look()
            clock.move(minutes=40)
    assert len(events(logs, "notice")) == 1


async def test_what_only_the_log_was_told_uses_up_no_hour(
    store: SqlStore, box: Postbox, clock: Clock
) -> None:
    unaddressed = operator_at(store, None, clock)
    for number in range(RATE + 1):
        await noted(store, NoticeKind.FUSE, f"fuse {number}")
        await unaddressed.look()
        clock.move(seconds=10)
    await noted(store, NoticeKind.FUSE, "the next")
    await operator_at(store, box, clock).look()
    assert len(box.taken) == 1


# How often


@pytest.mark.parametrize(
    ("urgent", "filed", "sent", "rate", "expected"),
    [
        (False, 0, 0, 12, Portions(common=False, alone=0)),
        (True, 0, 0, 12, Portions(common=True, alone=0)),
        (True, 0, 11, 12, Portions(common=True, alone=0)),
        (True, 0, 12, 12, Portions(common=False, alone=0)),
        (True, 5, 12, 12, Portions(common=False, alone=0)),
        (False, 9, 0, 12, Portions(common=False, alone=9)),
        (False, 10, 0, 12, Portions(common=True, alone=8)),
        (True, 100, 0, 12, Portions(common=True, alone=8)),
        (True, 100, 9, 12, Portions(common=True, alone=0)),
        (False, 1, 9, 12, Portions(common=False, alone=0)),
        (False, 1, 0, 1, Portions(common=False, alone=1)),
        (False, 2, 0, 1, Portions(common=True, alone=0)),
        (False, 1, 1, 1, Portions(common=False, alone=0)),
        (False, 1, 20, 1, Portions(common=False, alone=0)),  # the rate was lowered
    ],
)
def test_the_hour_is_divided(
    urgent: bool, filed: int, sent: int, rate: int, expected: Portions
) -> None:
    assert portions(urgent=urgent, filed=filed, sent=sent, rate=rate) == expected


async def test_over_the_rate_notices_wait_and_go_together(
    store: SqlStore, box: Postbox, clock: Clock
) -> None:
    for number in range(RATE + 3):
        await noted(store, NoticeKind.FUSE, f"fuse {number}.")
        await operator_at(store, box, clock).look()  # a restart each time: it is all written down
        clock.move(seconds=30)
    assert len(box.taken) == RATE
    clock.move(minutes=55)
    await operator_at(store, box, clock).look()
    assert len(box.taken) == RATE + 1
    assert box.subjects[-1] == "[us.example] 3 fuses blew"


async def test_a_flood_of_filed_mail_leaves_room_for_a_fuse(
    store: SqlStore, box: Postbox, clock: Clock
) -> None:
    operator = operator_at(store, box, clock)
    ids = []
    for _ in range(10):
        ids += [await filed(store) for _ in range(4)]
        await operator.look()
        clock.move(seconds=10)
    assert len(box.taken) <= RATE - RATE // 4
    await noted(store, NoticeKind.FUSE, "a fuse blew")
    await operator.look()
    assert box.subjects[-1].startswith("[us.example] 1 fuse blew")
    assert len(box.taken) <= RATE
    # Nothing was lost: each is attached to a mail, or named in one.
    assert all(any(one.encode() in sent.raw for sent in box.taken) for one in ids)


async def test_what_is_too_much_for_one_mail_is_counted_in_it(
    store: SqlStore, box: Postbox, clock: Clock
) -> None:
    await noted(store, NoticeKind.PARKED, "mail 01 keeps failing", times=60)
    await operator_at(store, box, clock).look()
    assert "and 10 more" in text_of(box.mails[0])
    assert text_of(box.mails[0]).count("mail 01 keeps failing") == 50


# What a failure costs


@pytest.mark.parametrize("trouble", [Temporary("away"), Uncertain("no reply"), Permanent("550 no")])
async def test_a_relay_that_does_not_take_it_is_asked_again_with_growing_pauses(
    store: SqlStore, box: Postbox, clock: Clock, trouble: Trouble
) -> None:
    box.refuse = lambda _: trouble
    operator = operator_at(store, box, clock)
    await noted(store, NoticeKind.FUSE)
    tries: list[datetime] = []
    with capture_logs() as logs:
        for _ in range(370):
            await operator.look()
            if box.asked > len(tries):
                tries.append(clock.now)
            clock.move(seconds=15)
    pauses = [round((b - a).total_seconds()) for a, b in pairwise(tries)]
    assert pauses == [30, 60, 120, 240, 480, 960, 1800, 1800]
    assert len(events(logs, "untold")) == 1
    box.refuse = lambda _: None
    clock.move(minutes=30)
    await operator.look()
    assert len(box.taken) == 1


async def test_a_clock_that_was_set_back_keeps_nobody_waiting(
    store: SqlStore, box: Postbox, clock: Clock
) -> None:
    box.refuse = lambda _: Temporary("away")
    operator = operator_at(store, box, clock)
    await noted(store, NoticeKind.FUSE)
    await operator.look()
    clock.move(days=-1)
    await operator.look()
    assert box.asked == 2


async def test_what_cannot_be_marked_as_told_is_not_sent_again(
    store: SqlStore, box: Postbox, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator = operator_at(store, box, clock)
    await noted(store, NoticeKind.FUSE)

    async def full_disk(*_: object) -> None:
        raise Temporary("the database could not")

    with monkeypatch.context() as patched:
        patched.setattr("handlers.store.noticeboard.NoticeBoard.told", full_disk)
        for _ in range(3):
            with pytest.raises(Temporary):
                await operator.look()
    await operator.look()
    await operator.look()
    assert len(box.taken) == 1


async def test_the_log_never_hears_the_address_a_relay_complains_of(
    store: SqlStore, box: Postbox, clock: Clock
) -> None:
    box.refuse = lambda _: Permanent("the relay refused the recipient: 550 <me@else.example> no")
    await noted(store, NoticeKind.FUSE)
    with capture_logs() as logs:
        await operator_at(store, box, clock).look()
    assert events(logs, "untold")[0]["because"] == "the relay refused the recipient: 550 … no"

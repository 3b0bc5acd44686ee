"""The name a mail goes by."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from smtpd.ticketid import first_ticket_id, new_ticket_id


def test_ticket_ids_sort_by_time_and_never_repeat() -> None:
    began = datetime(2026, 11, 23, tzinfo=UTC)
    ids = [new_ticket_id(began + timedelta(milliseconds=n)) for n in range(1000)]
    assert all(earlier < later for earlier, later in pairwise(ids))
    assert {len(name) for name in ids} == {26}
    assert all(name.isalnum() and name == name.lower() for name in ids)
    assert len({new_ticket_id(began) for _ in range(1000)}) == 1000
    # All but the time is random: 80 bits, and the first one after the time is no constant.
    assert len({new_ticket_id(began)[10:12] for _ in range(1000)}) > 100


def test_no_ticket_of_a_moment_sorts_before_its_first() -> None:
    moment = datetime(2026, 11, 23, 12, tzinfo=UTC)
    first = first_ticket_id(moment)
    assert len(first) == 26
    for later_ms in (0, 1, 86_400_000):
        assert first <= new_ticket_id(moment + timedelta(milliseconds=later_ms))
    assert new_ticket_id(moment - timedelta(milliseconds=1)) < first

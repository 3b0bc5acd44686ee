"""How long a full hour makes a mail wait."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from handlers.store.rates import minutes_to_wait, recent

MINUTES = st.dictionaries(st.integers(941, 1000), st.integers(1, 5), max_size=20)


def test_an_hour_with_room_makes_nobody_wait() -> None:
    assert minutes_to_wait({1000: 4}, 5, 1000) == 0


def test_a_full_hour_waits_for_its_oldest_answer_to_leave() -> None:
    assert minutes_to_wait({950: 1, 990: 4}, 5, 1000) == 10


def test_what_lies_an_hour_back_no_longer_counts() -> None:
    assert recent({940: 3, 941: 1, 1000: 2}, 1000, 60) == {941: 1, 1000: 2}


def test_what_a_clock_that_ran_ahead_has_counted_makes_nobody_wait() -> None:
    assert recent({1001: 1, 1060: 100, 526_600: 100}, 1000, 60) == {1001: 1}


@given(MINUTES, st.integers(1, 20))
def test_after_the_wait_there_is_room_and_a_minute_before_there_is_none(
    minutes: dict[int, int], limit: int
) -> None:
    wait = minutes_to_wait(minutes, limit, 1000)
    assert sum(recent(minutes, 1000 + wait, 60).values()) < limit
    if wait > 0:
        assert sum(recent(minutes, 1000 + wait - 1, 60).values()) >= limit

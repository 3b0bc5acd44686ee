"""When to try again."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from handlers.letter import Claim
from handlers.retry import Retry, decide, next_try
from smtpd.errors import Permanent, Postponed, Runaway, Temporary, Uncertain


def claim(attempts: int) -> Claim:
    return Claim(
        id="t",
        number=1,
        person="p",
        attempts=attempts,
        received_at=datetime(2026, 11, 23, tzinfo=UTC),
    )


def test_the_steps_grow_to_four_hours_and_stay_there() -> None:
    steps = [next_try(attempt, 0, 0) for attempt in range(1, 8)]
    assert steps == [30, 120, 600, 3600, 14400, 14400, 14400]


def test_jitter_spreads_over_a_fifth() -> None:
    assert next_try(1, 0, 1.0) == 36


def test_after_three_days_it_is_given_up() -> None:
    assert next_try(3, 72 * 3600 - 1, 0) == 600
    assert next_try(3, 72 * 3600, 0) is None


@pytest.mark.parametrize(
    ("error", "attempts", "expected"),
    [
        (Temporary("busy"), 1, Retry(delay_s=30)),
        (Temporary("busy"), 50, Retry(delay_s=14400)),
        (Temporary("busy", retry_after_s=300), 1, Retry(delay_s=300)),
        (Temporary("busy", retry_after_s=3), 1, Retry(delay_s=30)),
        (Temporary("busy for all time", retry_after_s=2.6e11), 1, Retry(delay_s=14400)),
        (Permanent("no such user"), 1, Retry(delay_s=None)),
        (Postponed("the hour is full", retry_after_s=1200), 9, Retry(delay_s=1200, counts=False)),
        (Uncertain("no final reply"), 1, Retry(delay_s=30, certain=False)),
        (KeyError("a bug"), 1, Retry(delay_s=30, certain=False)),
        (KeyError("a bug"), 5, Retry(delay_s=None, certain=False)),
        (TimeoutError(), 5, Retry(delay_s=None, certain=False)),
        (Runaway("killed"), 5, Retry(delay_s=None, certain=False)),
    ],
)
def test_each_kind_of_error_has_its_consequence(
    error: Exception, attempts: int, expected: Retry
) -> None:
    assert decide(error, claim(attempts), age_s=60, jitter=0) == expected

"""When to try again: backoff as a value. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from handlers.letter import Claim
from smtpd.errors import Permanent, Postponed, Temporary

# After the last step it stays there: 30 s helps a restart, 4 h an outage of days.
_STEPS_S = (30.0, 120.0, 600.0, 3600.0, 14400.0)
GIVE_UP_AFTER_S = 72 * 3600.0
# Whoever asks for more patience than this is asked again all the same.
_ASKED_MAX_S = _STEPS_S[-1]
# What nobody foresaw is most likely in the mail itself; more tries would only delay
# the person who must look at it.
UNFORESEEN_TRIES = 5
# Waiting for the clock, not for a neighbour.
_POSTPONED_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """What becomes of a mail whose attempt failed."""

    delay_s: float | None  # None: park it for a person
    counts: bool = True  # as an attempt
    certain: bool = True  # that the relay has not taken it


def next_try(attempt: int, age_s: float, jitter: float) -> float | None:
    """Seconds until the next attempt, None to give up.

    `attempt` is the number of the one that failed, from 1; `jitter` in 0..1 spreads
    what failed together over a fifth of the step.
    """
    if age_s >= GIVE_UP_AFTER_S:
        return None
    step = _STEPS_S[min(attempt, len(_STEPS_S)) - 1]
    return step * (1 + 0.2 * jitter)


def decide(error: BaseException, claim: Claim, age_s: float, jitter: float) -> Retry:
    """What to do after this error; `age_s` is how long ago the mail arrived."""
    match error:
        case Postponed():
            return Retry(delay_s=error.retry_after_s or _POSTPONED_S, counts=False)
        case Permanent():
            return Retry(delay_s=None)
        case Temporary():
            delay_s = next_try(claim.attempts, age_s, jitter)
            if delay_s is not None and error.retry_after_s is not None:
                delay_s = max(delay_s, min(error.retry_after_s, _ASKED_MAX_S))
            return Retry(delay_s=delay_s, certain=type(error) is Temporary)
        case _:
            parked = claim.attempts >= UNFORESEEN_TRIES
            delay_s = None if parked else next_try(claim.attempts, age_s, jitter)
            return Retry(delay_s=delay_s, certain=False)

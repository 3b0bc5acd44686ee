"""What is refused and limited: few lines of the log a minute, and all of it in an hourly sum."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

from smtpd.events import Event, count, log, tally

# Of one kind, within a minute; what is more is counted only. A flood shall not fill the disk.
LINES_A_MINUTE = 20
_MINUTE_S = 60.0
_EVERY_S = 3600.0


async def tell_tally() -> None:
    """Log every hour, and at the end, what was counted since the last time."""
    told: Counter[tuple[Event, str]] = Counter()
    try:
        while True:
            await asyncio.sleep(_EVERY_S)
            told = _tell_since(told)
    finally:
        _tell_since(told)


def _tell_since(told: Counter[tuple[Event, str]]) -> Counter[tuple[Event, str]]:
    now = Counter(tally())
    if fresh := now - told:
        counts: dict[str, dict[str, int]] = {}
        for (event, kind), number in sorted(fresh.items()):
            counts.setdefault(event.value, {})[kind] = number
        log(Event.TALLY, counts=counts)
    return now


class Sparing:
    """Logs a bounded number of lines a minute of each kind, and counts them all."""

    def __init__(self) -> None:
        self._minute_ends_at = 0.0
        self._lines: Counter[tuple[Event, str]] = Counter()

    def log(self, event: Event, /, *, kind: str, **fields: object) -> None:
        """Log that `event` happened, or only count it."""
        now = time.monotonic()
        if now >= self._minute_ends_at:
            self._minute_ends_at = now + _MINUTE_S
            self._lines.clear()
        self._lines[event, kind] += 1
        if self._lines[event, kind] <= LINES_A_MINUTE:
            log(event, kind=kind, **fields)
        else:
            count(event, kind)

"""Answers an hour and a day: exact, because one row counts a scope, and is locked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, bindparam, select, update

from handlers.store.models import RATE
from handlers.store.opening import insert_into
from smtpd.errors import AllWait, Postponed

# Both sort before every person's hash (hexadecimal), so that all processes lock them first.
EVERYBODY = "*"
DAY = "*day"
_WINDOW = 60  # minutes of an hour
_HOURS = 24

Counted = dict[int, int]  # minutes (for DAY: hours) since 1970, and answers in each

_LOCK = (
    select(RATE.c.scope, RATE.c.minutes)
    .where(RATE.c.scope.in_(bindparam("scopes", expanding=True)))
    .order_by(RATE.c.scope)
    .with_for_update()
)
_COUNT = update(RATE).where(RATE.c.scope == bindparam("counted"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """The locked counts that one answer to `sender` adds to."""

    sender: str  # keyed hash
    now: datetime
    counted: Mapping[str, Counted]

    @classmethod
    def opened(cls, connection: Connection, sender: str, now: datetime) -> Book:
        """Lock the rows until the transaction's end."""
        minute = int(now.timestamp() // 60)
        counted = {
            scope: recent(counts, minute // _WINDOW, _HOURS)
            if scope == DAY
            else recent(counts, minute, _WINDOW)
            for scope, counts in _locked(connection, sorted({EVERYBODY, DAY, sender})).items()
        }
        return cls(sender=sender, now=now, counted=counted)

    @property
    def today(self) -> int:
        """Answers of the last 24 hours."""
        return sum(self.counted[DAY].values())

    def check(self, *, to_all: int, to_one: int) -> None:
        """Raises Postponed, with the seconds to wait, where an hour is full: AllWait for all's."""
        for scope, limit in ((EVERYBODY, to_all), (self.sender, to_one)):
            minute = int(self.now.timestamp() // 60)
            wait_min = minutes_to_wait(self.counted[scope], limit, minute)
            if wait_min > 0:
                free_at = datetime.fromtimestamp((minute + wait_min) * 60, UTC)
                wait_s = (free_at - self.now) / timedelta(seconds=1)
                if scope == EVERYBODY:
                    because = "the hour's answers to all are used up"
                    raise AllWait(because, retry_after_s=wait_s)
                because = "the hour's answers to this sender are used up"
                raise Postponed(because, retry_after_s=wait_s)

    def count(self, connection: Connection) -> None:
        """Count one answer in every scope."""
        minute = int(self.now.timestamp() // 60)
        for scope, counts in self.counted.items():
            at = minute // _WINDOW if scope == DAY else minute
            counts[at] = counts.get(at, 0) + 1
        connection.execute(
            _COUNT,
            [{"counted": scope, "minutes": json.dumps(one)} for scope, one in self.counted.items()],
        )


def _locked(connection: Connection, scopes: list[str]) -> dict[str, Counted]:
    rows = connection.execute(_LOCK, {"scopes": scopes}).all()
    if len(rows) < len(scopes):
        connection.execute(
            insert_into(connection)(RATE).on_conflict_do_nothing(),
            [{"scope": scope, "minutes": "{}"} for scope in scopes],
        )
        rows = connection.execute(_LOCK, {"scopes": scopes}).all()
    return {
        row.scope: {int(at): count for at, count in json.loads(row.minutes).items()} for row in rows
    }


def recent(counts: Mapping[int, int], now: int, window: int) -> Counted:
    """The counts of the window that ends now, and of a clock a little ahead of ours.

    What lies further ahead was counted by a clock that was wrong.
    """
    return {at: count for at, count in counts.items() if abs(at - now) < window}


def minutes_to_wait(minutes: Mapping[int, int], limit: int, minute: int) -> int:
    """Minutes until the hour holds fewer answers than the limit; 0 when it does now."""
    over = sum(minutes.values()) - limit + 1
    for at in sorted(minutes):
        if over <= 0:
            break
        over -= minutes[at]
        if over <= 0:
            return at + _WINDOW - minute
    return 0

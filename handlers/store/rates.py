"""Answers an hour, to all and to each sender: exact, because one row counts a scope."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, bindparam, select, update

from handlers.letter import Claim
from handlers.store.claiming import HOLDING, advance, held
from handlers.store.models import MAIL, RATE
from handlers.store.opening import insert_into
from smtpd.errors import Postponed

# Sorts before every person's hash (hexadecimal), so that all processes lock it first.
EVERYBODY = "*"
_WINDOW_MIN = 60

Minutes = dict[int, int]

_RESERVED = select(MAIL.c.reserved).where(HOLDING)
_LOCK = (
    select(RATE.c.scope, RATE.c.minutes)
    .where(RATE.c.scope.in_(bindparam("scopes", expanding=True)))
    .order_by(RATE.c.scope)
    .with_for_update()
)
_COUNT = update(RATE).where(RATE.c.scope == bindparam("counted"))


def reserve(
    connection: Connection, claimed: Claim, limits: Mapping[str, int], now: datetime
) -> None:
    """Count this answer in every scope, once a mail.

    Raises Postponed with the seconds to wait when a scope is full; then nothing is counted.
    """
    if held(connection, claimed, _RESERVED).reserved:
        return
    minute = int(now.timestamp() // 60)
    counted = {
        scope: recent(minutes, minute) for scope, minutes in _locked(connection, limits).items()
    }
    for scope, limit in limits.items():
        if (wait_min := minutes_to_wait(counted[scope], limit, minute)) > 0:
            free_at = datetime.fromtimestamp((minute + wait_min) * 60, UTC)
            raise Postponed(
                "the hour's answers to all are used up"
                if scope == EVERYBODY
                else "the hour's answers to this sender are used up",
                retry_after_s=(free_at - now) / timedelta(seconds=1),
            )
    advance(connection, claimed, reserved=True)
    for minutes in counted.values():
        minutes[minute] = minutes.get(minute, 0) + 1
    connection.execute(
        _COUNT,
        [{"counted": scope, "minutes": json.dumps(one)} for scope, one in counted.items()],
    )


def _locked(connection: Connection, limits: Mapping[str, int]) -> dict[str, Minutes]:
    scopes = sorted(limits)
    rows = connection.execute(_LOCK, {"scopes": scopes}).all()
    if len(rows) < len(scopes):
        connection.execute(
            insert_into(connection)(RATE).on_conflict_do_nothing(),
            [{"scope": scope, "minutes": "{}"} for scope in scopes],
        )
        rows = connection.execute(_LOCK, {"scopes": scopes}).all()
    return {
        row.scope: {int(minute): count for minute, count in json.loads(row.minutes).items()}
        for row in rows
    }


def recent(minutes: Mapping[int, int], minute: int) -> Minutes:
    """The counts of the hour that ends with this minute, and of a clock a little ahead of ours.

    What lies further ahead was counted by a clock that was wrong.
    """
    return {at: count for at, count in minutes.items() if abs(at - minute) < _WINDOW_MIN}


def minutes_to_wait(minutes: Mapping[int, int], limit: int, minute: int) -> int:
    """Minutes until the hour holds fewer answers than the limit; 0 when it does now."""
    over = sum(minutes.values()) - limit + 1
    for at in sorted(minutes):
        if over <= 0:
            break
        over -= minutes[at]
        if over <= 0:
            return at + _WINDOW_MIN - minute
    return 0

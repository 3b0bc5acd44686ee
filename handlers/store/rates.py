"""Answers an hour, to all and to each sender: exact, because one row counts a scope."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, select, update

from handlers.letter import Claim
from handlers.store.claiming import advance, holding
from handlers.store.models import EmailMessage, Rate
from handlers.store.opening import insert_into
from smtpd.errors import ClaimLost, Postponed

# Sorts before every person's hash (hexadecimal), so that all processes lock it first.
EVERYBODY = "*"
_WINDOW_MIN = 60

Minutes = dict[int, int]


def reserve(
    connection: Connection, claimed: Claim, limits: Mapping[str, int], now: datetime
) -> None:
    """Count this answer in every scope, once a mail.

    Raises Postponed with the seconds to wait when a scope is full; then nothing is counted.
    """
    query = select(EmailMessage.reserved, EmailMessage.not_before).where(holding(claimed))
    row = connection.execute(query).one_or_none()
    if row is None:
        raise ClaimLost("another worker took the mail over")
    if row.reserved:
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
    for scope, minutes in counted.items():
        minutes[minute] = minutes.get(minute, 0) + 1
        connection.execute(
            update(Rate).where(Rate.scope == scope).values(minutes=json.dumps(minutes))
        )


def _locked(connection: Connection, limits: Mapping[str, int]) -> dict[str, Minutes]:
    scopes = sorted(limits)
    connection.execute(
        insert_into(connection)(Rate).on_conflict_do_nothing(),
        [{"scope": scope, "minutes": "{}"} for scope in scopes],
    )
    query = select(Rate).where(Rate.scope.in_(scopes)).order_by(Rate.scope).with_for_update()
    return {
        row.scope: {int(minute): count for minute, count in json.loads(row.minutes).items()}
        for row in connection.execute(query.with_only_columns(Rate.scope, Rate.minutes))
    }


def recent(minutes: Mapping[int, int], minute: int) -> Minutes:
    """The counts that still lie in the hour that ends with this minute."""
    return {at: count for at, count in minutes.items() if at > minute - _WINDOW_MIN}


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

"""What a day brought, counted in SQL; what waits for a person, with the reason for each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, func, select

from handlers.letter import NoticeKind, State
from handlers.retry import GIVE_UP_AFTER_S
from handlers.store.explaining import ERASED
from handlers.store.models import IS_OWED, IS_UNDECIDED, MAIL, NOTICE
from handlers.store.notices import shortened
from handlers.store.people import stored_seal
from handlers.store.sealing import Seal
from smtpd.category import Category
from smtpd.errors import Permanent
from smtpd.ticketid import first_ticket_id

LISTED_MAX = 50
# How long a mail is tried: before it is held, and once more after a person decided.
_TRIED = timedelta(seconds=2 * GIVE_UP_AFTER_S)
_ENDED = (State.ANSWERED, State.UNANSWERED, State.KEPT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One mail that waits for a person."""

    id: str
    since: datetime
    category: str
    because: str
    setting: str  # that would change it, "" for none


@dataclass(frozen=True, slots=True, kw_only=True)
class Pile:
    """All mails of one state that wait for a person, the oldest first."""

    size: int
    listed: tuple[Listed, ...]

    @property
    def more(self) -> int:
        return self.size - len(self.listed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """The day, and how things stand at its telling."""

    since: datetime
    until: datetime
    received: int
    bounces: int
    answered: int
    unanswered: Mapping[str, int]  # by category
    filed: Mapping[str, int]  # by category
    notices: Mapping[NoticeKind, int]
    waiting: int
    waiting_since: datetime | None
    held: Pile
    parked: Pile


def digest(
    connection: Connection, since: datetime, until: datetime, *, held_for: timedelta, master: Seal
) -> Digest:
    """What came and ended in [since, until); what waits now.

    Mail is held no longer than `held_for`: looking further back would read all that ever came.
    """
    received = _received(connection, since, until)
    ended = _ended(connection, since, until, came_since=since - held_for - _TRIED)
    waiting = connection.execute(_WAITING).one()
    return Digest(
        since=since,
        until=until,
        received=received.total(),
        bounces=received[Category.BOUNCE],
        answered=ended[State.ANSWERED].total(),
        unanswered=ended[State.UNANSWERED],
        filed=ended[State.KEPT],
        notices=_notices(connection, since, until),
        waiting=waiting.mails,
        waiting_since=waiting.oldest,
        held=_pile(connection, State.HELD, master),
        parked=_pile(connection, State.FAILED, master),
    )


_MAILS = func.count().label("mails")
_WAITING = select(_MAILS, func.min(MAIL.c.received_date).label("oldest")).where(IS_OWED)


def _received(connection: Connection, since: datetime, until: datetime) -> Counter[str]:
    query = (
        select(MAIL.c.category, _MAILS)
        .where(MAIL.c.id >= first_ticket_id(since))
        .where(MAIL.c.received_date >= since, MAIL.c.received_date < until)
        .group_by(MAIL.c.category)
    )
    return Counter({row.category: row.mails for row in connection.execute(query)})


def _ended(
    connection: Connection, since: datetime, until: datetime, *, came_since: datetime
) -> dict[str, Counter[str]]:
    """By state, then by category."""
    query = (
        select(MAIL.c.state, MAIL.c.category, _MAILS)
        .where(MAIL.c.id >= first_ticket_id(came_since), MAIL.c.state.in_(_ENDED))
        .where(MAIL.c.ended_at >= since, MAIL.c.ended_at < until)
        .group_by(MAIL.c.state, MAIL.c.category)
        .order_by(_MAILS.desc(), MAIL.c.category)
    )
    ended: dict[str, Counter[str]] = {state: Counter() for state in _ENDED}
    for row in connection.execute(query):
        ended[row.state][row.category] = row.mails
    return ended


def _notices(connection: Connection, since: datetime, until: datetime) -> Mapping[NoticeKind, int]:
    query = (
        select(NOTICE.c.kind, _MAILS)
        .where(NOTICE.c.at >= since, NOTICE.c.at < until)
        .where(NOTICE.c.kind != NoticeKind.DIGEST.value)
        .group_by(NOTICE.c.kind)
        .order_by(NOTICE.c.kind)
    )
    return {NoticeKind(row.kind): row.mails for row in connection.execute(query)}


def _pile(connection: Connection, state: State, master: Seal) -> Pile:
    of_state = (IS_UNDECIDED, MAIL.c.state == state.value)
    since = func.coalesce(MAIL.c.ended_at, MAIL.c.received_date)
    query = (
        select(
            MAIL.c.id, MAIL.c.person, MAIL.c.category, MAIL.c.because, MAIL.c.setting,
            since.label("since"),
        )
        .where(*of_state)
        .order_by(since, MAIL.c.id)
        .limit(LISTED_MAX)
    )  # fmt: skip
    return Pile(
        size=connection.execute(select(_MAILS).where(*of_state)).scalar_one(),
        listed=tuple(_listed(connection, row, master) for row in connection.execute(query).all()),
    )


def _listed(connection: Connection, row: Any, master: Seal) -> Listed:
    return Listed(
        id=row.id,
        since=row.since,
        category=row.category,
        because=_because(row, stored_seal(connection, row.person, master)),
        setting=row.setting,
    )


def _because(row: Any, seal: Seal | None) -> str:
    if seal is None:
        return ERASED
    try:
        return shortened(seal.open_text(row.because, f"because:{row.id}"))
    except Permanent:
        return ERASED

"""What the operator should know: written down once, in the transaction in which it happened."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, delete, func, select, update

from handlers.letter import NoticeKind
from handlers.store.models import NOTICE
from handlers.store.opening import insert_into
from smtpd.addresses import without_addresses
from smtpd.decoding import one_line

_AWAY, _BACK = ":away", ":back"


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """A notice that the operator has not been told yet."""

    id: int
    kind: NoticeKind
    at: datetime
    text: str
    email_id: str  # the mail it is about, "" for none


_BECAUSE_MAX = 160  # characters of one reason
_UNFORESEEN = "something that nobody foresaw"

# Both say that one sender is too much for us, and are told once a day together.
_TOLD_AS = {NoticeKind.CROWD: NoticeKind.FUSE}


def note(
    connection: Connection,
    kind: NoticeKind,
    key: str,
    text: str,
    at: datetime,
    email_id: str | None = None,
) -> bool:
    """Write the notice down, unless its key is known; whether it is new.

    The text is for a person and names no address and nothing of a mail but its id.
    """
    row = {
        "key": f"{_TOLD_AS.get(kind, kind)}:{key}",
        "kind": kind.value,
        "at": at,
        "text": text,
        "email_id": email_id,
    }
    return connection.execute(_note(insert_into(connection)), row).rowcount == 1


def shortened(because: str) -> str:
    """A reason in one line without addresses; a traceback may quote the mail, and stays sealed."""
    because = because.strip()
    return _UNFORESEEN if "\n" in because else without_addresses(one_line(because, _BECAUSE_MAX))


def of_sender(correspondent: str, at: datetime) -> str:
    """The key of a notice about one sender, once a day."""
    return f"sender:{correspondent}:{at:%Y-%m-%d}"


def taken(email_id: str) -> str:
    """What the operator hears of mail in a conversation that a person leads."""
    return f"mail {email_id} came in a conversation that a person leads"


@cache
def _note(insert_into_dialect: Any) -> Any:
    return insert_into_dialect(NOTICE).on_conflict_do_nothing()


def untold(connection: Connection, kinds: Collection[NoticeKind], limit: int) -> tuple[News, ...]:
    """The oldest notices of these kinds that nobody was told."""
    query = (
        select(NOTICE.c.id, NOTICE.c.kind, NOTICE.c.at, NOTICE.c.text, NOTICE.c.email_id)
        .where(NOTICE.c.sent_at.is_(None), NOTICE.c.kind.in_([kind.value for kind in kinds]))
        .order_by(NOTICE.c.id)
        .limit(limit)
    )
    return tuple(
        News(
            id=row.id,
            kind=NoticeKind(row.kind),
            at=row.at,
            text=row.text,
            email_id=row.email_id or "",
        )
        for row in connection.execute(query)
    )


def told(connection: Connection, ids: Sequence[int], at: datetime) -> None:
    """Remember that these were told; those of one mail have one moment in common."""
    connection.execute(update(NOTICE).where(NOTICE.c.id.in_(ids)).values(sent_at=at))


def mails_since(connection: Connection, since: datetime) -> int:
    """How many mails told the notices, the digests aside, that were told since then."""
    mails = func.count(NOTICE.c.sent_at.distinct())
    counted = NOTICE.c.kind != NoticeKind.DIGEST.value
    found = connection.execute(select(mails).where(NOTICE.c.sent_at > since, counted))
    return found.scalar_one()


def forget(connection: Connection, before: datetime) -> None:
    """Let go of what was told before then."""
    connection.execute(delete(NOTICE).where(NOTICE.c.sent_at < before))


def away(
    connection: Connection, neighbour: str, since: datetime, because: str, at: datetime
) -> None:
    """Note that a neighbour stays away, unless this outage was noted by another process."""
    if not _noted_away(connection, neighbour):
        text = f"{neighbour} has been away since {_shown(since)}: {because}"
        key = f"{neighbour}:{since.isoformat(timespec='seconds')}{_AWAY}"
        note(connection, NoticeKind.DOWN, key, text, at)


def back(connection: Connection, neighbour: str, at: datetime) -> None:
    """Note that a neighbour is back, where it was noted as away, be it by an earlier run."""
    if key := _noted_away(connection, neighbour):
        begun = key.removesuffix(_AWAY)
        since = datetime.fromisoformat(begun.removeprefix(f"{NoticeKind.DOWN}:{neighbour}:"))
        text = f"{neighbour} is back; it was away from {_shown(since)} until {_shown(at)}"
        note(connection, NoticeKind.DOWN, f"{neighbour}:{since.isoformat()}{_BACK}", text, at)


def _noted_away(connection: Connection, neighbour: str) -> str:
    """The key of the outage that was noted and is not over, "" for none."""
    query = (
        select(NOTICE.c.key)
        .where(NOTICE.c.key.startswith(f"{NoticeKind.DOWN}:{neighbour}:", autoescape=True))
        .order_by(NOTICE.c.id.desc())
        .limit(1)
    )
    newest: str = connection.execute(query).scalar_one_or_none() or ""
    return newest if newest.endswith(_AWAY) else ""


def _shown(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"

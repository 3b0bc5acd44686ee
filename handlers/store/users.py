"""People who write to us: their accounts, and what the administrator says of them."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from handlers.store.explaining import opened
from handlers.store.models import USER
from handlers.store.opening import insert_into
from handlers.store.people import stored_seal, sure_seal
from handlers.store.sealing import Seal


class Status(enum.StrEnum):
    """How a person stands with this house."""

    NORMAL = "normal"
    VIP = "vip"  # their mail goes first
    BLOCKED = "blocked"  # the administrator wants no answers to them
    STOPPED = "stopped"  # they want none


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What decides whether and how fast a person is answered."""

    status: Status = Status.NORMAL
    answers_per_hour: int | None = None  # None follows the setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One person, opened; an erased one has no words."""

    address: str
    name: str
    language: str  # "" follows the mail
    format: str  # "" is text and HTML
    status: Status
    answers_per_hour: int | None
    first_seen: datetime
    last_seen: datetime
    mails: int
    answers: int


_STANDING = select(USER.c.person, USER.c.status, USER.c.answers_per_hour).where(
    USER.c.person.in_(bindparam("persons", expanding=True))
)
_NEWEST = select(USER).order_by(USER.c.last_seen.desc(), USER.c.person)
_ONE = select(USER).where(USER.c.person == bindparam("who"))
_CHANGE = update(USER).where(USER.c.person == bindparam("who"))


def standing(connection: Connection, persons: Sequence[str]) -> dict[str, Standing]:
    """How these persons stand; whom we never met is not among them."""
    return {
        row.person: Standing(status=Status(row.status), answers_per_hour=row.answers_per_hour)
        for row in connection.execute(_STANDING, {"persons": list(set(persons))})
    }


def accounts(
    connection: Connection, master: Seal, status: Status | None, limit: int
) -> list[Account]:
    """The people of this status, or all of them, whoever wrote last first."""
    query = _NEWEST if status is None else _NEWEST.where(USER.c.status == status)
    rows = connection.execute(query.limit(limit)).all()
    return [_account(connection, row, master) for row in rows]


def account(connection: Connection, person: str, master: Seal) -> Account | None:
    """This person's account, None where they never wrote."""
    row = connection.execute(_ONE, {"who": person}).one_or_none()
    return None if row is None else _account(connection, row, master)


def change(connection: Connection, person: str, changes: Mapping[str, object]) -> bool:
    """Change these columns of the account; False where there is none."""
    return connection.execute(_CHANGE, {"who": person, **changes}).rowcount == 1


def create(connection: Connection, person: str, address: str, master: Seal, now: datetime) -> None:
    """Make the account of a person who has not written yet, and their key; else do nothing."""
    seal = sure_seal(connection, person, master)
    row = {
        "person": person,
        "address": seal.close_text(address, f"user.address:{person}"),
        "name": seal.close_text("", f"user.name:{person}"),
        "first_seen": now,
        "last_seen": now,
    }
    connection.execute(_create(insert_into(connection)), row)


@cache
def _create(insert_into_dialect: Any) -> Any:
    return insert_into_dialect(USER).on_conflict_do_nothing()


def _account(connection: Connection, row: Any, master: Seal) -> Account:
    seal = stored_seal(connection, row.person, master)
    return Account(
        address=opened(seal, row.address, f"user.address:{row.person}"),
        name=opened(seal, row.name, f"user.name:{row.person}"),
        language=row.language,
        format=row.format,
        status=Status(row.status),
        answers_per_hour=row.answers_per_hour,
        first_seen=row.first_seen,
        last_seen=row.last_seen,
        mails=row.mails,
        answers=row.answers,
    )

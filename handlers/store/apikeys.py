"""Keys to the HTTP API: made, found again by a keyed hash, and revoked."""

from __future__ import annotations

import enum
import hmac
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from handlers.store.models import API_KEY

NAME_MAX = 60  # characters, of what the column has room for

_ID_CHARACTERS = "abcdefghijkmnpqrstuvwxyz23456789"  # none that looks like another one
_ID_LENGTH = 8
_SECRET_BYTES = 32  # 43 characters, 256 bits: nobody guesses one
_TEXT = re.compile(rf"amx_(?P<id>[{_ID_CHARACTERS}]{{{_ID_LENGTH}}})_[A-Za-z0-9_-]{{43}}")
_NO_HASH = "0" * 64

_THIS = API_KEY.c.id == bindparam("key")
_FIND = select(API_KEY).where(_THIS)
_ALL = select(API_KEY).order_by(API_KEY.c.made_at, API_KEY.c.id)
_USED = update(API_KEY).where(_THIS).values(last_used_at=bindparam("now"))
_REVOKE = (
    update(API_KEY).where(_THIS, API_KEY.c.revoked_at.is_(None)).values(revoked_at=bindparam("now"))
)


class Scope(enum.StrEnum):
    """What a key opens."""

    READ = "read"
    OPERATE = "operate"
    PRIVACY = "privacy"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key as it may be shown."""

    id: str
    name: str
    scopes: tuple[Scope, ...]
    made_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


def make(
    connection: Connection, name: str, scopes: Collection[Scope], house_key: bytes, now: datetime
) -> str:
    """A new key's text, which is told this once and never again."""
    key_id = "".join(secrets.choice(_ID_CHARACTERS) for _ in range(_ID_LENGTH))
    text = f"amx_{key_id}_{secrets.token_urlsafe(_SECRET_BYTES)}"
    row = {
        "id": key_id,
        "hash": _hash(text, house_key),
        "name": name,
        "scopes": " ".join(scope for scope in Scope if scope in scopes),
        "made_at": now,
    }
    connection.execute(insert(API_KEY), row)
    return text


def id_in(text: str) -> str:
    """The id within a key's text; "" for what is no key."""
    found = _TEXT.fullmatch(text)
    return found["id"] if found else ""


def find(connection: Connection, text: str, house_key: bytes) -> ApiKey | None:
    """The key of this text; None for one that was never made, or was revoked."""
    row = connection.execute(_FIND, {"key": id_in(text)}).one_or_none()
    # Unknown or not: the time that comparing takes tells nothing of what is stored.
    right = hmac.compare_digest(_hash(text, house_key), row.hash if row else _NO_HASH)
    return _key(row) if row and right and row.revoked_at is None else None


def keys(connection: Connection) -> list[ApiKey]:
    """All that were ever made, the oldest first."""
    return [_key(row) for row in connection.execute(_ALL)]


def used(connection: Connection, key_id: str, now: datetime) -> None:
    """Remember when the key was used."""
    connection.execute(_USED, {"key": key_id, "now": now})


def revoke(connection: Connection, key_id: str, now: datetime) -> ApiKey | None:
    """Let the key open nothing from now on; as it was before. None where there is none."""
    row = connection.execute(_FIND, {"key": key_id}).one_or_none()
    if row is None:
        return None
    connection.execute(_REVOKE, {"key": key_id, "now": now})
    return _key(row)


def _key(row: Any) -> ApiKey:
    return ApiKey(
        id=row.id,
        name=row.name,
        scopes=tuple(Scope(word) for word in row.scopes.split()),
        made_at=row.made_at,
        last_used_at=row.last_used_at,
        revoked_at=row.revoked_at,
    )


def _hash(text: str, house_key: bytes) -> str:
    return hmac.new(house_key, text.encode("utf-8", "replace"), sha256).hexdigest()

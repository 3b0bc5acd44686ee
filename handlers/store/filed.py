"""Mail to postmaster@ and abuse@, read back to be passed on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from handlers.passing import passed_for
from handlers.store.models import MAIL
from handlers.store.people import stored_seal
from handlers.store.recalling import PIECES, Sealed, open_envelope, open_raw
from handlers.store.sealing import Seal
from smtpd.errors import Permanent
from smtpd.headers import scan_kept

# A mail above it is passed on by its header section: the operator's mailbox is no store.
WHOLE_MAX_BYTES = 1_048_576
# Of a large mail, so many pieces are opened for its header section: 1 MiB.
_PIECES_MAX = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class FiledMail:
    """A filed mail as far as it is passed on."""

    to: tuple[str, ...]  # postmaster, abuse
    raw: bytes  # of a large mail, its header section
    size_bytes: int

    @property
    def whole(self) -> bool:
        return self.size_bytes <= WHOLE_MAX_BYTES


def filed_mail(
    connection: Connection, email_id: str, master: Seal, house_domain: str
) -> FiledMail | None:
    """The mail with this id, None where it is gone or its author was erased."""
    query = select(MAIL.c.id, MAIL.c.person, MAIL.c.envelope, MAIL.c.raw, MAIL.c.raw_bytes)
    row = connection.execute(query.where(MAIL.c.id == email_id)).one_or_none()
    seal = stored_seal(connection, row.person, master) if row else None
    if row is None or seal is None:
        return None
    try:
        raw = open_raw(_sealed(connection, row), seal)
        _, rcpt_to, _ = open_envelope(row.envelope, row.id, seal)
    except Permanent:  # what the disk has spoilt must not keep the other notices back
        return None
    if row.raw_bytes > WHOLE_MAX_BYTES:
        raw = raw[: scan_kept(raw).body_at]
    return FiledMail(to=passed_for(rcpt_to, house_domain), raw=raw, size_bytes=row.raw_bytes)


def _sealed(connection: Connection, row: Any) -> Sealed:
    if row.raw is not None:
        return Sealed(row, ())
    pieces = PIECES.limit(_PIECES_MAX) if row.raw_bytes > WHOLE_MAX_BYTES else PIECES
    return Sealed(row, tuple(connection.execute(pieces, {"mail": row.id}).scalars()))

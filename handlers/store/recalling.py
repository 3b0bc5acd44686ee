"""Reading back: the claimed mail, and what waits in its conversation along with it."""

from __future__ import annotations

import json
from collections.abc import Set
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, select

from handlers.letter import Claim, Outgoing, Record, State
from handlers.store.claiming import HOLDING, held
from handlers.store.models import MAIL, USER, RawChunk
from handlers.store.sealing import Seal
from smtpd.headers import scan_kept
from smtpd.mail import Arrival, Peer

# A larger one has an answer of its own: all mails that are answered together are in memory.
_ALONG_BYTES = 1024 * 1024
_ALONG_MAX = 19

_ROW = select(
    MAIL.c.id, MAIL.c.thread_id, MAIL.c.joined_by, MAIL.c.person, MAIL.c.received_date,
    MAIL.c.envelope, MAIL.c.raw, MAIL.c.outgoing,
    select(USER.c.format).where(USER.c.person == MAIL.c.person).scalar_subquery().label("wants"),
)  # fmt: skip
_FETCH = _ROW.where(HOLDING)
_KEPT = _ROW.where(MAIL.c.id == bindparam("mail"))
PIECES = (
    select(RawChunk.sealed).where(RawChunk.email_id == bindparam("mail")).order_by(RawChunk.seq)
)
# What waits in a conversation is claimed by nobody else while one of its mails is.
_LEAD = MAIL.alias("lead")
_THREAD = select(_LEAD.c.thread_id).where(_LEAD.c.id == bindparam("mail")).scalar_subquery()
_WAITS_ALONG = (
    (MAIL.c.thread_id == _THREAD) & (MAIL.c.person == bindparam("author"))
    & (MAIL.c.id != bindparam("mail")) & (MAIL.c.state == State.WAITING)
    & MAIL.c.worker.is_(None) & (MAIL.c.raw_bytes <= _ALONG_BYTES)
)  # fmt: skip
_ALONG = _ROW.where(_WAITS_ALONG).order_by(MAIL.c.id.desc()).limit(_ALONG_MAX)
_ALONG_IDS = select(MAIL.c.id).where(_WAITS_ALONG).order_by(MAIL.c.id.desc()).limit(_ALONG_MAX)


@dataclass(frozen=True, slots=True)
class Sealed:
    """A mail's row as it lies in the database, with the pieces of a large message."""

    row: Any
    chunks: tuple[bytes, ...]


def fetch(connection: Connection, claimed: Claim) -> Sealed:
    """The row of the claim. Raises ClaimLost when it is no longer ours."""
    return _with_pieces(connection, held(connection, claimed, _FETCH))


def kept(connection: Connection, email_id: str) -> Sealed | None:
    """The row of the mail with this id, whoever works on it; None where there is none."""
    row = connection.execute(_KEPT, {"mail": email_id}).one_or_none()
    return None if row is None else _with_pieces(connection, row)


def along(connection: Connection, claimed: Claim) -> list[Sealed]:
    """The other mails of the claim's author that wait in its conversation, oldest first."""
    rows = connection.execute(_ALONG, _asked(claimed)).all()
    return [_with_pieces(connection, row) for row in reversed(rows)]


def more_waits(connection: Connection, claimed: Claim, known: Set[str]) -> bool:
    """Whether others than these wait by now."""
    waiting = connection.execute(_ALONG_IDS, _asked(claimed)).scalars()
    return not known >= set(waiting)


def _asked(claimed: Claim) -> dict[str, str]:
    return {"author": claimed.person, "mail": claimed.id}


def _with_pieces(connection: Connection, row: Any) -> Sealed:
    if row.raw is not None:
        return Sealed(row, ())
    return Sealed(row, tuple(connection.execute(PIECES, {"mail": row.id}).scalars()))


def open_record(sealed: Sealed, seal: Seal, now: datetime) -> Record:
    """The mail as it was kept."""
    row = sealed.row
    raw = open_raw(sealed, seal)
    mail_from, rcpt_to, peer = open_envelope(row.envelope, row.id, seal)
    outgoing = row.outgoing and seal.open(row.outgoing, f"outgoing:{row.id}")
    return Record(
        arrival=Arrival(
            id=row.id,
            peer=peer,
            mail_from=mail_from,
            rcpt_to=rcpt_to,
            raw=raw,
            # The door, whose limit is a setting, has bounded them.
            headers=scan_kept(raw),
            received_at=row.received_date,
        ),
        thread_id=row.thread_id,
        joined_by=row.joined_by,
        outgoing=unpack_outgoing(outgoing) if outgoing else None,
        fetched_at=now,
        wants=row.wants or "",
    )


def open_raw(sealed: Sealed, seal: Seal) -> bytes:
    """The message as it arrived."""
    ident = sealed.row.id
    if sealed.row.raw is not None:
        return seal.open(sealed.row.raw, f"raw:{ident}")
    return b"".join(
        seal.open(piece, f"raw_chunk:{ident}:{seq}") for seq, piece in enumerate(sealed.chunks)
    )


def open_envelope(
    sealed: bytes, ident: str, seal: Seal
) -> tuple[str, tuple[str, ...], Peer | None]:
    """MAIL FROM, RCPT TO and the peer of a kept mail."""
    envelope = json.loads(seal.open(sealed, f"envelope:{ident}"))
    peer = Peer(**envelope["peer"]) if envelope["peer"] else None
    return envelope["mail_from"], tuple(envelope["rcpt_to"]), peer


def pack_outgoing(outgoing: Outgoing) -> bytes:
    """Envelope and bytes of a reply as one piece: a JSON line, then the message."""
    envelope = {
        "message_id": outgoing.message_id,
        "mail_from": outgoing.mail_from,
        "rcpt_to": outgoing.rcpt_to,
    }
    return json.dumps(envelope).encode() + b"\n" + outgoing.raw


def unpack_outgoing(packed: bytes) -> Outgoing:
    envelope, _, raw = packed.partition(b"\n")
    return Outgoing(**json.loads(envelope), raw=raw)

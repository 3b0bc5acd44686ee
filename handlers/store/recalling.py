"""Reading back: the claimed mail, and what its author may see of the conversation."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, select

from handlers.letter import Claim, Outgoing, Said, State
from handlers.store.claiming import HOLDING, held
from handlers.store.models import MAIL, RawChunk
from handlers.store.sealing import Seal
from smtpd.mail import Peer

# Newest first until one of them is reached: a model's window is not endless.
_MESSAGES_RECALLED = 20
_TEXT_RECALLED = 64 * 1024

_FETCH = select(
    MAIL.c.id, MAIL.c.thread_id, MAIL.c.person, MAIL.c.received_date, MAIL.c.envelope, MAIL.c.raw,
    MAIL.c.outgoing,
).where(HOLDING)  # fmt: skip
_PIECES = (
    select(RawChunk.sealed).where(RawChunk.email_id == bindparam("mail")).order_by(RawChunk.seq)
)
_CONVERSATION = (
    select(
        MAIL.c.id, MAIL.c.received_date, MAIL.c.ended_at, MAIL.c.state, MAIL.c.new_text,
        MAIL.c.ai_response,
    )
    .where(MAIL.c.thread_id == bindparam("thread"), MAIL.c.person == bindparam("author"))
    .where(MAIL.c.id != bindparam("mail"), MAIL.c.new_text.is_not(None))
    .where(MAIL.c.received_date <= bindparam("until"))
    .order_by(MAIL.c.received_date.desc())
    .limit(_MESSAGES_RECALLED)
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sealed:
    """A claimed row as it lies in the database, with the pieces of a large message."""

    row: Any
    chunks: tuple[bytes, ...]


def fetch(connection: Connection, claimed: Claim) -> Sealed:
    """The row of the claim. Raises ClaimLost when it is no longer ours."""
    row = held(connection, claimed, _FETCH)
    if row.raw is not None:
        return Sealed(row, ())
    return Sealed(row, tuple(connection.execute(_PIECES, {"mail": row.id}).scalars()))


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


def conversation(
    connection: Connection, *, email_id: str, thread_id: str, person: str, before: datetime
) -> Sequence[Any]:
    """The sealed earlier messages of the thread that this person wrote or was answered in."""
    asked = {"mail": email_id, "thread": thread_id, "author": person, "until": before}
    return connection.execute(_CONVERSATION, asked).all()


def open_conversation(rows: Sequence[Any], seal: Seal) -> tuple[Said, ...]:
    """What was said, oldest first, as much as fits."""
    said: list[Said] = []
    room = _TEXT_RECALLED
    for row in rows:  # newest first
        if row.state == State.ANSWERED and row.ai_response is not None:
            answer = seal.open_text(row.ai_response, f"ai_response:{row.id}")
            said.append(Said(role="assistant", content=answer, date=row.ended_at))
            room -= len(answer)
        asked = seal.open_text(row.new_text, f"new_text:{row.id}")
        said.append(Said(role="user", content=asked, date=row.received_date))
        room -= len(asked)
        if room < 0:
            break
    return tuple(reversed(said))

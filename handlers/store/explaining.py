"""The whole story of one mail, opened from the database alone."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from handlers.store.models import Attachment, EmailMessage, Story
from handlers.store.people import stored_seal
from handlers.store.recalling import open_envelope
from handlers.store.sealing import Seal

ERASED = "(erased)"


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that happened, and why."""

    at: datetime
    event: str
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """What there is to tell about a mail; words of an erased person read ERASED."""

    id: str
    thread_id: str
    joined_by: str  # how it found its conversation, "" where it began one
    category: str
    state: str
    because: str
    setting: str  # the setting or command that would change it
    approved: bool  # a person wants it answered
    by_person: bool  # a person of the house wrote the answer
    sender: str
    recipient: str
    subject: str
    message_id: str
    mail_from: str
    peer: str
    raw_bytes: int
    evidence: dict[str, Any]
    attempts: int
    lost: int
    uncertain: int
    not_before: datetime | None
    attachments: tuple[str, ...]
    story: tuple[Line, ...]


def explain(connection: Connection, email_id: str, master: Seal) -> Explained | None:
    """The story of the mail with this id, None when there is no such mail."""
    columns = EmailMessage.__table__.columns
    query = select(*columns).where(EmailMessage.id == email_id)
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    seal = stored_seal(connection, row.person, master)
    return Explained(
        id=row.id,
        thread_id=row.thread_id,
        joined_by=row.joined_by,
        category=row.category,
        state=row.state,
        because=opened(seal, row.because, f"because:{row.id}"),
        setting=row.setting,
        approved=row.approved,
        by_person=row.by_person,
        sender=opened(seal, row.sender, f"sender:{row.id}"),
        recipient=opened(seal, row.recipient, f"recipient:{row.id}"),
        subject=opened(seal, row.subject, f"subject:{row.id}"),
        message_id=opened(seal, row.message_id, f"message_id:{row.id}"),
        raw_bytes=row.raw_bytes,
        evidence=json.loads(seal.open(row.evidence, f"evidence:{row.id}")) if seal else {},
        attempts=row.attempts,
        lost=row.lost,
        uncertain=row.uncertain,
        not_before=row.not_before,
        attachments=_attachments(connection, row.id, seal),
        story=_story(connection, row, seal),
        **_envelope(row, seal),
    )


def opened(seal: Seal | None, sealed: bytes, place: str) -> str:
    """What is sealed there, or ERASED where the person's key is gone."""
    return ERASED if seal is None else seal.open_text(sealed, place)


def _envelope(row: Any, seal: Seal | None) -> dict[str, str]:
    if seal is None:
        return {"mail_from": ERASED, "peer": ERASED}
    mail_from, _, peer = open_envelope(row.envelope, row.id, seal)
    met = f"{peer.ip} ({peer.helo}, {peer.tls or 'no TLS'})" if peer else "fetched by IMAP"
    return {"mail_from": mail_from, "peer": met}


def _attachments(connection: Connection, email_id: str, seal: Seal | None) -> tuple[str, ...]:
    query = select(Attachment.seq, Attachment.filename, Attachment.size, Attachment.what_was_read)
    found = connection.execute(
        query.where(Attachment.email_id == email_id).order_by(Attachment.seq)
    )
    return tuple(
        f"{opened(seal, row.filename, f'attachment.filename:{email_id}:{row.seq}')}, "
        f"{row.size} bytes, read: {row.what_was_read}"
        for row in found
    )


def _story(connection: Connection, row: Any, seal: Seal | None) -> tuple[Line, ...]:
    query = select(Story.at, Story.event, Story.because).where(Story.email_id == row.id)
    told = connection.execute(query.order_by(Story.id))
    later = [Line(one.at, one.event, opened(seal, one.because, f"story:{row.id}")) for one in told]
    return (Line(row.received_date, "received", f"{row.raw_bytes} bytes"), *later)

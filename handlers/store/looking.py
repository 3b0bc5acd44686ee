"""What there is: mails in a list, one mail in full, and its bytes; opened for a person."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, bindparam, func, select

from handlers.letter import UNDECIDED, Record, State
from handlers.store import recalling
from handlers.store.deciding import NO_SUCH_MAIL, UNREADABLE
from handlers.store.explaining import opened
from handlers.store.models import IS_UNDECIDED, MAIL, TAKEN_OVER, Attachment
from handlers.store.people import stored_seal
from handlers.store.sealing import Seal
from smtpd.errors import Permanent

_SUMMARY = (
    MAIL.c.id, MAIL.c.person, MAIL.c.thread_id, MAIL.c.received_date, MAIL.c.state,
    MAIL.c.category, MAIL.c.because, MAIL.c.setting, MAIL.c.sender, MAIL.c.subject,
)  # fmt: skip
_THIS = MAIL.c.id == bindparam("mail")
_LED_SINCE = select(TAKEN_OVER.c.at).where(TAKEN_OVER.c.thread_id == MAIL.c.thread_id)
_LOOK = select(
    *_SUMMARY, MAIL.c.recipient, MAIL.c.message_id, MAIL.c.evidence, MAIL.c.raw_bytes,
    MAIL.c.body_text, MAIL.c.ai_response, MAIL.c.by_person, MAIL.c.response_sent,
    _LED_SINCE.scalar_subquery().label("led_since"),
).where(_THIS)  # fmt: skip
_FILES = select(Attachment).where(Attachment.email_id == bindparam("mail")).order_by(Attachment.seq)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One mail in a list; words of an erased person read ERASED."""

    id: str
    thread_id: str
    received: datetime
    state: str
    category: str
    sender: str
    subject: str
    because: str
    setting: str  # the setting that would change it


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One attachment, and how much of it was read."""

    filename: str
    content_type: str
    size: int
    what_was_read: str
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """One mail in full."""

    entry: Entry
    recipient: str
    message_id: str
    size: int
    proven_by: str  # who its author was proven by, "" for nobody
    text: str | None  # None as long as no worker has read it
    attachments: tuple[File, ...]
    answer: str  # "" where none is written
    by_person: bool  # who wrote the answer
    answered: bool
    led_since: datetime | None  # since when a person leads the conversation


def listed(
    connection: Connection,
    master: Seal,
    *,
    states: Sequence[State] = (),
    person: str = "",
    thread_id: str = "",
    limit: int,
) -> list[Entry]:
    """Mails that stand so, of this person and of this mail's conversation.

    What a person has to decide comes with the oldest first, all else with the newest.
    """
    query: Select[Any] = select(*_SUMMARY)
    if tuple(states) == UNDECIDED:
        # In the order of the one index that knows them, however many others there are.
        query = query.where(IS_UNDECIDED)
        query = query.order_by(MAIL.c.ended_at.asc().nulls_first(), MAIL.c.id)
    else:
        # An id begins with the moment it was given.
        query = query.order_by(MAIL.c.id.desc())
        if states:
            query = query.where(MAIL.c.state.in_(states))
    if person:
        query = query.where(MAIL.c.person == person)
    if thread_id:
        lead = MAIL.alias()
        of_that_mail = select(lead.c.thread_id).where(lead.c.id == thread_id).scalar_subquery()
        # The mail that gave the conversation its id may be gone.
        query = query.where(MAIL.c.thread_id == func.coalesce(of_that_mail, thread_id))
    rows = connection.execute(query.limit(limit)).all()
    return [_entry(row, stored_seal(connection, row.person, master)) for row in rows]


def _entry(row: Any, seal: Seal | None) -> Entry:
    return Entry(
        id=row.id,
        thread_id=row.thread_id,
        received=row.received_date,
        state=row.state,
        category=row.category,
        sender=opened(seal, row.sender, f"sender:{row.id}"),
        subject=opened(seal, row.subject, f"subject:{row.id}"),
        because=opened(seal, row.because, f"because:{row.id}"),
        setting=row.setting,
    )


def look(connection: Connection, email_id: str, master: Seal) -> Whole:
    """The mail with all that is known of it. Raises Permanent where there is none."""
    row = connection.execute(_LOOK, {"mail": email_id}).one_or_none()
    if row is None:
        raise Permanent(NO_SUCH_MAIL)
    seal = stored_seal(connection, row.person, master)
    evidence = json.loads(seal.open(row.evidence, f"evidence:{row.id}")) if seal else {}
    text = row.body_text and opened(seal, row.body_text, f"body_text:{row.id}")
    answer = row.ai_response and opened(seal, row.ai_response, f"ai_response:{row.id}")
    return Whole(
        entry=_entry(row, seal),
        recipient=opened(seal, row.recipient, f"recipient:{row.id}"),
        message_id=opened(seal, row.message_id, f"message_id:{row.id}"),
        size=row.raw_bytes,
        proven_by=evidence.get("proven_by", "") if evidence.get("aligned") else "",
        text=text,
        attachments=_files(connection, row.id, seal),
        answer=answer or "",
        by_person=row.by_person,
        answered=row.response_sent,
        led_since=row.led_since,
    )


def _files(connection: Connection, email_id: str, seal: Seal | None) -> tuple[File, ...]:
    return tuple(
        File(
            filename=opened(seal, row.filename, f"attachment.filename:{email_id}:{row.seq}"),
            content_type=opened(seal, row.content_type, f"attachment.type:{email_id}:{row.seq}"),
            size=row.size,
            what_was_read=row.what_was_read,
            because=opened(seal, row.because, f"attachment.because:{email_id}:{row.seq}"),
        )
        for row in connection.execute(_FILES, {"mail": email_id})
    )


def record(connection: Connection, email_id: str, master: Seal, now: datetime) -> Record:
    """The mail as it came. Raises Permanent where there is none, or its author is erased."""
    sealed = recalling.kept(connection, email_id)
    if sealed is None:
        raise Permanent(NO_SUCH_MAIL)
    seal = stored_seal(connection, sealed.row.person, master)
    if seal is None:
        raise Permanent(UNREADABLE)
    return recalling.open_record(sealed, seal, now)

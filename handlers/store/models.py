"""The tables. Fields of the specification by their names; what a mail said is sealed bytes.

A column of type LargeBinary holds AES-256-GCM sealed bytes (handlers/store/sealing.py),
readable only with the key of the person the mail concerns.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import cast

from sqlalchemy import (
    ColumnElement,
    Double,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    Table,
    Text,
    literal_column,
    text,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from sqlalchemy.types import TypeDecorator

from handlers.letter import OWED, UNDECIDED, State


class Instant(TypeDecorator[datetime]):
    """An aware UTC datetime, kept as seconds since 1970.

    SQLite gives back naive datetimes and PostgreSQL takes a naive one for local
    time; a number is the same moment in both, and compares in SQL.
    """

    impl = Double
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> float | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive datetime names no moment")
        return value.timestamp()

    def process_result_value(self, value: float | None, dialect: Dialect) -> datetime | None:
        return None if value is None else datetime.fromtimestamp(value, UTC)


class Base(DeclarativeBase):
    """All tables of the house."""


def _one_of(states: Iterable[State]) -> str:
    return "state IN ({})".format(", ".join(f"'{state}'" for state in states))


_IS_OWED = text(_one_of(OWED))
_IN_LINE = text(f"{_one_of(OWED)} AND worker IS NULL")
_IS_UNDECIDED = text(_one_of(UNDECIDED))
_UNTOLD = text("sent_at IS NULL")
_HASHED = text("delivery_hash IS NOT NULL")


class EmailMessage(Base):
    """One mail we said 250 to, from arrival to ending."""

    __tablename__ = "email_message"

    # The specification's fields.
    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    message_id: Mapped[bytes] = mapped_column(LargeBinary)
    thread_id: Mapped[str] = mapped_column(String(32))
    sender: Mapped[bytes] = mapped_column(LargeBinary)
    recipient: Mapped[bytes] = mapped_column(LargeBinary)
    subject: Mapped[bytes] = mapped_column(LargeBinary)
    body_text: Mapped[bytes | None] = mapped_column(LargeBinary)
    body_html: Mapped[bytes | None] = mapped_column(LargeBinary)
    received_date: Mapped[datetime] = mapped_column(Instant)
    processed: Mapped[bool] = mapped_column(default=False)  # its story has an ending
    ai_response: Mapped[bytes | None] = mapped_column(LargeBinary)
    response_sent: Mapped[bool] = mapped_column(default=False)
    attachments: Mapped[list[Attachment]] = relationship()

    # The arrival as it came.
    person: Mapped[str] = mapped_column(String(32))  # keyed hash; whose key seals this row
    envelope: Mapped[bytes] = mapped_column(LargeBinary)  # JSON: mail_from, rcpt_to, peer
    raw: Mapped[bytes | None] = mapped_column(LargeBinary)  # None: in raw_chunk
    raw_bytes: Mapped[int]
    evidence: Mapped[bytes] = mapped_column(LargeBinary)  # JSON
    new_text: Mapped[bytes | None] = mapped_column(LargeBinary)
    category: Mapped[str] = mapped_column(String(16), default="person")
    correspondent: Mapped[str] = mapped_column(String(32))  # keyed hash; no +tag in its address
    domain_hash: Mapped[str] = mapped_column(String(32))  # of the author's organisation
    subject_hash: Mapped[str] = mapped_column(String(32))  # without Re: and the like; "" for none
    theme_hash: Mapped[str] = mapped_column(String(32))  # of the subject without its numbers
    joined_by: Mapped[str] = mapped_column(String(8), default="")  # how it found its thread
    delivery_hash: Mapped[str | None] = mapped_column(String(32), unique=True)
    message_hash: Mapped[str | None] = mapped_column(String(32), unique=True)
    message_id_hash: Mapped[str] = mapped_column(String(32))

    # Where it stands.
    state: Mapped[str] = mapped_column(String(12))
    because: Mapped[bytes] = mapped_column(LargeBinary)
    setting: Mapped[str] = mapped_column(String(64))
    urgent: Mapped[bool] = mapped_column(default=False)
    not_before: Mapped[datetime | None] = mapped_column(Instant)
    epoch: Mapped[str | None] = mapped_column(String(32))  # the queue memory it was put into
    claim: Mapped[int] = mapped_column(default=0)
    worker: Mapped[str | None] = mapped_column(String(64))
    attempts: Mapped[int] = mapped_column(default=0)
    last_attempt: Mapped[datetime | None] = mapped_column(Instant)
    lost: Mapped[int] = mapped_column(default=0)  # claims whose worker died
    uncertain: Mapped[int] = mapped_column(default=0)  # sends whose outcome nobody knows
    reserved: Mapped[bool] = mapped_column(default=False)  # counted in the hour's rates
    approved: Mapped[bool] = mapped_column(default=False)  # a person wants it answered
    decided_at: Mapped[datetime | None] = mapped_column(Instant)  # a person put it in line again
    ended_at: Mapped[datetime | None] = mapped_column(Instant)  # or when it was held

    # The reply as it leaves.
    outgoing: Mapped[bytes | None] = mapped_column(LargeBinary)
    outgoing_hash: Mapped[str | None] = mapped_column(String(32))  # of its Message-ID
    relay_id_hash: Mapped[str | None] = mapped_column(String(32))  # of the id in the relay's 250
    by_person: Mapped[bool] = mapped_column(default=False)  # a person of the house wrote it

    __table_args__ = (
        # Partial, so that their size is what is owed and not what ever was.
        Index("ix_in_line", "epoch", "id", sqlite_where=_IN_LINE, postgresql_where=_IN_LINE),
        Index(
            "ix_claimed",
            "worker",
            sqlite_where=text("worker IS NOT NULL"),
            postgresql_where=text("worker IS NOT NULL"),
        ),
        Index("ix_hashed", "received_date", sqlite_where=_HASHED, postgresql_where=_HASHED),
        Index("ix_thread_id", "thread_id"),
        Index("ix_message_id_hash", "message_id_hash"),
        Index("ix_outgoing_hash", "outgoing_hash"),
        Index("ix_person", "person"),
        Index("ix_relay_id_hash", "relay_id_hash"),
        Index("ix_subject_hash", "subject_hash", "person", "received_date"),
        Index("ix_waiting", "correspondent", sqlite_where=_IS_OWED, postgresql_where=_IS_OWED),
        Index(
            "ix_undecided", "ended_at", sqlite_where=_IS_UNDECIDED, postgresql_where=_IS_UNDECIDED
        ),
    )


class RawChunk(Base):
    """A piece of a large message, so that no row is larger than a piece."""

    __tablename__ = "raw_chunk"

    email_id: Mapped[str] = mapped_column(ForeignKey("email_message.id"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True)
    sealed: Mapped[bytes] = mapped_column(LargeBinary)


class Attachment(Base):
    """A file that came with a mail, and what was read of it."""

    __tablename__ = "attachment"

    email_id: Mapped[str] = mapped_column(ForeignKey("email_message.id"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True)
    filename: Mapped[bytes] = mapped_column(LargeBinary)
    content_type: Mapped[bytes] = mapped_column(LargeBinary)
    size: Mapped[int]
    sha256: Mapped[bytes] = mapped_column(LargeBinary)
    text: Mapped[bytes] = mapped_column(LargeBinary)
    what_was_read: Mapped[str] = mapped_column(String(64))
    because: Mapped[bytes] = mapped_column(LargeBinary)


class User(Base):
    """A person who writes to us."""

    __tablename__ = "user_account"  # "user" is a reserved word of SQL

    person: Mapped[str] = mapped_column(String(32), primary_key=True)
    address: Mapped[bytes] = mapped_column(LargeBinary)
    name: Mapped[bytes] = mapped_column(LargeBinary)
    language: Mapped[str] = mapped_column(String(16), default="")  # "" follows the mail
    format: Mapped[str] = mapped_column(String(8), default="")  # "" is text and HTML
    status: Mapped[str] = mapped_column(String(8), default="normal")
    answers_per_hour: Mapped[int | None]  # None follows the setting
    first_seen: Mapped[datetime] = mapped_column(Instant)
    last_seen: Mapped[datetime] = mapped_column(Instant)
    mails: Mapped[int] = mapped_column(default=0)
    answers: Mapped[int] = mapped_column(default=0)


class PersonKey(Base):
    """The key that seals all that concerns one person, wrapped by the master key."""

    __tablename__ = "person_key"

    person: Mapped[str] = mapped_column(String(32), primary_key=True)
    wrapped: Mapped[bytes] = mapped_column(LargeBinary)


class HouseKey(Base):
    """A key of the house, made once and never changed, wrapped by the master key."""

    __tablename__ = "house_key"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    wrapped: Mapped[bytes] = mapped_column(LargeBinary)


class Heartbeat(Base):
    """When a process that works on mail was last seen, by the database's clock."""

    __tablename__ = "heartbeat"

    worker: Mapped[str] = mapped_column(String(64), primary_key=True)
    seen_at: Mapped[float] = mapped_column(Double)


class Rate(Base):
    """Answers of late in one scope; one row, so that counting is exact."""

    __tablename__ = "rate"

    scope: Mapped[str] = mapped_column(String(32), primary_key=True)  # a person, or one of rates.py
    minutes: Mapped[str] = mapped_column(Text)  # JSON: {minute (or hour) since 1970: answers}


class Addressee(Base):
    """Who else stood in To or Cc of a mail whose author was proven: they may see it."""

    __tablename__ = "addressee"

    email_id: Mapped[str] = mapped_column(ForeignKey("email_message.id"), primary_key=True)
    person: Mapped[str] = mapped_column(String(32), primary_key=True)


class Turn(Base):
    """One answer that was begun: what the fuses count, by keyed hashes."""

    __tablename__ = "turn"

    email_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    at: Mapped[datetime] = mapped_column(Instant, index=True)
    correspondent: Mapped[str] = mapped_column(String(32))
    domain_hash: Mapped[str] = mapped_column(String(32))
    thread_id: Mapped[str] = mapped_column(String(32), index=True)
    subject_hash: Mapped[str] = mapped_column(String(32))
    theme_hash: Mapped[str] = mapped_column(String(32))
    person_seen: Mapped[bool] = mapped_column(default=False)  # the mail showed signs of a person

    __table_args__ = (
        Index("ix_turn_correspondent", "correspondent", "at"),
        Index("ix_turn_domain_hash", "domain_hash", "at"),
    )


class TakenOver(Base):
    """A conversation that a person of the house leads: the AI is silent in it."""

    __tablename__ = "taken_over"

    thread_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    at: Mapped[datetime] = mapped_column(Instant)


class Switch(Base):
    """What is switched off for the whole house, and since when."""

    __tablename__ = "switch"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    at: Mapped[datetime] = mapped_column(Instant)


class ApiKey(Base):
    """A key to the HTTP API. The key itself is nowhere: only its keyed hash is."""

    __tablename__ = "api_key"

    id: Mapped[str] = mapped_column(String(8), primary_key=True)  # shown, and part of the key
    hash: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(String(64))
    scopes: Mapped[str] = mapped_column(String(64))  # words, with spaces between them
    made_at: Mapped[datetime] = mapped_column(Instant)
    last_used_at: Mapped[datetime | None] = mapped_column(Instant)
    revoked_at: Mapped[datetime | None] = mapped_column(Instant)


class Notice(Base):
    """Something to tell the operator, once; it holds nothing of a mail."""

    __tablename__ = "notice"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    key: Mapped[str] = mapped_column(String(100), unique=True)  # the same thing is told once
    kind: Mapped[str] = mapped_column(String(16))
    at: Mapped[datetime] = mapped_column(Instant)
    text: Mapped[str] = mapped_column(Text)
    email_id: Mapped[str | None] = mapped_column(String(32))  # the mail it is about
    sent_at: Mapped[datetime | None] = mapped_column(Instant)

    __table_args__ = (Index("ix_untold", "id", sqlite_where=_UNTOLD, postgresql_where=_UNTOLD),)


class Story(Base):
    """What happened to a mail after its arrival, in order."""

    __tablename__ = "story"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    email_id: Mapped[str] = mapped_column(ForeignKey("email_message.id"), index=True)
    at: Mapped[datetime] = mapped_column(Instant)
    event: Mapped[str] = mapped_column(String(16))
    because: Mapped[bytes] = mapped_column(LargeBinary)


# What the store's statements are made of. They are made once, when their module is loaded:
# building one anew costs several times what running it does.
MAIL = cast(Table, EmailMessage.__table__)
USER = cast(Table, User.__table__)
RATE = cast(Table, Rate.__table__)
TURN = cast(Table, Turn.__table__)
ADDRESSEE = cast(Table, Addressee.__table__)
TAKEN_OVER = cast(Table, TakenOver.__table__)
SWITCH = cast(Table, Switch.__table__)
API_KEY = cast(Table, ApiKey.__table__)
NOTICE = cast(Table, Notice.__table__)

# Spelled with its words in it, as in the partial indexes: of a parameter the planner
# cannot know that it is one of them.
IS_OWED: ColumnElement[bool] = MAIL.c.state.in_([literal_column(f"'{state}'") for state in OWED])
IS_UNDECIDED: ColumnElement[bool] = MAIL.c.state.in_(
    [literal_column(f"'{state}'") for state in UNDECIDED]
)

"""What a mail is, once it is ours: claimed, read, answered, written, ended."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime

from smtpd.mail import Arrival


class State(enum.StrEnum):
    """Where a kept mail stands. The first three are owed; the last three are endings."""

    WAITING = "waiting"  # in line for a worker, or with one
    WRITTEN = "written"  # the reply's bytes are stored
    SENDING = "sending"  # the relay may be taking them at this moment
    HELD = "held"  # a person decides
    KEPT = "kept"  # filed; nothing is owed
    ANSWERED = "answered"
    UNANSWERED = "unanswered"
    FAILED = "failed"  # parked with its traceback


OWED = (State.WAITING, State.WRITTEN, State.SENDING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """The queue's unit: a mail we said 250 to."""

    id: str
    owed: bool  # False for what is held, filed, or a copy of another mail
    urgent: bool = False  # a live conversation goes first


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The right to work on one mail, given by the database and void once taken over."""

    id: str
    number: int  # counts claims of this mail; the compare-and-set key
    person: str  # keyed hash of the author's address
    attempts: int  # this one included
    uncertain: int = 0  # sends whose outcome nobody knows
    lost: int = 0  # earlier claims whose worker died
    urgent: bool = False
    received_at: datetime  # UTC


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """Signed bytes and their envelope, ready for the relay."""

    message_id: str  # with its angle brackets
    mail_from: str
    rcpt_to: str
    raw: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A claimed mail as the database kept it."""

    arrival: Arrival
    thread_id: str
    outgoing: Outgoing | None  # the reply, where an earlier attempt wrote it
    fetched_at: datetime  # UTC; "now" for the pure rules that judge this record

    @property
    def author(self) -> str:
        """The address an answer goes to, "" where the mail names no single author."""
        return self.arrival.facts.author


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """One attached file and what became of it."""

    filename: str
    content_type: str
    size: int  # bytes, decoded
    sha256: str
    text: str  # what could be read of it, "" for nothing
    what_was_read: str  # "all", "the first N characters", "nothing"
    because: str  # why no more was read, "" where all was


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A mail as a person would read it."""

    sender: str
    sender_name: str
    subject: str
    message_id: str
    references: tuple[str, ...]  # oldest first, In-Reply-To included
    body_text: str  # the whole text
    body_html: str
    new_text: str  # without quotes and signature; body_text where that leaves nothing
    attachments: tuple[Attachment, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One earlier message of a conversation."""

    role: str  # "user" or "assistant", the AI interface's words
    content: str
    date: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the AI said."""

    text: str
    model: str
    tokens_used: int = 0
    processing_time_s: float = 0.0
    suggested_subject: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a mail's story ended, or that a person must decide; written once."""

    what: State  # HELD, ANSWERED, UNANSWERED or FAILED
    because: str
    setting: str = ""  # the setting that would change it

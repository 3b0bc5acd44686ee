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


class NoticeKind(enum.StrEnum):
    """What the operator is told of."""

    FUSE = "fuse"  # one blew
    CROWD = "crowd"  # too many mails of one sender wait
    STOP = "stop"  # sending was stopped, or goes on
    PARKED = "parked"  # a mail keeps failing
    DOWN = "down"  # the relay or the AI core is away, or back
    TAKEN = "taken"  # mail came in a conversation that a person leads
    FILED = "filed"  # mail to postmaster@ or abuse@, passed on
    DIGEST = "digest"  # the day in numbers


OWED = (State.WAITING, State.WRITTEN, State.SENDING)
UNDECIDED = (State.HELD, State.FAILED)  # they wait for a person


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """The queue's unit: a mail we said 250 to."""

    id: str
    owed: bool  # False for what is held, filed, or a copy of another mail
    urgent: bool = False  # a live conversation goes first
    due: datetime | None = None  # None: now


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
    approved: bool = False  # a person wants it answered, whatever the rules say
    received_at: datetime  # UTC
    decided_at: datetime | None = None  # when a person put it in line again

    @property
    def owed_since(self) -> datetime:
        """From when on its age counts."""
        return self.decided_at or self.received_at


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
    joined_by: str = ""  # how it found its conversation
    outgoing: Outgoing | None  # the reply, where an earlier attempt wrote it
    fetched_at: datetime  # UTC; "now" for the pure rules that judge this record
    wants: str = ""  # "text": its author wants no HTML

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
class Past:
    """What was before a mail, in its conversation and with its author."""

    said: tuple[Said, ...] = ()  # what the author may see, oldest first
    joined_by: str = ""  # how the mail found its conversation, "" where it began one
    answered_at: datetime | None = None  # our newest answer to this author in it
    turns: int = 0  # answers in the conversation since a person last showed
    turns_today: int = 0
    on_this_subject: int = 0  # answers to the author on this subject in three hours
    known_since: datetime | None = None  # the author's first mail, None where this is it
    vip: bool = False  # the house has said that the author is somebody
    taken_over: bool = False  # a person of the house leads the conversation


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A mail with all that is answered along with it, and what was before."""

    letter: Letter  # of several mails together, the newest one's fields and everybody's text
    past: Past
    along: tuple[tuple[str, Letter], ...] = ()  # the other mails' ids and letters
    waited: frozenset[str] = frozenset()  # ids of all that waited then, answered along or not
    answered_within_s: float | None = None  # since our newest answer, None where it names none
    person_seen: bool = False  # somebody read our answer and wrote


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
    fuse: str = ""  # the fuse that blew
    category: str = ""  # what the mail turned out to be, where reading it told

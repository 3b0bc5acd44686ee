"""What a mail is, at each step of its way in. Frozen: a stage adds, none edits."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import datetime

from smtpd.facts import Facts, facts
from smtpd.headers import Headers
from smtpd.replies import Reply


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Who is at the other end of an SMTP session."""

    ip: str
    helo: str
    tls: str  # protocol version as OpenSSL names it, "" for plain text


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """What the wire said, before anyone judged it."""

    id: str  # becomes the ticket's id
    peer: Peer | None  # None when IMAP polling fetched it
    mail_from: str  # "" is the null sender, RFC 5321 section 4.5.5
    rcpt_to: tuple[str, ...]
    raw: bytes  # exactly as received, dots unstuffed, CRLF line ends
    headers: Headers
    received_at: datetime  # UTC
    facts: Facts = field(init=False)  # read from the headers once, at birth

    def __post_init__(self) -> None:
        object.__setattr__(self, "facts", facts(self.headers, self.mail_from))


class Result(enum.StrEnum):
    """Authentication results, in the words of RFC 8601 section 2.7, and one of our own."""

    NOT_CHECKED = "not checked"
    NONE = "none"
    PASS = "pass"  # noqa: S105 (a result, not a password)
    FAIL = "fail"
    TEMPERROR = "temperror"
    PERMERROR = "permerror"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What DNS and mathematics say about an arrival. Facts, no opinion."""

    spf: Result = Result.NOT_CHECKED
    dkim: Result = Result.NOT_CHECKED
    dmarc: Result = Result.NOT_CHECKED
    aligned: bool = False  # a passed SPF or DKIM identity belongs to the From domain


class Action(enum.StrEnum):
    """What becomes of a mail at the door."""

    ANSWER = "answer"  # take it and queue it
    HOLD = "hold"  # take it; a person decides
    KEEP = "keep"  # take it and file it; never answered
    REJECT = "reject"  # 5xx
    DEFER = "defer"  # 4xx


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What we do with an arrival, what the peer hears, and why."""

    action: Action
    reply: Reply
    because: str  # for our log and `explain`, never for the peer
    setting: str = ""  # the setting that would change it, "" where none does

    @property
    def takes_the_mail(self) -> bool:
        return self.action in (Action.ANSWER, Action.HOLD, Action.KEEP)

"""What a mail is, at each step of its way in. Frozen: a stage adds, none edits."""

from __future__ import annotations

import enum
from copy import copy
from dataclasses import dataclass, field
from datetime import datetime

from smtpd.category import A_PERSON, Kind
from smtpd.facts import Facts, facts
from smtpd.headers import Headers
from smtpd.replies import Reply


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Who is at the other end of an SMTP session."""

    ip: str
    helo: str
    tls: str  # protocol version as OpenSSL names it, "" for plain text
    extended: bool = True  # it said EHLO
    known: bool = True  # False where `ip` is a gateway's or a private one, not the client's own


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """What the wire said, before anyone judged it."""

    id: str  # becomes the ticket's id
    peer: Peer | None  # None when IMAP polling fetched it
    mail_from: str  # "" is the null sender, RFC 5321 section 4.5.5
    rcpt_to: tuple[str, ...]
    raw: bytes  # as received, dots unstuffed, CRLF line ends; once kept, under our trace fields
    headers: Headers
    received_at: datetime  # UTC
    facts: Facts = field(init=False)  # read from the headers once, at birth

    def __post_init__(self) -> None:
        object.__setattr__(self, "facts", facts(self.headers, self.mail_from))

    def kept_as(self, raw: bytes, headers: Headers) -> Arrival:
        """The same arrival with these bytes; what the mail says of itself was read before."""
        kept = copy(self)
        object.__setattr__(kept, "raw", raw)
        object.__setattr__(kept, "headers", headers)
        return kept


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
    kind: Kind = A_PERSON  # the mail is filed under its category

    @property
    def takes_the_mail(self) -> bool:
        return self.action in (Action.ANSWER, Action.HOLD, Action.KEEP)

"""Arrivals for tests: a mail as text in, an Arrival out."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime

from smtpd.headers import scan
from smtpd.mail import Action, Arrival, Peer, Verdict
from smtpd.replies import QUEUED

_serial = itertools.count(1)

ANSWER = Verdict(action=Action.ANSWER, reply=QUEUED, because="no rule objected")
HOLD = Verdict(action=Action.HOLD, reply=QUEUED, because="not proven", setting="UNPROVEN_SENDER")
KEEP = Verdict(action=Action.KEEP, reply=QUEUED, because="a bounce")


def mail(
    body: str = "May I ask something?",
    *,
    sender: str = "ada@example.org",
    subject: str = "A question",
    message_id: str = "",
    references: str = "",
    extra: str = "",
) -> bytes:
    """A small mail; without a Message-ID given, one of its own."""
    message_id = message_id or f"<m{next(_serial)}@example.org>"
    lines = [
        f"From: Ada <{sender}>",
        "To: ai@us.example",
        f"Subject: {subject}",
        "Date: Mon, 23 Nov 2026 10:00:00 +0000",
        f"Message-ID: {message_id}",
        *([f"In-Reply-To: {references}", f"References: {references}"] if references else []),
        *([extra] if extra else []),
        "",
        body,
        "",
    ]
    return "\n".join(lines).replace("\n", "\r\n").encode()


def arrival(
    raw: bytes | None = None,
    *,
    mail_from: str = "ada@example.org",
    rcpt_to: tuple[str, ...] = ("ai@us.example",),
    received_at: datetime | None = None,
) -> Arrival:
    """An arrival with an id of its own."""
    raw = mail() if raw is None else raw
    return Arrival(
        id=f"t{next(_serial):025}",
        peer=Peer(ip="192.0.2.7", helo="mx.example.org", tls=""),
        mail_from=mail_from,
        rcpt_to=rcpt_to,
        raw=raw,
        headers=scan(raw),
        received_at=received_at or datetime.now(UTC),
    )

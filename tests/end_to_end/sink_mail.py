"""What the sink behind the relay received, read as its recipients would read it."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage

import dkim

from tests.end_to_end.house import until
from tests.servers.smtp_sink import SmtpSink, SunkMail


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One reply of ours as it arrived."""

    mail_from: str
    rcpt_to: tuple[str, ...]
    raw: bytes  # with CRLF line ends
    parsed: EmailMessage

    @classmethod
    def of(cls, sunk: SunkMail) -> Reply:
        raw = re.sub(rb"\r?\n", b"\r\n", sunk.raw)
        parsed = message_from_bytes(raw, policy=policy.default)
        assert isinstance(parsed, EmailMessage)
        return cls(mail_from=sunk.mail_from, rcpt_to=sunk.rcpt_to, raw=raw, parsed=parsed)

    @property
    def to(self) -> str:
        return str(self.parsed["To"])

    @property
    def message_id(self) -> str:
        return str(self.parsed["Message-ID"])

    @property
    def in_reply_to(self) -> str:
        return str(self.parsed["In-Reply-To"])

    @property
    def auto_submitted(self) -> str:
        return str(self.parsed["Auto-Submitted"])

    @property
    def text(self) -> str:
        body = self.parsed.get_body(("plain",))
        return str(body.get_content()) if body else ""

    @property
    def signed_by(self) -> str:
        """The DNS name of the key that is said to have signed it."""
        found = re.findall(r"\b([ds])=([^;\s]+)", str(self.parsed["DKIM-Signature"]))
        named = dict(found)
        return f"{named['s']}._domainkey.{named['d']}"

    def is_signed(self, record: str) -> bool:
        """Whether dkimpy accepts its signature, given our key's TXT record."""
        records = {f"{self.signed_by}.".encode(): record.encode()}
        return bool(dkim.verify(self.raw, dnsfunc=lambda name, **_: records.get(name)))


def wait_for_replies(sink: SmtpSink, count: int, *, timeout_s: float = 60) -> list[Reply]:
    """The replies, once so many are there. Raises ServerTrouble after the time is up."""
    until(
        lambda: len(sink.mails()) >= count,
        what=f"{count} replies",
        timeout_s=timeout_s,
        every_s=0.3,
    )
    return replies(sink)


def replies(sink: SmtpSink) -> list[Reply]:
    """Everything the sink holds."""
    return [Reply.of(sunk) for sunk in sink.mails()]


def by_question(found: list[Reply]) -> dict[str, list[Reply]]:
    """The replies by the Message-ID they answer."""
    answered: dict[str, list[Reply]] = defaultdict(list)
    for reply in found:
        answered[reply.in_reply_to].append(reply)
    return dict(answered)

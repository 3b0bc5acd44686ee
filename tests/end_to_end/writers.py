"""People who write: mails of different senders, sent over several connections, each timed."""

from __future__ import annotations

import smtplib
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime

from tests.end_to_end.house import ADDRESS
from tests.servers.process import HOST

REPLY_TIMEOUT_S = 60.0
_FIRST_DAY = date(2001, 1, 1)
# To a fuse, subjects that differ in numbers alone are one program's.
_IN_LETTERS = str.maketrans("0123456789", "abcdefghij")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """One mail. Its `mark`, a date nobody else's mail has, comes back in the right answer."""

    sender: str
    message_id: str
    mark: str
    raw: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What the server said at the end of DATA, and how long that took; 0 for a lost connection."""

    mail: Mail
    code: int
    text: str
    seconds: float
    began_at: float  # time.monotonic() at the end of the data

    @property
    def ticket(self) -> str:
        return self.text.rpartition(" ")[2] if self.code == 250 else ""


def write(
    number: int,
    *,
    sender: str = "",
    subject: str = "",
    body: str = "",
    written_at: datetime | None = None,
) -> Mail:
    """The mail of that number; without a `sender` given, of a person of its own."""
    sender = sender or f"writer{number}@people{number % 7}.example"
    mark = (_FIRST_DAY + timedelta(days=number)).isoformat()
    message_id = f"<question-{number}@people.example>"
    text = body or f"Hello, what is my notice period? I began on {mark}. Thank you."
    about = subject or f"My question {number}".translate(_IN_LETTERS)
    lines = [
        f"From: Writer {number} <{sender}>",
        f"To: {ADDRESS}",
        f"Subject: {about}",
        f"Date: {format_datetime(written_at or datetime.now(UTC))}",
        f"Message-ID: {message_id}",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Transfer-Encoding: 8bit",
        "",
        text,
        "",
    ]
    raw = "\n".join(lines).replace("\n", "\r\n").encode()
    return Mail(sender=sender, message_id=message_id, mark=mark, raw=raw)


def write_many(count: int, *, first: int = 1) -> list[Mail]:
    """Mails of so many different people."""
    return [write(number) for number in range(first, first + count)]


def send(port: int, mails: Sequence[Mail], *, connections: int = 8) -> list[Sent]:
    """Send all, each connection one after the other; what was said to each, in some order."""
    parts = [mails[start::connections] for start in range(connections)]
    with ThreadPoolExecutor(connections) as pool:
        return [
            sent for part in pool.map(lambda part: _send_on_one(port, part), parts) for sent in part
        ]


def send_until_taken(port: int, mails: Sequence[Mail], *, timeout_s: float = 60) -> list[Sent]:
    """Send as a mail server does: what is not taken is sent again. Every attempt's outcome."""
    ends_at = time.monotonic() + timeout_s
    outcomes: list[Sent] = []
    left = list(mails)
    while left:
        tried = send(port, left)
        outcomes += tried
        left = [sent.mail for sent in tried if sent.code != 250]
        if left:
            if time.monotonic() > ends_at:
                raise TimeoutError(f"{len(left)} mails were not taken: {tried[-1]}")
            time.sleep(0.3)  # between two tries of a mail server, whatever it waits for
    return outcomes


def taken(outcomes: Iterable[Sent]) -> list[Sent]:
    """Those that got 250."""
    return [sent for sent in outcomes if sent.code == 250]


def _send_on_one(port: int, mails: Sequence[Mail]) -> list[Sent]:
    done: list[Sent] = []
    client: smtplib.SMTP | None = None
    for mail in mails:
        began_at = time.monotonic()
        try:
            client = client or _connected(port)
            done.append(_send_one(client, mail))
        except (smtplib.SMTPException, OSError) as error:
            client = None
            said = type(error).__name__
            done.append(Sent(mail=mail, code=0, text=said, seconds=0.0, began_at=began_at))
    if client is not None:
        client.close()
    return done


def _connected(port: int) -> smtplib.SMTP:
    client = smtplib.SMTP(HOST, port, timeout=REPLY_TIMEOUT_S)
    client.ehlo("people.example")
    return client


def _send_one(client: smtplib.SMTP, mail: Mail) -> Sent:
    for command in (f"MAIL FROM:<{mail.sender}>", f"RCPT TO:<{ADDRESS}>", "DATA"):
        code, said = client.docmd(command)
        if code >= 400:
            client.rset()
            return _sent(mail, code, said, time.monotonic())
    began_at = time.monotonic()
    client.send(mail.raw + b".\r\n")
    code, said = client.getreply()
    return _sent(mail, code, said, began_at)


def _sent(mail: Mail, code: int, said: bytes, began_at: float) -> Sent:
    seconds = time.monotonic() - began_at
    return Sent(mail=mail, code=code, text=said.decode(), seconds=seconds, began_at=began_at)

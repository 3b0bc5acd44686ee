"""The bytes of a mail to the operator. Pure; handlers/operatorwriting.py writes its words.

What a stranger wrote is only ever attached, and its octets are left alone.
"""

from __future__ import annotations

import base64
import enum
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime

from handlers.encoding import body_part, field, mailbox, unstructured
from handlers.store.filed import FiledMail
from smtpd.addresses import normal
from smtpd.decoding import clean
from smtpd.noticeid import notice_id

NAME = "AnswerMX"
_SUBJECT_MAX = 90  # characters behind the domain; a list of mails shows hardly more
_LINE_OCTETS_MAX = 998  # RFC 5322 section 2.1.1


class Form(enum.StrEnum):
    """How a filed mail is passed on."""

    MESSAGE = "message"  # as itself, message/rfc822
    FILE = "file"  # base64, where it cannot travel as itself
    HEADER = "header"  # its header section, where it is large
    NOTHING = "nothing"  # named by its id


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Who writes to whom. Raises ValueError for what is no address."""

    address: str  # in our From field
    domain: str
    operator: str
    mail_from: str = ""  # "": no bounce of a notice comes back

    def __post_init__(self) -> None:
        for address in (self.address, self.operator, f"notice@{self.domain}"):
            if not normal(address):
                raise ValueError(f"{address!r} is no address to write from, or to")


def compose(
    desk: Desk,
    subject: str,
    text: str,
    attached: Sequence[bytes] = (),
    *,
    now: datetime,
    token: str,
) -> bytes:
    """The mail, unsigned. `attached` is one more body part as it stands."""
    head = (
        field("From", *mailbox(NAME, desk.address)),
        field("To", desk.operator),
        field("Subject", *unstructured(f"[{desk.domain}] {_shortened(subject)}")),
        field("Date", *format_datetime(now.astimezone(UTC)).split()),
        field("Message-ID", notice_id(token, desk.domain)),
        field("Auto-Submitted", "auto-generated"),  # RFC 3834 section 5
        # Unlike a reply's: not even a bounce of it is of use to anybody.
        field("X-Auto-Response-Suppress", "All"),
        field("MIME-Version", "1.0"),
    )
    said = body_part("text/plain", clean(text))
    if not attached:
        return b"".join((*head, *said))
    boundary = _boundary(token, attached)
    delimiter = f"\r\n--{boundary}".encode()
    kind = field("Content-Type", "multipart/mixed;", f'boundary="{boundary}"')
    parts = (*head, kind, delimiter, b"\r\n", *said, delimiter, b"\r\n", *attached, delimiter)
    return b"".join((*parts, b"--\r\n"))


def _shortened(subject: str) -> str:
    return textwrap.shorten(clean(subject), _SUBJECT_MAX, placeholder=" ...")


def _boundary(token: str, attached: Iterable[bytes]) -> str:
    """One that does not stand in what is attached (RFC 2046 section 5.1.1)."""
    boundary = f"=_{token}"
    while any(boundary.encode() in piece for piece in attached):
        boundary += "_"
    return boundary


def forms(mail: FiledMail | None) -> tuple[Form, ...]:
    """The forms to try, the best first."""
    if mail is None:
        return (Form.NOTHING,)
    if not mail.whole:
        return (Form.HEADER, Form.NOTHING)
    if _is_line_data(mail.raw):
        return (Form.MESSAGE, Form.FILE, Form.NOTHING)
    return (Form.FILE, Form.NOTHING)


def attachment(mail: FiledMail, form: Form, email_id: str) -> tuple[bytes, ...]:
    """The body part that holds the mail."""
    if form is Form.MESSAGE:
        # RFC 2046 section 5.2.1: never encoded, and so every octet stays as it came.
        encoding = "7bit" if mail.raw.isascii() else "8bit"
        kind, name, content = "message/rfc822", f"{email_id}.eml", mail.raw
    elif form is Form.FILE:
        encoding, content = "base64", _base64(mail.raw)
        kind, name = "application/octet-stream", "message.eml"
    elif form is Form.HEADER:
        plain = mail.raw.isascii() and _is_line_data(mail.raw)
        encoding, content = ("7bit", mail.raw) if plain else ("base64", _base64(mail.raw))
        kind, name = "text/rfc822-headers", f"{email_id}.txt"
    else:
        return ()
    return (
        field("Content-Type", kind),
        field("Content-Transfer-Encoding", encoding),
        field("Content-Disposition", "attachment;", f'filename="{name}"'),
        b"\r\n",
        content,
    )


def _is_line_data(raw: bytes) -> bool:
    """Whether it may travel as 7bit or 8bit (RFC 2045 sections 2.7 and 2.8)."""
    return b"\0" not in raw and max(map(len, raw.split(b"\r\n"))) <= _LINE_OCTETS_MAX


def _base64(data: bytes) -> bytes:
    return base64.encodebytes(data).replace(b"\n", b"\r\n")

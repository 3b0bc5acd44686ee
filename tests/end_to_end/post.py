"""Mails with fields and an envelope of a test's own: composed, changed on the way, handed in."""

from __future__ import annotations

import re
import smtplib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid

from tests.end_to_end.house import ADDRESS, House
from tests.servers.process import HOST

_FIELD = re.compile(rb"([!-9;-~]+):[^\r\n]*(?:\r\n[ \t][^\r\n]*)*\r\n")
_NO_FIELDS: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """A mail and its envelope."""

    mail_from: str
    rcpt_to: tuple[str, ...] = (ADDRESS,)
    raw: bytes  # with CRLF line ends

    @property
    def parsed(self) -> EmailMessage:
        parsed = message_from_bytes(self.raw, policy=policy.default)
        assert isinstance(parsed, EmailMessage)
        return parsed

    @property
    def author(self) -> str:
        return str(self.parsed["From"].addresses[0].addr_spec)

    @property
    def subject(self) -> str:
        return str(self.parsed["Subject"])

    @property
    def message_id(self) -> str:
        return str(self.parsed["Message-ID"])

    @property
    def text(self) -> str:
        body = self.parsed.get_body(("plain",))
        return str(body.get_content()) if body else ""

    def addressed_to(self, *recipients: str) -> Post:
        """With these recipients in its envelope."""
        return replace(self, rcpt_to=recipients)

    def without(self, *names: str) -> Post:
        """Without these fields; a name that ends with * is the beginning of many."""

        def is_meant(name: bytes) -> bool:
            low = name.decode("ascii").lower()
            return any(
                low.startswith(one[:-1]) if one.endswith("*") else low == one for one in names
            )

        head, _, body = self.raw.partition(b"\r\n\r\n")
        fields = _FIELD.finditer(head + b"\r\n")
        kept = b"".join(field[0] for field in fields if not is_meant(field[1]))
        return replace(self, raw=kept + b"\r\n" + body)

    def given(self, **fields: str) -> Post:
        """With these fields in place of its own: `From_` or `Message_ID` for names like that."""
        named = {name.rstrip("_").replace("_", "-"): value for name, value in fields.items()}
        bare = self.without(*(name.lower() for name in named))
        head = "".join(f"{name}: {value}\r\n" for name, value in named.items())
        return replace(bare, raw=head.encode() + bare.raw)


def compose(
    sender: str,
    text: str,
    *,
    subject: str = "",
    answers: Post | None = None,
    fields: Mapping[str, str] = _NO_FIELDS,
) -> Post:
    """A person's mail, to us unless `fields` say otherwise.

    Where it answers another mail, its fields name that one as mail programs do.
    """
    mail = EmailMessage(policy=policy.SMTP)
    named = {
        "From": sender,
        "To": ADDRESS,
        "Subject": subject,
        "Date": format_datetime(datetime.now(UTC)),
        "Message-ID": make_msgid(domain="people.example"),
    }
    if answers is not None:
        earlier = str(answers.parsed["References"] or "").split()
        named["In-Reply-To"] = answers.message_id
        named["References"] = " ".join([*earlier, answers.message_id])
        named["Subject"] = subject or f"Re: {answers.subject.removeprefix('Re: ')}"
    for name, value in (named | dict(fields)).items():
        if value:
            mail[name] = value
    mail.set_content(text)
    return Post(mail_from=sender.rpartition("<")[2].rstrip(">"), raw=mail.as_bytes())


def hand_in(house: House, post: Post) -> tuple[int, str]:
    """Deliver to a house: the last code, and the ticket's id or what else was said."""
    with smtplib.SMTP(HOST, house.port, timeout=30) as client:
        client.ehlo("mx.people.example")
        client.mail(post.mail_from)
        for one in post.rcpt_to:
            code, said = client.rcpt(one)
            if code != 250:
                return code, said.decode()
        code, said = client.data(post.raw)
        return code, said.decode().rpartition(" ")[2] if code == 250 else said.decode()


def taken(house: House, *posts: Post) -> list[str]:
    """Deliver one after the other, each of which has to be taken; the tickets' ids."""
    tickets: list[str] = []
    for post in posts:
        code, said = hand_in(house, post)
        assert code == 250, said
        tickets.append(said)
    return tickets

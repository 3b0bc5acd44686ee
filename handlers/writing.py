"""Letter and answer to a signed reply: rendered, built, signed, and put in its envelope.

The core, `compose`, is pure. Text becomes bytes in handlers/encoding.py alone.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any, Literal

from jinja2 import FileSystemLoader, StrictUndefined, TemplateError
from jinja2.sandbox import SandboxedEnvironment
from markupsafe import Markup

from handlers import markdown
from handlers.encoding import NAME_MAX, body_part, field, mailbox, unstructured
from handlers.letter import Answer, Letter, Outgoing, Record
from handlers.signing import Signer
from handlers.subjects import SUBJECT_MAX, bare
from handlers.threadtag import tagged
from smtpd.addresses import normal
from smtpd.decoding import clean, one_line
from smtpd.errors import Permanent
from smtpd.returnpath import return_path

TEMPLATES = Path(__file__).resolve().parent.parent / "templates" / "reply"

REFERENCES_MAX = 20  # the first, which names the thread, and the newest
QUOTED_LINES = 20
QUOTED_CHARACTERS = 2000

_MESSAGE_ID = re.compile(r"<[!-;=?-~]{1,900}>")


@dataclass(frozen=True, slots=True, kw_only=True)
class Letterhead:
    """Who writes. Raises ValueError for what is no address or no domain."""

    name: str  # display name of our From field
    address: str
    domain: str  # of our Message-IDs
    person_address: str  # where a person is reached
    language: str = "fr"  # of the frame around the answer
    reply_tag: bool = False  # answers go to an address that names the conversation

    def __post_init__(self) -> None:
        for address in (self.address, self.person_address, f"postmaster@{self.domain}"):
            if not normal(address):
                raise ValueError(f"{address!r} is no address to write from")


class Frame:
    """The two templates of one language, compiled once.

    Raises ValueError for a template that is missing, broken, or asks for a variable
    that no reply has.
    """

    def __init__(self, folder: Path) -> None:
        environment = SandboxedEnvironment(
            loader=FileSystemLoader(folder),
            autoescape=lambda name: bool(name and name.endswith(".html.j2")),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        try:
            self._html = environment.get_template("reply.html.j2")
            self._text = environment.get_template("reply.txt.j2")
            for question in ((), ("?",)):
                self.render(("", ""), dict.fromkeys(VARIABLES, "") | {"question": question})
        except TemplateError as error:
            problem = f"{type(error).__name__}: {error.message}"
            raise ValueError(f"a template in {folder} cannot be used: {problem}") from None

    def render(self, answer: tuple[str, str], variables: dict[str, Any]) -> tuple[str, str]:
        """HTML and plain text around the answer's HTML and plain text."""
        html, text = answer
        return (
            self._html.render(variables, ai_response=Markup(html)),  # noqa: S704 (cleaned)
            self._text.render(variables, ai_response=text),
        )


# What a template may use, beside ai_response.
VARIABLES = (
    "sender_name",
    "original_subject",
    "response_date",
    "thread_id",
    "person_address",
    "question",
    "question_date",
)


class ReplyWriter:
    """The journey's Writer. Without a signer the relay signs.

    `mail_from` is RETURN_PATH: an address with a token made with `key`, our address, or
    the null sender. Raises ValueError for templates that cannot be used.
    """

    def __init__(
        self,
        letterhead: Letterhead,
        *,
        signer: Signer | None,
        mail_from: Literal["token", "plain", "null"],
        key: bytes,
        templates: Path = TEMPLATES,
    ) -> None:
        self._letterhead = letterhead
        self._signer = signer
        self._mail_from = mail_from
        self._key = key
        self._frame = Frame(templates / letterhead.language)

    async def write(self, record: Record, letter: Letter, answer: Answer) -> Outgoing:
        """The reply and its envelope. Raises Permanent where no reply can be addressed."""
        now = datetime.now(UTC)
        token = secrets.token_hex(16)
        raw = compose(record, letter, answer, self._letterhead, self._frame, now=now, token=token)
        return self._enveloped(record, raw, now, token)

    def write_by_hand(self, record: Record, letter: Letter, text: str) -> Outgoing:
        """A person's own answer and its envelope. Raises Permanent like write()."""
        now = datetime.now(UTC)
        token = secrets.token_hex(16)
        raw = compose_by_hand(record, letter, text, self._letterhead, now=now, token=token)
        return self._enveloped(record, raw, now, token)

    def _enveloped(self, record: Record, raw: bytes, now: datetime, token: str) -> Outgoing:
        return Outgoing(
            message_id=message_id(token, self._letterhead),
            mail_from=self._envelope_sender(record.arrival.id),
            rcpt_to=normal(record.author),
            raw=self._signer.sign(raw, now) if self._signer else raw,
        )

    def _envelope_sender(self, ticket_id: str) -> str:
        match self._mail_from:
            case "token":
                return return_path(ticket_id, self._key, self._letterhead.domain)
            case "plain":
                return self._letterhead.address
            case "null":
                return ""


def compose(
    record: Record,
    letter: Letter,
    answer: Answer,
    letterhead: Letterhead,
    frame: Frame,
    *,
    now: datetime,
    token: str,
) -> bytes:
    """The reply, unsigned: ASCII, CRLF line ends, no line over 76 characters in its body.

    `token` is 128 random bits in hexadecimal. Raises Permanent for an author without
    an address.
    """
    said, said_plainly = markdown.both(clean(answer.text))
    # Once more: Markdown can spell any character by its number, a bare CR for one.
    html, text = frame.render(
        (clean(said), clean(said_plainly)), _variables(record, letter, letterhead, now)
    )
    head = (
        field("From", *mailbox(letterhead.name, letterhead.address)),
        _to(record, letter),
        field("Subject", *unstructured(subject(letter.subject, answer.suggested_subject))),
        *_place(record, letter, letterhead, now=now, token=token),
        field("Auto-Submitted", "auto-replied"),  # RFC 3834 section 5
        # Not "All": that would suppress the bounces we want.
        field("X-Auto-Response-Suppress", "DR,", "RN,", "NRN,", "OOF,", "AutoReply"),
        field("X-AI-Generated", "yes"),
        field("Content-Language", letterhead.language),
        field("MIME-Version", "1.0"),
    )
    if record.wants == "text":
        return b"".join((*head, *body_part("text/plain", text)))
    boundary = f"=_{token}"
    return b"".join(
        (
            *head,
            field("Content-Type", "multipart/alternative;", f'boundary="{boundary}"'),
            f"\r\n--{boundary}\r\n".encode(),
            *body_part("text/plain", text),
            f"\r\n--{boundary}\r\n".encode(),
            *body_part("text/html", html),
            f"\r\n--{boundary}--\r\n".encode(),
        )
    )


def compose_by_hand(
    record: Record,
    letter: Letter,
    text: str,
    letterhead: Letterhead,
    *,
    now: datetime,
    token: str,
) -> bytes:
    """What a person answers, unsigned, over the question; nothing in it says an AI wrote it."""
    question = "\n".join(f"> {line}".rstrip() for line in quoted(letter.new_text))
    asker = one_line(letter.sender_name, NAME_MAX) or normal(record.author)
    above = f"{_date(record.arrival.received_at)}, {asker}:"
    return b"".join(
        (
            # Without our name: it may be an AI's.
            field("From", letterhead.address),
            _to(record, letter),
            field("Subject", *unstructured(subject(letter.subject, ""))),
            *_place(record, letter, letterhead, now=now, token=token),
            field("MIME-Version", "1.0"),
            *body_part("text/plain", f"{text}\n\n{above}\n{question}" if question else text),
        )
    )


def _to(record: Record, letter: Letter) -> bytes:
    author = normal(record.author)
    if not author:
        raise Permanent("the mail names no address that a reply could go to")
    # A Reply-To address has another owner, or none: the name is the sender's.
    return field("To", *mailbox(letter.sender_name if letter.sender == author else "", author))


def _place(
    record: Record, letter: Letter, letterhead: Letterhead, *, now: datetime, token: str
) -> Iterator[bytes]:
    """The fields that say where in time and in its conversation a reply stands."""
    if letterhead.reply_tag:
        yield field("Reply-To", tagged(letterhead.address, record.thread_id))
    yield field("Date", *format_datetime(now.astimezone(UTC)).split())
    yield field("Message-ID", message_id(token, letterhead))
    if _MESSAGE_ID.fullmatch(letter.message_id):
        yield field("In-Reply-To", letter.message_id)
    if known := references(letter):
        yield field("References", *known)


def message_id(token: str, letterhead: Letterhead) -> str:
    return f"<{token}@{letterhead.domain}>"


def subject(incoming: str, suggested: str) -> str:
    """The incoming subject with one "Re: "; the suggested one only where there was none.

    Any other subject would split the thread in some mail programs.
    """
    return f"Re: {bare(incoming) or bare(suggested)}".strip()


def references(letter: Letter) -> tuple[str, ...]:
    """The conversation's Message-IDs, the answered mail's last; the first and the newest."""
    known = [one for one in letter.references if _MESSAGE_ID.fullmatch(one)]
    if _MESSAGE_ID.fullmatch(letter.message_id):
        known = [one for one in known if one != letter.message_id] + [letter.message_id]
    known = list(dict.fromkeys(known))
    return (*known[:1], *known[1:][-(REFERENCES_MAX - 1) :])


def quoted(question: str) -> tuple[str, ...]:
    """The beginning of the question, line by line, as far as a reply repeats it."""
    whole = clean(question).strip()
    lines = whole[:QUOTED_CHARACTERS].split("\n")[:QUOTED_LINES]
    if len("\n".join(lines)) < len(whole):
        lines.append("[…]")
    return tuple(line.rstrip() for line in lines) if whole else ()


def _variables(
    record: Record, letter: Letter, letterhead: Letterhead, now: datetime
) -> dict[str, Any]:
    return {
        "sender_name": one_line(letter.sender_name, NAME_MAX),
        "original_subject": one_line(letter.subject, SUBJECT_MAX),
        "response_date": _date(now),
        "thread_id": record.thread_id,
        "person_address": letterhead.person_address,
        "question": quoted(letter.new_text),
        "question_date": _date(record.arrival.received_at),
    }


def _date(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%d/%m/%Y %H:%M UTC")

"""What a header section and an envelope say: the facts that every rule uses, read once.

Nothing here raises on bad mail, and nothing trusts it. Neighbours: smtpd/headers.py splits
the fields, smtpd/robots.py knows the marks of robots, lists and reports.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from smtpd import robots
from smtpd.addresses import Mailbox, domain_of, every_domain, mailboxes
from smtpd.category import Kind
from smtpd.decoding import decode_words, one_line, unfolded
from smtpd.headers import PARSED_BYTES, Headers

SUBJECT_MAX = 998  # characters; the longest line of RFC 5322 section 2.1.1
ADDRESSED_MAX = 100  # mailboxes of To and Cc
REFERENCES_KEPT = 20  # the newest, and the first, which names the thread

_MESSAGE_ID = re.compile(r"<[!-;=?-~]{1,900}>")


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the header section and the envelope say. Claims of a stranger, none of them proof."""

    author: str  # the one mailbox of the one From field, "" where there is not exactly one
    author_name: str
    author_domain: str
    from_addresses: tuple[str, ...]  # all that could be read, however many
    sender_domains: frozenset[str]  # every domain named in From, Sender and MAIL FROM
    addressed: tuple[str, ...]  # lower-case addresses of To and Cc
    addressed_whole: bool  # False where To and Cc name more than was read
    kind: Kind  # by hard evidence; a letter's text may say more
    hops: int  # Received fields
    date: datetime | None  # UTC, as the Date field claims
    message_id: str  # with its angle brackets, "" where there is none we could repeat
    in_reply_to: tuple[str, ...]
    references: tuple[str, ...]  # oldest first
    subject: str  # decoded, one clean line


def facts(headers: Headers, mail_from: str) -> Facts:
    """Everything that later rules ask about the header section and MAIL FROM, read once."""
    from_boxes = _boxes(headers, "from")
    author = _author(headers, from_boxes)
    message_id = next(iter(_ids(headers.first("message-id"))), "")
    subject = one_line(decode_words(headers.first("subject")), SUBJECT_MAX)
    addressed, whole = _addressed(headers)
    return Facts(
        author=author.address,
        author_name=author.name,
        author_domain=domain_of(author.address),
        from_addresses=tuple(box.address for box in from_boxes if box.address),
        sender_domains=_sender_domains(headers, from_boxes, mail_from),
        addressed=addressed,
        addressed_whole=whole,
        kind=robots.kind_of(headers, mail_from, author.address, subject),
        hops=len(headers.raw("received")),
        date=_date(headers.first("date")),
        message_id=message_id,
        in_reply_to=_ids(headers.first("in-reply-to"))[:REFERENCES_KEPT],
        references=_references(headers),
        subject=subject,
    )


def _boxes(headers: Headers, name: str) -> tuple[Mailbox, ...]:
    # Only the topmost: a mail may have a thousand of them, and two are one too many.
    return mailboxes(headers.first(name))


def _author(headers: Headers, boxes: tuple[Mailbox, ...]) -> Mailbox:
    # Of a field longer than what is parsed nobody knows how many mailboxes it has.
    fields = headers.raw("from")
    if len(fields) == 1 and len(fields[0]) <= PARSED_BYTES and len(boxes) == 1:
        return boxes[0]
    return Mailbox("", "")


def _sender_domains(
    headers: Headers, from_boxes: tuple[Mailbox, ...], mail_from: str
) -> frozenset[str]:
    found = {domain_of(mail_from)}
    boxes = {"from": from_boxes, "sender": _boxes(headers, "sender")}
    for name, read in boxes.items():
        found.update(domain_of(box.address) for box in read)
        # Where not all was read for certain, everything that looks like a domain counts.
        if len(headers.raw(name)) > 1 or not all(box.address for box in read):
            found.update(*map(every_domain, headers.all(name)))
    return frozenset(found - {""})


def _addressed(headers: Headers) -> tuple[tuple[str, ...], bool]:
    """The addresses of To and Cc, and whether these are all that stand there."""
    boxes = (*_boxes(headers, "to"), *_boxes(headers, "cc"))
    fields = [headers.raw(name) for name in ("to", "cc")]
    whole = len(boxes) < ADDRESSED_MAX and all(
        len(values) <= 1 and all(len(value) <= PARSED_BYTES for value in values)
        for values in fields
    )
    found = (box.address.lower() for box in boxes[:ADDRESSED_MAX] if box.address)
    return tuple(dict.fromkeys(found)), whole


def _ids(text: str) -> tuple[str, ...]:
    return tuple(match[0] for match in _MESSAGE_ID.finditer(text))


def _references(headers: Headers) -> tuple[str, ...]:
    """The first and the newest of the References field, whose newest stand at its end."""
    value = next(iter(headers.raw("references")), b"")
    first = _ids(unfolded(value, PARSED_BYTES // 8))[:1]
    newest = _ids(unfolded(value[-PARSED_BYTES:], PARSED_BYTES))[-REFERENCES_KEPT:]
    return tuple(dict.fromkeys(first + newest))


def _date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text[:100])
        # RFC 5322 section 3.3: "-0000" is universal time of which the place is not told.
        return date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None

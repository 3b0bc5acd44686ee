"""What is fuzzed: each target calls a reader and asserts what must hold of whatever it says."""

from __future__ import annotations

import ipaddress
import random
import re
from collections.abc import Callable, Iterator
from datetime import UTC

from smtpd import replies
from smtpd.addresses import normal
from smtpd.data import Incoming
from smtpd.facts import REFERENCES_KEPT, SUBJECT_MAX, Facts, facts
from smtpd.headers import FIELDS_MAX, KEPT_BYTES, Headers, HeadersTooLarge, scan
from smtpd.limits import ByteBudget, Lease
from smtpd.proxy import V2_MAX_BYTES, BadProxyHeader, Proxied, read_header
from smtpd.replies import Reply
from tests.fuzz.proof_targets import PROOF_TARGETS

HEADERS_MAX_BYTES = 16384
MESSAGE_MAX_BYTES = 4000

_FIELD_NAME = re.compile(r"[!-9;-@\[-~]+")  # no colon, no space, nothing in upper case
_MESSAGE_ID = re.compile(r"<[!-~]+>")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def headers(data: bytes) -> None:
    """A header section and the facts in it. Before a NUL stands MAIL FROM."""
    mail_from, nul, rest = data.partition(b"\0")
    raw, sender = (rest, mail_from.decode("latin-1")) if nul else (data, "ada@example.org")
    try:
        found = scan(raw, HEADERS_MAX_BYTES)
    except HeadersTooLarge:
        assert len(raw) > HEADERS_MAX_BYTES or raw.count(b":") > FIELDS_MAX
        return
    _fields_stand_in_the_mail(found, raw)
    assert scan(raw[: found.body_at], HEADERS_MAX_BYTES).fields == found.fields
    _facts_are_clean(facts(found, sender), found)


def _fields_stand_in_the_mail(found: Headers, raw: bytes) -> None:
    at = 0
    for name, value in found.fields:
        assert _FIELD_NAME.fullmatch(name), name
        assert len(value) <= KEPT_BYTES
        at = raw.index(value, at) + len(value)
    assert at <= found.body_at <= len(raw)


def _facts_are_clean(said: Facts, found: Headers) -> None:
    assert said.author == normal(said.author)
    assert said.author_domain == said.author.rpartition("@")[2]
    assert not said.author or said.author_domain in said.sender_domains
    assert "" not in said.sender_domains
    assert all(address == normal(address) != "" for address in said.from_addresses)
    assert said.hops == len(found.raw("received"))
    assert len(said.subject) <= SUBJECT_MAX
    assert len(said.in_reply_to) <= REFERENCES_KEPT
    assert len(said.references) <= REFERENCES_KEPT + 1
    assert not any(map(_CONTROL.search, (said.subject, said.author_name, said.author)))
    assert all(map(_MESSAGE_ID.fullmatch, said.in_reply_to + said.references))
    assert not said.message_id or _MESSAGE_ID.fullmatch(said.message_id)
    assert said.date is None or said.date.tzinfo is UTC


def message(data: bytes) -> None:
    """What follows DATA, in random blocks, against a reader that has it all at once."""
    wire = data[2:]
    budget = ByteBudget(MESSAGE_MAX_BYTES)
    incoming = Incoming(MESSAGE_MAX_BYTES, Lease(budget))
    rest, fed_bytes = None, 0
    for block in _blocks(wire, random.Random(data[:2])):  # noqa: S311 (cuts, no secret)
        fed_bytes += len(block)
        rest = incoming.feed(block)
        assert incoming.received_bytes == fed_bytes
        assert budget.held_bytes == len(incoming.content()) <= MESSAGE_MAX_BYTES
        if rest is not None:
            break
    ended, content, following, refusals = _read_at_once(wire)
    assert ended == (rest is not None)
    if rest is not None:
        assert rest + wire[fed_bytes:] == following
        assert incoming.refusal in refusals
        assert incoming.content() == (b"" if incoming.refusal else content)
    elif incoming.refusal is not None:
        assert incoming.refusal in refusals


def _blocks(wire: bytes, cuts: random.Random) -> Iterator[bytes]:
    at = 0
    largest = cuts.choice((1, 3, 20, 1000, len(wire) + 1))
    while at < len(wire):
        size_bytes = cuts.randint(1, largest)
        yield wire[at : at + size_bytes]
        at += size_bytes


def _read_at_once(wire: bytes) -> tuple[bool, bytes, bytes, set[Reply | None]]:
    """Has it ended, the message, what follows, and the replies that would be right."""
    # RFC 5321 section 4.1.1.4: the CRLF behind DATA counts as the one before the dot.
    text, end, following = (b"\r\n" + wire).partition(b"\r\n.\r\n")
    lines = text.split(b"\r\n")[1:]
    content = b"".join(line.removeprefix(b".") + b"\r\n" for line in lines)
    bare = any(b"\r" in line or b"\n" in line for line in lines)
    refusals: set[Reply | None] = {replies.BARE_LINE_END} if bare else set()
    if len(content) > MESSAGE_MAX_BYTES:
        refusals.add(replies.TOO_BIG)
    return bool(end), content, following, refusals or {None}


def proxy(data: bytes) -> None:
    """A PROXY protocol header: whole, in pieces, and without what follows it."""
    whole = _header(data)
    if isinstance(whole, Proxied):
        assert 0 < whole.size_bytes <= min(len(data), 16 + V2_MAX_BYTES)
        assert whole.source_ip in ("", str(ipaddress.ip_address(whole.source_ip or "::")))
        assert _header(data[: whole.size_bytes]) == whole
        assert _header(data[: whole.size_bytes - 1]) is None
    for size_bytes in {*range(0, 130, 7), *range(0, 3000, 307)}:
        assert _header(data[:size_bytes]) in (None, whole)


def _header(data: bytes) -> Proxied | type[BadProxyHeader] | None:
    try:
        return read_header(data)
    except BadProxyHeader:
        return BadProxyHeader


TARGETS: dict[str, Callable[[bytes], None]] = {
    "headers": headers,
    "message": message,
    "proxy": proxy,
    **PROOF_TARGETS,
}

"""The built-in light score: what spam looks like from outside. Pure and linear, no word lists.

It is a guess, used where no spamd is configured or spamd is away: it may hold a mail for a
person, and never refuses one by itself. `content_marks` reads strangers' bytes and runs in
the cell; `built_in` adds what the checks found. Neighbour: smtpd/checks/spam.py.
"""

from __future__ import annotations

import enum
import re
import unicodedata
from collections.abc import Iterator
from datetime import timedelta
from itertools import islice
from urllib.parse import unquote

from smtpd.addresses import domain_of, every_domain, mailboxes
from smtpd.decoding import decode_words, from_base64
from smtpd.evidence import BY_OURSELVES, Evidence, Result, SpamFinding
from smtpd.headers import Headers, scan
from smtpd.mail import Arrival

BODY_BYTES = 65_536  # of the body, as it was sent
NAME_MAX = 200
LINKS_MAX = 200
HOSTS_MANY = 12
PARTS_MAX = 200
# Below every sensible SPAM_REJECT_SCORE: a guess holds, it does not refuse.
SCORE_MAX = 10.0


class Mark(enum.StrEnum):
    """A sign of spam and what it weighs; 5 is enough to be held (SPAM_HOLD_SCORE)."""

    weight: float

    def __new__(cls, word: str, weight: float) -> Mark:
        mark = str.__new__(cls, word)
        mark._value_ = word
        mark.weight = weight
        return mark

    # In the header. One of them happens to honest senders; three together rarely do.
    NO_DATE = "NO_DATE", 1.5
    NO_MESSAGE_ID = "NO_MESSAGE_ID", 1.0
    NAME_IS_ANOTHER_ADDRESS = "NAME_IS_ANOTHER_ADDRESS", 2.5
    NAME_MIXES_SCRIPTS = "NAME_MIXES_SCRIPTS", 2.5
    ADDRESSED_TO_NOBODY = "ADDRESSED_TO_NOBODY", 1.5
    REPLY_ELSEWHERE = "REPLY_ELSEWHERE", 1.0
    SUBJECT_SHOUTS = "SUBJECT_SHOUTS", 1.5
    SUBJECT_OF_SIGNS = "SUBJECT_OF_SIGNS", 1.0
    SUBJECT_WITH_A_NUMBER_BEHIND = "SUBJECT_WITH_A_NUMBER_BEHIND", 2.0
    EIGHT_BIT_HEADER = "EIGHT_BIT_HEADER", 1.0
    DATE_IS_WRONG = "DATE_IS_WRONG", 1.5
    # In the body.
    HTML_ONLY = "HTML_ONLY", 2.0
    LINK_TO_A_NUMBER = "LINK_TO_A_NUMBER", 3.0
    LINK_WITH_A_LOGIN = "LINK_WITH_A_LOGIN", 2.5
    LINK_SAYS_ANOTHER_HOST = "LINK_SAYS_ANOTHER_HOST", 2.5
    LINK_RUNS_CODE = "LINK_RUNS_CODE", 2.5
    LINK_IN_PUNYCODE = "LINK_IN_PUNYCODE", 1.5
    MANY_HOSTS = "MANY_HOSTS", 1.0
    FORM_TO_FILL_IN = "FORM_TO_FILL_IN", 2.0
    PROGRAM_ATTACHED = "PROGRAM_ATTACHED", 3.0
    DOUBLE_ENDING = "DOUBLE_ENDING", 3.0
    # What the checks found.
    SPF_FAIL = "SPF_FAIL", 2.0
    SPF_SOFTFAIL = "SPF_SOFTFAIL", 1.0
    DKIM_FAIL = "DKIM_FAIL", 1.0
    DMARC_FAIL = "DMARC_FAIL", 2.5
    HELO_IS_NO_NAME = "HELO_IS_NO_NAME", 1.0


_PROGRAMS = "exe|scr|pif|com|bat|cmd|js|jse|vbs|vbe|wsf|hta|jar|lnk|msi|ps1|iso|img"
# Only in a part's own header: "hostname=mail.bank.com" in a question is no attachment.
_PART_FIELD = re.compile(
    rb"^content-(?:type|disposition):[^\n]{0,998}(?:\n[ \t][^\n]{0,998}){0,20}", re.I | re.M
)
# RFC 2231: a long name comes in pieces, name*0, name*1; the last one holds the ending.
_FILE = re.compile(rb"[;\s](?:file)?name(?:\*\d{1,2})?\*?=\s{0,4}\"?([^\"\r\n;]{1,200})", re.I)
_PROGRAM = re.compile(rf"\.({_PROGRAMS})$", re.IGNORECASE)
_DOUBLE = re.compile(rf"\.[a-z0-9]{{2,4}}[ _]{{0,99}}\.({_PROGRAMS})$", re.IGNORECASE)
# These look at text in lower case: that is much faster than to ignore the case.
_LINK = re.compile(rb"https?://([^\s/?#\"'<>]{1,200})")
# In two steps, and without "<" in the first: so no byte is looked at twice.
_ANCHOR = re.compile(rb"<a\s([^<>]{1,800})>\s{0,20}(?:https?://)?([a-z0-9.-]{4,100})")
_TARGET = re.compile(rb"href\s{0,4}=\s{0,4}[\"']?https?://([^\s/?#\"'<>]{1,200})")
_SAID = re.compile(rb"www\.[a-z0-9.-]+|[a-z0-9.-]+\.(?:com|org|net)")
# A picture within the text is what mail programs make of a pasted one.
_CODE = re.compile(
    rb"(?:href|src|action)\s{0,4}=\s{0,4}[\"']?"
    rb"(?:javascript:|vbscript:|data:(?!image/(?:png|jpe?g|gif|webp|bmp)\b))"
)
_NUMBER = re.compile(rb"(?:\d{1,3}(?:\.\d{1,3}){3}|0x[0-9a-f]{1,20}|\d{5,20})(?::\d{1,5})?")
_NAMING = ("content-type", "content-disposition")
_TRAILING_NUMBER = re.compile(r"\S {4,}\S{0,4}[\w-]{3,30}$")
_SIGNS = re.compile(r"[!?]{2,}|\${2,}|[*]{3,}")


def content_marks(raw: bytes) -> tuple[Mark, ...]:
    """The marks in the header section and in the beginning of the body, each once."""
    headers = scan(raw, len(raw))
    body = raw[headers.body_at : headers.body_at + BODY_BYTES]
    # A plain letter has none of what the expressions look for, and finding out is cheap.
    lower = _readable(headers, body)
    found = [*_of_the_header(headers), *_of_the_parts(headers, lower)]
    found += _of_the_names_of_files(_naming_fields(headers, body))
    if b"http" in lower or b"script:" in lower or b"data:" in lower:
        found += _of_the_links(lower)
    return tuple(dict.fromkeys(found))


def _readable(headers: Headers, body: bytes) -> bytes:
    """The body in lower case, and what is encoded in it, near enough to find links there.

    What was decoded stands behind what was sent, so that a part that lies about its
    encoding hides nothing.
    """
    text = body.lower()
    encoding = headers.first("content-transfer-encoding").lower()
    if "base64" in encoding and _is_text(headers.first("content-type").lower()):
        text += from_base64(body).lower()
    elif b"base64" in text:
        parts = body.split(b"\n--", PARTS_MAX)
        text = b"\n".join((text, *map(_decoded, parts))).lower()
    # RFC 2045 section 6.7: only its equals signs matter here, and lines that go on.
    return text.replace(b"=\r\n", b"").replace(b"=3d", b"=") if b"=3d" in text else text


def _decoded(part: bytes) -> bytes:
    head, _, text = part.partition(b"\r\n\r\n")
    lower = head.lower()
    kind = lower.partition(b"content-type:")[2].decode("latin-1")
    return from_base64(text) if b"base64" in lower and _is_text(kind) else b""


def _is_text(kind: str) -> bool:
    # RFC 2045 section 5.2: what says nothing of itself is plain text.
    return not kind.strip() or kind.strip().startswith("text/")


def built_in(marks: tuple[Mark, ...], arrival: Arrival, found: Evidence) -> SpamFinding:
    """The score of the marks and of what the checks found."""
    signs = (*marks, *_of_the_evidence(arrival, found))
    score = min(SCORE_MAX, sum(mark.weight for mark in signs))
    return SpamFinding(score=score, by=BY_OURSELVES, signs=tuple(mark.value for mark in signs))


def _of_the_header(headers: Headers) -> Iterator[Mark]:
    if not headers.has("date"):
        yield Mark.NO_DATE
    if not headers.has("message-id"):
        yield Mark.NO_MESSAGE_ID
    if not any("@" in value for name in ("to", "cc") for value in headers.all(name)[:1]):
        yield Mark.ADDRESSED_TO_NOBODY
    for name in ("from", "subject"):
        if not all(value.isascii() for value in headers.raw(name)):
            yield Mark.EIGHT_BIT_HEADER
    yield from _of_the_names(headers)
    yield from _of_the_subject(decode_words(headers.first("subject"))[:NAME_MAX].rstrip())


def _of_the_names(headers: Headers) -> Iterator[Mark]:
    author = next(iter(mailboxes(headers.first("from"), 1)), None)
    if author is None:
        return
    domain = domain_of(author.address)
    named = every_domain(author.name)
    if named and domain not in named:
        yield Mark.NAME_IS_ANOTHER_ADDRESS
    if len({_script(letter) for letter in author.name[:NAME_MAX] if letter.isalpha()}) > 1:
        yield Mark.NAME_MIXES_SCRIPTS
    replies = {domain_of(box.address) for box in mailboxes(headers.first("reply-to"), 3)} - {""}
    if replies and not any(_related(one, domain) for one in replies):
        yield Mark.REPLY_ELSEWHERE


def _script(letter: str) -> str:
    # Japanese writes in three scripts, and Latin letters stand beside all of them; only
    # the look-alikes matter.
    script = unicodedata.name(letter, "").partition(" ")[0]
    return script if script in ("LATIN", "CYRILLIC", "GREEK") else "LATIN"


def _related(one: str, other: str) -> bool:
    return one.split(".")[-2:] == other.split(".")[-2:]


def _of_the_subject(subject: str) -> Iterator[Mark]:
    letters = [letter for letter in subject if letter.isalpha()]
    if len(letters) > 9 and sum(map(str.isupper, letters)) > 0.8 * len(letters):
        yield Mark.SUBJECT_SHOUTS
    if _SIGNS.search(subject):
        yield Mark.SUBJECT_OF_SIGNS
    if _TRAILING_NUMBER.search(subject):
        yield Mark.SUBJECT_WITH_A_NUMBER_BEHIND


def _of_the_links(body: bytes) -> Iterator[Mark]:
    hosts = dict.fromkeys(link[1] for link in islice(_LINK.finditer(body), LINKS_MAX))
    for host in hosts:
        if b"@" in host:
            yield Mark.LINK_WITH_A_LOGIN
        if _NUMBER.fullmatch(host.rpartition(b"@")[2]):
            yield Mark.LINK_TO_A_NUMBER
        if b"xn--" in host:
            yield Mark.LINK_IN_PUNYCODE
    if len(hosts) >= HOSTS_MANY:
        yield Mark.MANY_HOSTS
    for anchor in _ANCHOR.finditer(body) if b"<a" in body else ():
        said = anchor[2].strip(b".-")
        target = _TARGET.search(anchor[1]) if _SAID.fullmatch(said) else None
        if target and not _related(_host(target[1]), said.decode()):
            yield Mark.LINK_SAYS_ANOTHER_HOST
            break
    if _CODE.search(body):
        yield Mark.LINK_RUNS_CODE


def _host(target: bytes) -> str:
    """Without a login before it and a port behind it."""
    return target.decode("latin-1").rpartition("@")[2].partition(":")[0]


def _of_the_parts(headers: Headers, body: bytes) -> Iterator[Mark]:
    if headers.first("content-type").lower().startswith("text/html"):
        yield Mark.HTML_ONLY
    if b"<form" in body:
        yield Mark.FORM_TO_FILL_IN


def _naming_fields(headers: Headers, body: bytes) -> Iterator[bytes]:
    for name in _NAMING:
        yield from headers.raw(name)[:1]
    if b"content-" in body.lower():
        yield from (match[0] for match in _PART_FIELD.finditer(body))


def _of_the_names_of_files(fields: Iterator[bytes]) -> Iterator[Mark]:
    for field in fields:
        for match in _FILE.finditer(field):
            name = unquote(decode_words(match[1].decode("latin-1"))).strip()
            if _DOUBLE.search(name):
                yield Mark.DOUBLE_ENDING
            elif _PROGRAM.search(name):
                yield Mark.PROGRAM_ATTACHED


def _of_the_evidence(arrival: Arrival, found: Evidence) -> Iterator[Mark]:
    if found.spf.result is Result.FAIL:
        yield Mark.SPF_FAIL
    elif found.spf.result is Result.SOFTFAIL:
        yield Mark.SPF_SOFTFAIL
    if any(one.result is Result.FAIL for one in found.dkim) and not found.aligned:
        yield Mark.DKIM_FAIL
    if found.dmarc.result is Result.FAIL and found.dmarc.policy in ("quarantine", "reject"):
        yield Mark.DMARC_FAIL
    peer = arrival.peer
    if peer is not None and found.client_known and "." not in peer.helo.strip("[]"):
        yield Mark.HELO_IS_NO_NAME
    date = arrival.facts.date
    # Longer ago is no mark: mail waits in queues, and a rule holds what is too old.
    if date is not None and date - arrival.received_at > timedelta(days=1):
        yield Mark.DATE_IS_WRONG

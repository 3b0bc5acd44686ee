"""What we write above a mail that we keep, and what we take out of it: its trace fields.

Received and Return-Path (RFC 5321 section 4.4), Authentication-Results (RFC 8601). A field
that claims to be our own Authentication-Results is somebody else's, and is removed
(RFC 8601 section 5). Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from email.utils import format_datetime

from smtpd.addresses import DOMAIN, comment_end
from smtpd.decoding import unfolded
from smtpd.evidence import DkimFinding, Evidence, Result, SpfFinding
from smtpd.headers import PARSED_BYTES, scan_kept, spans
from smtpd.mail import Arrival

_DOMAIN = re.compile(DOMAIN)
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+._`{|}~-]{1,255}")
_QUOTABLE = re.compile(r"[ !#-\[\]-~]{1,255}")
_LITERAL = re.compile(r"\[[A-Za-z0-9.:]{2,60}\]")
_RECIPIENT = re.compile(rf"[A-Za-z0-9!#$%&'*+/=?^_`{{|}}~.-]{{1,64}}@{DOMAIN}|postmaster", re.I)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_WORD = re.compile(r'"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<token>[^ \t\r\n;()="]+)', re.DOTALL)
COMMENTS_MAX = 8  # before the name; nobody writes more than one
_RESULTS_FIELD = "authentication-results"


def traced(arrival: Arrival, evidence: Evidence, hostname: str) -> Arrival:
    """The arrival as it is kept: under our trace fields, without foreign ones in our name."""
    above = b"".join(_fields(arrival, evidence, hostname))
    raw = above + _without_ours(arrival, hostname)
    return arrival.kept_as(raw, scan_kept(raw))


def authserv_id(value: str) -> str:
    """Whose results an unfolded field claims to be, in lower case; "" where nobody can tell."""
    rest = value.lstrip(" \t")
    comments = 0
    while rest.startswith("("):
        comments += 1
        end = comment_end(rest, 1) if comments <= COMMENTS_MAX else 0
        if not end:
            return ""
        rest = rest[end:].lstrip(" \t")
    word = _WORD.match(rest)
    if word is None:
        return ""
    name = word["token"] or _ESCAPE.sub(r"\1", word["quoted"] or "")
    return name.lower().rstrip(".")


def results(evidence: Evidence, hostname: str) -> str:
    """The value of our Authentication-Results field, folded."""
    said = [*_spf(evidence), *map(_dkim, evidence.dkim), *_dmarc(evidence)]
    if not evidence.dkim and said:
        said.insert(-1, "dkim=none")
    return ";\r\n\t".join((hostname, *(said or ["none"])))


def _fields(arrival: Arrival, evidence: Evidence, hostname: str) -> Iterator[bytes]:
    lines = {
        "Return-Path": f"<{arrival.mail_from}>",
        "Authentication-Results": results(evidence, hostname),
        "Received": _received(arrival, hostname),
    }
    for name, value in lines.items():
        yield f"{name}: {value}\r\n".encode("ascii", "replace")


def _received(arrival: Arrival, hostname: str) -> str:
    peer = arrival.peer
    if peer is None:
        source, protocol = "", "IMAP"
    else:
        known = _DOMAIN.fullmatch(peer.helo) or _LITERAL.fullmatch(peer.helo)
        literal = f"IPv6:{peer.ip}" if ":" in peer.ip else peer.ip
        tls = f"\r\n\t(using {peer.tls})" if _TOKEN.fullmatch(peer.tls) else ""
        source = f"from {peer.helo if known else 'unknown'} ([{literal}]){tls}\r\n\t"
        # RFC 3848: STARTTLS is an extension, so that under TLS it is always ESMTPS.
        protocol = "ESMTPS" if peer.tls else "ESMTP" if peer.extended else "SMTP"
    # Several recipients are named nowhere: one of them may be a blind copy.
    only = arrival.rcpt_to[0] if len(arrival.rcpt_to) == 1 else ""
    to = f"\r\n\tfor <{only}>" if _RECIPIENT.fullmatch(only) else ""
    moment = format_datetime(arrival.received_at)
    return f"{source}by {hostname} with {protocol} id {arrival.id}{to};\r\n\t{moment}"


def _spf(evidence: Evidence) -> Iterator[str]:
    for finding, name in ((evidence.spf, "smtp.mailfrom"), (evidence.helo, "smtp.helo")):
        if finding.result is not Result.NOT_CHECKED:
            yield _said("spf", finding, {name: finding.domain})


def _dkim(finding: DkimFinding) -> str:
    named = {
        "header.d": finding.domain,
        "header.s": finding.selector,
        "header.a": finding.algorithm,
        "header.b": finding.signature,
    }
    return _said("dkim", finding, named)


def _dmarc(evidence: Evidence) -> Iterator[str]:
    finding = evidence.dmarc
    if finding.result is not Result.NOT_CHECKED:
        policy = f" (p={finding.policy})" if finding.policy else ""
        yield f"dmarc={finding.result}{policy}{_properties({'header.from': finding.domain})}"


def _said(method: str, finding: SpfFinding | DkimFinding, named: dict[str, str]) -> str:
    return f"{method}={finding.result}{_properties(named)}"


def _properties(named: dict[str, str]) -> str:
    # What is neither a word nor can be quoted is left out: it came from a stranger.
    words = ((name, _value(value)) for name, value in named.items())
    return "".join(f" {name}={value}" for name, value in words if value)


def _value(text: str) -> str:
    if _TOKEN.fullmatch(text):
        return text
    return f'"{text}"' if _QUOTABLE.fullmatch(text) else ""


def _without_ours(arrival: Arrival, hostname: str) -> bytes:
    """The mail without results in our name; those in nobody's could be read as ours."""
    raw = arrival.raw
    if not arrival.headers.has(_RESULTS_FIELD):
        return raw
    kept, done = [], 0
    for name, value, start, end in spans(raw, arrival.headers.body_at):
        if name == _RESULTS_FIELD and _claims(value) in ("", hostname.lower()):
            kept.append(raw[done:start])
            done = end
    return b"".join((*kept, raw[done:]))


def _claims(value: bytes) -> str:
    return authserv_id(unfolded(value, PARSED_BYTES))

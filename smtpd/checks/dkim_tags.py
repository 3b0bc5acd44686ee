"""What a DKIM signature and a key record say (RFC 6376 sections 3.2, 3.5 and 3.6.1). Pure.

Whatever is wrong is a Flaw with the result it gives; nothing here is guessed.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass

import idna

from smtpd.addresses import DOMAIN
from smtpd.evidence import Result

SIGNATURE_MAX_BYTES = 8192  # of the field's value; a 4096-bit signature takes 700
KEY_MAX_BYTES = 8192  # of a key record
CLOCKS_DIFFER_S = 300.0  # the signer's and ours
FUTURE_MAX_S = 86400.0  # a clock in a wrong time zone is off by less than a day

_NAME_MAX_BYTES = 4 * 253  # of a name in UTF-8, before it is put into A-labels

_FWS = b" \t\r\n"
_TAG_NAME = re.compile(rb"[A-Za-z][A-Za-z0-9_]*")
_FIELD_NAME = re.compile(rb"[!-9;-~]+")
_NUMBER = re.compile(rb"[0-9]{1,76}")
_HEX = re.compile(rb"=([0-9A-F]{2})")
_NAME = re.compile(DOMAIN)
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_REQUIRED = (b"v", b"a", b"b", b"bh", b"d", b"h", b"s")
_ALGORITHMS = {b"rsa-sha256": "rsa", b"ed25519-sha256": "ed25519"}
_CANONICAL = (b"simple", b"relaxed")
_NO_NAME = "its domain is no name that DNS could know"

Tags = Mapping[bytes, bytes]


class Flaw(Exception):
    """Why a signature does not count, and as what it is recorded."""

    def __init__(self, result: Result, because: str) -> None:
        super().__init__(because)
        self.result = result
        self.because = because


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """A DKIM-Signature field whose syntax is right."""

    key_type: str  # of a=: rsa or ed25519
    data: bytes  # b=, decoded
    body_hash: bytes  # bh=, decoded
    header_relaxed: bool  # c=
    body_relaxed: bool
    domain: str  # d=, A-labels
    identity_domain: str  # of i=, A-labels
    fields: tuple[str, ...]  # h=, in lower case
    length: int | None  # l=


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key record that may be used."""

    data: bytes  # p=, decoded
    testing: bool  # t=y


def tags_of(text: bytes) -> Tags:
    """The tags of a tag list (section 3.2). Raises Flaw."""
    if _CONTROL.search(text):
        raise Flaw(Result.PERMERROR, "its tags cannot be read")
    tags: dict[bytes, bytes] = {}
    specs = text.split(b";")
    if not specs[-1].strip(_FWS):
        specs.pop()
    for spec in specs:
        name, equals, value = spec.partition(b"=")
        name = name.strip(_FWS)
        if not equals or not _TAG_NAME.fullmatch(name) or name in tags:
            raise Flaw(Result.PERMERROR, "its tags cannot be read")
        tags[name] = value.strip(_FWS)
    return tags


def key_name(tags: Tags) -> str:
    """Where the key of a signature is published, "" where DNS can know no such name."""
    selector, domain = names_of(tags)
    return f"{selector}._domainkey.{domain}" if domain else ""


def names_of(tags: Tags) -> tuple[str, str]:
    """Selector and domain in A-labels, "" both where DNS can know no such key."""
    try:
        selector, domain = _a_labels(tags.get(b"s", b"")), _a_labels(tags.get(b"d", b""))
    except Flaw:
        return "", ""
    fits = len(selector) + len("._domainkey.") + len(domain) <= 253
    return (selector, domain) if fits else ("", "")


def signature_of(tags: Tags, now: float) -> Signature:
    """The signature, all of it that DNS need not tell. Raises Flaw."""
    if any(not tags.get(name) for name in _REQUIRED) or tags[b"v"] != b"1":
        raise Flaw(Result.PERMERROR, "a tag that it needs is missing")
    key_type = _key_type(tags[b"a"])
    header, slash, body = tags.get(b"c", b"simple").partition(b"/")
    if header not in _CANONICAL or (body if slash else b"simple") not in _CANONICAL:
        raise Flaw(Result.PERMERROR, "its canonicalisation is unknown")
    if b"dns/txt" not in _words(tags.get(b"q", b"dns/txt")):
        raise Flaw(Result.PERMERROR, "its key is not published in DNS")
    _, domain = names_of(tags)
    if not domain:
        raise Flaw(Result.PERMERROR, _NO_NAME)
    _check_time(tags, now)
    return Signature(
        key_type=key_type,
        data=_decoded(tags[b"b"]),
        body_hash=_decoded(tags[b"bh"]),
        header_relaxed=header == b"relaxed",
        body_relaxed=body == b"relaxed",
        domain=domain,
        identity_domain=_identity_domain(tags, domain),
        fields=_fields(tags[b"h"]),
        length=_number(tags, b"l"),
    )


def key_of(record: bytes, signature: Signature) -> Key:
    """The key in a record, if it may be used for this signature. Raises Flaw."""
    tags = tags_of(record)
    if b"v" in tags and next(iter(tags)) != b"v":
        raise Flaw(Result.PERMERROR, "its key record does not begin with its version")
    if tags.get(b"k", b"rsa").decode("latin-1") != signature.key_type:
        raise Flaw(Result.PERMERROR, "its key is of another type")
    if b"h" in tags and b"sha256" not in _words(tags[b"h"]):
        raise Flaw(Result.PERMERROR, "its key is not for this hash")
    if not {b"*", b"email"} & set(_words(tags.get(b"s", b"*"))):
        raise Flaw(Result.PERMERROR, "its key is not for mail")
    flags = _words(tags.get(b"t", b""))
    if b"s" in flags and signature.identity_domain != signature.domain:
        raise Flaw(Result.FAIL, "its key is for the domain itself only")
    if not tags.get(b"p"):
        raise Flaw(Result.PERMERROR, "its key was revoked" if b"p" in tags else "there is no key")
    return Key(data=_decoded(tags[b"p"]), testing=b"y" in flags)


def looks_like_a_key(record: bytes) -> bool:
    """Whether a TXT record may be a key record: others stand there by mistake, or a wildcard."""
    try:
        tags = tags_of(record) if len(record) <= KEY_MAX_BYTES else {}
    except Flaw:
        return record.lstrip(_FWS).startswith(b"v=DKIM1")
    # Section 3.6.1: a record that begins with another version is none of ours.
    other_version = next(iter(tags), b"") == b"v" and tags[b"v"] != b"DKIM1"
    return b"p" in tags and not other_version


def _key_type(algorithm: bytes) -> str:
    if algorithm == b"rsa-sha1":
        raise Flaw(Result.FAIL, "rsa-sha1 proves nothing any more (RFC 8301)")
    if algorithm not in _ALGORITHMS:
        raise Flaw(Result.PERMERROR, "its algorithm is unknown")
    return _ALGORITHMS[algorithm]


def _fields(value: bytes) -> tuple[str, ...]:
    names = [name.strip(_FWS).lower() for name in value.split(b":")]
    if not all(_FIELD_NAME.fullmatch(name) for name in names):
        raise Flaw(Result.PERMERROR, "its list of header fields cannot be read")
    if b"from" not in names:  # section 5.4
        raise Flaw(Result.PERMERROR, "it does not sign the From field")
    return tuple(name.decode("ascii") for name in names)


def _identity_domain(tags: Tags, domain: str) -> str:
    """The domain of i=, which is d= or below it (section 3.5)."""
    if b"i" not in tags:
        return domain
    # In dkim-quoted-printable (section 2.11): white space is nothing, =XX an octet.
    plain = b"".join(tags[b"i"].split())
    _, at, name = _HEX.sub(lambda octet: bytes.fromhex(octet[1].decode()), plain).rpartition(b"@")
    identity = _a_labels(name)
    if not at or not f".{identity}".endswith(f".{domain}"):
        raise Flaw(Result.PERMERROR, "its identity is not below its domain")
    return identity


def _check_time(tags: Tags, now: float) -> None:
    signed, expires = _number(tags, b"t"), _number(tags, b"x")
    if signed is not None and signed > now + FUTURE_MAX_S:
        raise Flaw(Result.PERMERROR, "it was made in the future")
    if signed is not None and expires is not None and expires <= signed:
        raise Flaw(Result.PERMERROR, "it expired before it was made")
    if expires is not None and expires < now - CLOCKS_DIFFER_S:
        raise Flaw(Result.FAIL, "it has expired")


def _number(tags: Tags, name: bytes) -> int | None:
    if name not in tags:
        return None
    if not _NUMBER.fullmatch(tags[name]):
        raise Flaw(Result.PERMERROR, "a number in it cannot be read")
    return int(tags[name])


def _a_labels(name: bytes) -> str:
    """The name in A-labels and lower case (RFC 8616 section 4). Raises Flaw."""
    if len(name) > _NAME_MAX_BYTES:
        raise Flaw(Result.PERMERROR, _NO_NAME)
    try:
        text = name.decode()
        ascii_name = text if text.isascii() else idna.encode(text, uts46=True).decode("ascii")
    except (UnicodeError, idna.IDNAError):
        ascii_name = ""
    ascii_name = ascii_name.lower()
    if len(ascii_name) > 253 or not _NAME.fullmatch(ascii_name):
        raise Flaw(Result.PERMERROR, _NO_NAME)
    return ascii_name


def _words(value: bytes) -> tuple[bytes, ...]:
    return tuple(word.strip(_FWS) for word in value.split(b":"))


def _decoded(value: bytes) -> bytes:
    """Base64 with white space anywhere. Raises Flaw."""
    try:
        return base64.b64decode(b"".join(value.split()), validate=True)
    except binascii.Error:
        raise Flaw(Result.PERMERROR, "its base64 cannot be read") from None

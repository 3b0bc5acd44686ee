"""What a DKIM signature is made over (RFC 6376 sections 3.4, 3.7 and 5.4.2). Pure, and linear
in the mail: a header field or a body is put into its canonical form once for all signatures.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from smtpd.headers import spans

_FIELD = "dkim-signature"
_LONE_LF = re.compile(rb"(?<!\r)\n")


class SignedMail:
    """A mail as its signatures see it."""

    def __init__(self, raw: bytes) -> None:
        # A mailbox may give line ends of its own; SMTP cannot.
        if raw.count(b"\n") != raw.count(b"\r\n"):
            raw = _LONE_LF.sub(b"\r\n", raw)
        self._fields: list[tuple[str, bytes]] = []
        body_at = 0
        for name, _, start, body_at in spans(raw, len(raw)):
            self._fields.append((name, raw[start:body_at]))
        self._body = raw[body_at:].removeprefix(b"\r\n")
        self._relaxed: dict[int, bytes] = {}  # fields, by their place
        self._bodies: dict[bool, bytes] = {}
        self._hashes: dict[tuple[bool, int | None], bytes] = {}
        self._places: dict[str, list[int]] = {}
        for place, (name, _) in enumerate(self._fields):
            self._places.setdefault(name, []).append(place)

    def signatures(self) -> Sequence[int]:
        """The places of the signature fields, topmost first."""
        return self._places.get(_FIELD, ())

    def value(self, place: int) -> bytes:
        """The value of the field at this place, folding kept."""
        return self._fields[place][1].partition(b":")[2]

    def body_hash(self, relaxed: bool, length: int | None) -> bytes:
        """SHA-256 of the canonical body, or of its first `length` bytes."""
        key = (relaxed, length)
        if key not in self._hashes:
            body = memoryview(self.body(relaxed))
            self._hashes[key] = hashlib.sha256(body[:length]).digest()
        return self._hashes[key]

    def body(self, relaxed: bool) -> bytes:
        """The canonical body."""
        if relaxed not in self._bodies:
            make = _relaxed_body if relaxed else _simple_body
            self._bodies[relaxed] = make(self._body)
        return self._bodies[relaxed]

    def signed(self, place: int, names: Sequence[str], relaxed: bool) -> bytes:
        """The bytes under the signature at `place`: the named fields, and its own without b=.

        Of fields with the same name the lowest comes first; a name without a field stands
        for nothing (section 5.4.2).
        """
        left = {name: [p for p in self._places.get(name, ()) if p != place] for name in set(names)}
        parts = [self._field(left[name].pop(), relaxed) for name in names if left[name]]
        name, colon, value = self._fields[place][1].partition(b":")
        own = name + colon + _without_b(value)
        parts.append((_relaxed_field(own) if relaxed else own).removesuffix(b"\r\n"))
        return b"".join(parts)

    def _field(self, place: int, relaxed: bool) -> bytes:
        if not relaxed:
            return self._fields[place][1]
        if place not in self._relaxed:
            self._relaxed[place] = _relaxed_field(self._fields[place][1])
        return self._relaxed[place]


def _relaxed_field(field: bytes) -> bytes:
    name, _, value = field.partition(b":")
    unfolded = _single_spaced(value.replace(b"\r\n", b"")).strip(b" ")
    return name.strip(b" \t").lower() + b":" + unfolded + b"\r\n"


def _simple_body(body: bytes) -> bytes:
    return _without_last_ends(body) + b"\r\n"


def _relaxed_body(body: bytes) -> bytes:
    body = _single_spaced(body).replace(b" \r\n", b"\r\n").rstrip(b" ")
    body = _without_last_ends(body)
    return body + b"\r\n" if body else b""


def _single_spaced(text: bytes) -> bytes:
    """One space for every run of spaces and tabs."""
    text = text.replace(b"\t", b" ")
    # Each round halves the runs that are left: linear, and faster than an expression.
    while b"  " in text:
        text = text.replace(b"  ", b" ")
    return text


def _without_last_ends(body: bytes) -> bytes:
    """The body without the line end of its last line, and the empty lines behind it."""
    text = body.rstrip(b"\r\n")
    # A CR alone ends no line, and stays.
    ends = body[len(text) :].replace(b"\r\n", b"\n").rstrip(b"\n")
    return text + ends.replace(b"\n", b"\r\n") if ends else text


def _without_b(value: bytes) -> bytes:
    """The signature's value with the text of b= and the white space around it removed."""
    specs = value.split(b";")
    for number, spec in enumerate(specs):
        name, _, _ = spec.partition(b"=")
        if name.strip(b" \t\r\n") == b"b":
            specs[number] = name + b"="
    return b";".join(specs)

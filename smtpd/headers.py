"""The header section of a mail: a bounded scanner.

Nothing here raises on bad mail but HeadersTooLarge. Neighbour: smtpd/facts.py reads what
the fields say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from smtpd.decoding import unfolded

KEPT_BYTES = 65536  # of one field's value
PARSED_BYTES = 8192  # of these, at most: what any parser here is given
FIELDS_MAX = 2000  # real mail has fewer than 200
TRACE_FIELDS_MAX = 10  # that we may write above a mail when we keep it

# RFC 5322 section 4.5 still lets white space stand before the colon: a second From
# field must not hide behind it.
_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:")


class HeadersTooLarge(ValueError):
    """The header section is longer, or has more fields, than we take."""


@dataclass(frozen=True, slots=True)
class Headers:
    """The fields in their order: names in lower case, raw values with their folding kept."""

    fields: tuple[tuple[str, bytes], ...] = ()
    body_at: int = 0  # where the body begins in the raw mail
    # By name, made once: every mail is asked some fifty times for its fields.
    _named: Mapping[str, Sequence[bytes]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        named: dict[str, list[bytes]] = {}
        for name, value in self.fields:
            named.setdefault(name, []).append(value)
        object.__setattr__(self, "_named", named)

    def raw(self, name: str) -> tuple[bytes, ...]:
        """The raw values of every field of this name, topmost first."""
        return tuple(self._named.get(name.lower(), ()))

    def all(self, name: str) -> tuple[str, ...]:
        """The values of every field of this name, one unfolded line each, cut at 8 kB."""
        return tuple(unfolded(value, PARSED_BYTES) for value in self.raw(name))

    def first(self, name: str) -> str:
        """The value of the topmost field of this name, "" where there is none."""
        values = self.raw(name)
        return unfolded(values[0], PARSED_BYTES) if values else ""

    def has(self, name: str) -> bool:
        return name.lower() in self._named


def scan(raw: bytes, max_bytes: int = 262144, fields_max: int = FIELDS_MAX) -> Headers:
    """Split the header section, which ends before the first empty line or broken field.

    Raises HeadersTooLarge beyond `max_bytes` or `fields_max`.
    """
    fields: list[tuple[str, bytes]] = []
    at = 0
    for name, value, _, end in spans(raw, max_bytes):
        if name:
            fields.append((name, value))
        at = end
        if at > max_bytes or len(fields) > fields_max:
            raise HeadersTooLarge("the header section is too large")
    if raw.startswith((b"\r\n", b"\n"), at):
        at = raw.index(b"\n", at) + 1
    return Headers(tuple(fields), at)


def scan_kept(raw: bytes) -> Headers:
    """The same of a mail that we took once, and that our trace fields stand above."""
    return scan(raw, len(raw), FIELDS_MAX + TRACE_FIELDS_MAX)


def spans(raw: bytes, max_bytes: int) -> Iterator[tuple[str, bytes, int, int]]:
    """The name and value of each field, and where it begins and ends in the raw mail.

    A mailbox file's own first line has the name "".
    """
    at = 0
    while at < len(raw) and not raw.startswith((b"\r\n", b"\n"), at):
        name = _FIELD.match(raw, at, at + max_bytes)
        end = _field_end(raw, at, max_bytes)
        if name:
            value = raw[name.end() : min(end, name.end() + KEPT_BYTES)]
            yield name[1].decode("ascii").lower(), value.strip(b" \t\r\n"), at, end
        elif at == 0 and raw.startswith(b"From "):
            yield "", b"", at, end
        else:
            return
        at = end


def _field_end(raw: bytes, at: int, max_bytes: int) -> int:
    """Just behind the field that begins at `at`, its folded lines included."""
    while True:
        newline = raw.find(b"\n", at, max_bytes + 1)
        if newline < 0:
            return len(raw)
        at = newline + 1
        if raw[at : at + 1] not in (b" ", b"\t"):
            return at

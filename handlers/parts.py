"""The structure of a mail (RFC 2045, RFC 2046), bounded by construction.

The standard library's parser recurses with the sender's nesting and reads every part
before anyone can count them. Here the limits stop the walk itself, and what was found
up to them is still there. No byte is copied but those of a part that somebody decodes.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from smtpd.decoding import decode, decode_words, from_base64, one_line
from smtpd.headers import Headers, HeadersTooLarge, scan

FILENAME_MAX = 255  # characters; what file systems take
PART_HEADERS_BYTES = 65536
# Lines that begin like a delimiter but are none: prose never has so many.
_CANDIDATES_MAX = 10_000

_MEDIA_TYPE = re.compile(r"\s*([!#$&^_.+a-z0-9-]{1,127})/([!#$&^_.+a-z0-9-]{1,127})", re.IGNORECASE)
# Without possessive quantifiers: Python's early 3.11 loses groups inside of them.
_PARAMETER = re.compile(
    r""";\s*([!#$&^_.+A-Za-z0-9-]{1,64})(\*\d{1,3})?(\*)?\s*=\s*
        (?:"((?:[^"\\]|\\.)*)"?|([^;\s"]*))""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_DELIMITER_END = re.compile(rb"(--)?[ \t]*(?:\r?\n|\Z)")


@dataclass(frozen=True, slots=True)
class Part:
    """One node: a leaf with content, or a multipart with children.

    A leaf that says multipart is one the limits did not let us look into.
    """

    headers: Headers
    content_type: str  # "type/subtype" in lower case
    parameters: dict[str, str]  # of Content-Type, names in lower case
    disposition: str  # "inline", "attachment", "" or another word, in lower case
    filename: str  # one clean line, no path; "" where none is given
    body: memoryview  # still encoded for transfer
    children: tuple[Part, ...] = ()

    def content(self, most: int | None = None) -> bytes:
        """The decoded content; at most what `most` encoded bytes hold."""
        body = bytes(self.body if most is None else self.body[:most])
        encoding = self.headers.first("content-transfer-encoding").lower().strip(' ;"')
        if encoding == "base64":
            return from_base64(body)
        if encoding == "quoted-printable":
            return binascii.a2b_qp(body)
        return body

    def leaves(self) -> Iterator[Part]:
        """Every part with content, in the order of the mail."""
        if not self.children:
            yield self
        for child in self.children:
            yield from child.leaves()


def split(raw: bytes, headers: Headers, parts_max: int, depth_max: int) -> Part:
    """The mail's tree: at most `parts_max` parts, multiparts nested at most `depth_max` deep."""
    return _Splitter(memoryview(raw), raw, parts_max, depth_max).part(
        headers, headers.body_at, len(raw), "text/plain", 0
    )


@dataclass(slots=True)
class _Splitter:
    view: memoryview
    raw: bytes
    parts_left: int
    depth_max: int

    def part(self, headers: Headers, start: int, end: int, default: str, depth: int) -> Part:
        """The part whose body lies between the two offsets."""
        value = headers.first("content-type")
        content_type, given = media_type(value) or default, parameters(value)
        children: tuple[Part, ...] = ()
        if content_type.startswith("multipart/"):
            allowed = depth < self.depth_max and self.parts_left > 0
            if allowed and given.get("boundary"):
                children = tuple(self._children(content_type, given, start, end, depth))
            if allowed and not children:
                content_type = "text/plain"  # a multipart without parts is what it looks like
        disposition = headers.first("content-disposition")
        return Part(
            headers=headers,
            content_type=content_type,
            parameters=given,
            disposition=disposition.partition(";")[0].strip().lower(),
            filename=_filename(parameters(disposition), given),
            body=self.view[start:end],
            children=children,
        )

    def _children(
        self, content_type: str, given: dict[str, str], start: int, end: int, depth: int
    ) -> Iterator[Part]:
        # RFC 2046 section 5.1.5: the parts of a digest are messages.
        default = "message/rfc822" if content_type == "multipart/digest" else "text/plain"
        for begins, stops in _spans(self.raw, given["boundary"], start, end):
            if self.parts_left <= 0:
                return
            self.parts_left -= 1
            try:
                headers = scan(self.raw[begins : min(stops, begins + PART_HEADERS_BYTES)])
            except HeadersTooLarge:
                continue
            body_at = min(begins + headers.body_at, stops)
            yield self.part(headers, body_at, stops, default, depth + 1)


def _spans(raw: bytes, boundary: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Where the parts between delimiter lines begin and end."""
    delimiter = b"\n--" + boundary.encode("utf-8", "replace")
    begins = None
    at = max(start - 1, 0)  # a delimiter may be the body's first line
    for _ in range(_CANDIDATES_MAX):
        at = raw.find(delimiter, at, end)
        if at < 0:
            break
        line = _DELIMITER_END.match(raw, at + len(delimiter), end)
        if line and begins is not None:
            # The line end before a delimiter belongs to it.
            yield begins, max(begins, at - (raw[at - 1 : at] == b"\r"))
        if line and line[1]:
            return
        if line:
            begins = line.end()
            at = begins - 1
        else:
            at += len(delimiter)
    if begins is not None:
        yield begins, end


def media_type(value: str) -> str:
    """The "type/subtype" of a Content-Type field, "" where there is none."""
    match = _MEDIA_TYPE.match(value)
    return match[0].strip().lower() if match else ""


def parameters(value: str) -> dict[str, str]:
    """A field's parameters, with their continuations joined and decoded (RFC 2231)."""
    pieces: dict[str, list[tuple[int, bool, str]]] = {}
    for match in _PARAMETER.finditer(value):
        quoted, token = match[4], match[5]
        text = _ESCAPE.sub(r"\1", quoted) if quoted is not None else token
        number = int(match[2][1:]) if match[2] else 0
        pieces.setdefault(match[1].lower(), []).append((number, bool(match[3]), text))
    return {name: _joined(sorted(found)) for name, found in pieces.items()}


def _joined(pieces: list[tuple[int, bool, str]]) -> str:
    if not any(extended for _, extended, _ in pieces):
        return "".join(text for _, _, text in pieces)
    first = pieces[0][2]
    charset, _, _ = first.partition("'")
    if first.count("'") >= 2:
        pieces[0] = (0, pieces[0][1], first.split("'", 2)[2])
    data = b"".join(
        unquote_to_bytes(text) if extended else text.encode("utf-8", "replace")
        for _, extended, text in pieces
    )
    return decode(data, charset)


def _filename(disposition: dict[str, str], content_type: dict[str, str]) -> str:
    given = disposition.get("filename") or content_type.get("name") or ""
    name = one_line(decode_words(given), 4 * FILENAME_MAX)
    return re.split(r"[/\\]", name)[-1].strip()[-FILENAME_MAX:]

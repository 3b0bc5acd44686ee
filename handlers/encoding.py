"""Text to the bytes of a mail: header fields and body parts that every relay leaves alone.

Every byte of a header section passes through `field`, which is what makes it
impossible for a stranger's text to add a field. The opposite is smtpd/decoding.py.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator

from smtpd.decoding import one_line

NAME_MAX = 64  # characters of a display name; a longer one is left out
LINE_MAX = 78  # RFC 5322 section 2.1.1
BODY_LINE_MAX = 76  # RFC 2045 section 6.7
# UTF-8 bytes of one encoded word: 52 of base64 and 12 around them leave room on a line
# for the longest name of a field that may need one.
WORD_BYTES = 39

_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]+")
_NEEDS_ENCODING = re.compile(r'["\\]|=\?')


def field(name: str, *words: str) -> bytes:
    """One header field, folded between its words where a line grows too long.

    Raises ValueError for a word that is not printable ASCII: nothing can end the field.
    """
    lines = [f"{name}:"]
    for word in words:
        if not (word.isascii() and word.isprintable()):
            raise ValueError(f"a word of {name} is not printable ASCII")
        if len(lines[-1]) + 1 + len(word) > LINE_MAX and len(lines[-1]) > len(name) + 1:
            lines.append("")
        lines[-1] += f" {word}"
    return "\r\n".join((*lines, "")).encode("ascii")


def mailbox(name: str, address: str) -> Iterable[str]:
    """The words of one mailbox (RFC 5322 section 3.4)."""
    shown = one_line(name, NAME_MAX + 2)  # a cut after a space loses the space too
    # A name with an address in it would show another sender than the one it has.
    if not shown or len(shown) > NAME_MAX or "@" in shown:
        return (address,)
    if _ATOMS.fullmatch(shown) and "=?" not in shown:
        return (*shown.split(), f"<{address}>")
    if shown.isascii() and not _NEEDS_ENCODING.search(shown):
        return (f'"{shown}"', f"<{address}>")
    return (*_encoded_words(shown), f"<{address}>")


def unstructured(text: str) -> Iterable[str]:
    """The words of free text; encoded (RFC 2047) behind the first where ASCII does not do."""
    words = text.split()
    if text.isascii() and "=?" not in text and all(len(word) < LINE_MAX for word in words):
        return words
    return (words[0], *_encoded_words(" ".join(words[1:])))


def _encoded_words(text: str) -> Iterator[str]:
    chunk = b""
    for character in text:
        # RFC 2047 section 5: no character is divided between two words.
        encoded = character.encode()
        if len(chunk) + len(encoded) > WORD_BYTES:
            yield _encoded_word(chunk)
            chunk = b""
        chunk += encoded
    yield _encoded_word(chunk)


def _encoded_word(chunk: bytes) -> str:
    return f"=?utf-8?b?{base64.b64encode(chunk).decode('ascii')}?="


def body_part(content_type: str, text: str) -> tuple[bytes, ...]:
    """One body part, its text in the shortest encoding that every relay leaves alone."""
    data = "\r\n".join((*text.rstrip("\n").split("\n"), "")).encode()
    charset, encoding = "utf-8", "quoted-printable"
    # Each foreign byte takes three in quoted-printable, four thirds in base64.
    foreign = len(data.translate(None, bytes(range(128))))
    if not foreign and max(map(len, data.split(b"\r\n"))) <= BODY_LINE_MAX:
        charset, encoding = "us-ascii", "7bit"
    elif foreign > len(data) / 6:
        encoding = "base64"
        data = base64.encodebytes(data).replace(b"\n", b"\r\n")
    else:
        data = binascii.b2a_qp(data, istext=True)
    return (
        field("Content-Type", f"{content_type};", f"charset={charset}"),
        field("Content-Transfer-Encoding", encoding),
        b"\r\n",
        data,
    )

"""Strangers' bytes to clean text: charsets, encoded words (RFC 2047), invisible characters.

Every function here is total (it never raises), and linear in its input.
"""

from __future__ import annotations

import binascii
import re
from encodings.aliases import aliases

# A name outside this table is not looked up at all: Python's registry remembers each
# name it was ever asked for, and holds codecs that are no charsets.
_CHARSETS = frozenset(aliases.values()).union(("cp720", "cp874", "koi8_u")) - {
    "base64_codec",
    "bz2_codec",
    "hex_codec",
    "mbcs",
    "quopri_codec",
    "rot_13",
    "uu_codec",
    "zlib_codec",
}

# What senders write, and what they mean by it (as browsers read these labels).
_MEANT = {
    "ascii": "cp1252",
    "latin_1": "cp1252",
    "iso8859_1": "cp1252",
    "iso8859_9": "cp1254",
    "iso_8859_8_i": "iso8859_8",
    "iso_8859_8_e": "iso8859_8",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "x_gbk": "gb18030",
    "euc_kr": "cp949",
    "ks_c_5601_1987": "cp949",
    "shift_jis": "cp932",
    "x_sjis": "cp932",
    "unicode_1_1_utf_7": "utf_7",
    "x_mac_roman": "mac_roman",
}

# Control characters but tab and newline; soft hyphen; zero-width and bidi marks;
# interlinear and object marks; lone surrogates; the tags and selectors that can carry
# a hidden alphabet (U+E0000 to U+E0FFF); Mongolian and Hangul blanks.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb"
    "\ud800-\udfff\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_LINE_END = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")

_ENCODED_WORD = re.compile(
    r"=\?([A-Za-z0-9_.:+-]{1,64})(?:\*[A-Za-z0-9-]{0,64})?\?([bBqQ])\?([^?]{0,8192})\?="
)
_FOLD = re.compile(r"\r?\n(?=[ \t])")
_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f]+")
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_NO_BASE64 = bytes(set(range(256)) - set(_BASE64))


def decode(data: bytes, charset: str) -> str:
    """The text, as well as it can be told; an unknown or wrong charset is UTF-8, else Latin-1."""
    codec = _codec(charset)
    # Text labelled ASCII that holds 8-bit bytes is UTF-8 more often than anything else.
    order = ("utf_8", "cp1252") if codec in (None, "ascii") else (codec, "utf_8")
    for candidate in order:
        try:
            return data.decode(_MEANT.get(candidate, candidate))
        except UnicodeError:
            continue
    return data.decode(_MEANT.get(order[0], order[0]) if codec else "latin_1", "replace")


def _codec(charset: str) -> str | None:
    key = re.sub("[^a-z0-9]+", "_", charset[:64].lower()).strip("_")
    codec = aliases.get(key, key)
    codec = _MEANT.get(codec, codec) if codec not in _CHARSETS else codec
    return codec if codec in _CHARSETS else None


def unfolded(value: bytes, limit: int) -> str:
    """A field's raw value as one line; of a longer one, what its first `limit` bytes say."""
    head = value[:limit]
    try:
        text = head.decode()
    except UnicodeDecodeError as error:
        # A cut may go through a character; anything else is no UTF-8.
        cut = len(value) > limit and error.start >= limit - 3
        text = head[: error.start].decode() if cut else head.decode("latin_1")
    return _CONTROL.sub(" ", _FOLD.sub("", text)).strip()


def decode_words(text: str) -> str:
    """The text with its encoded words decoded; what is no valid one stays as it was."""
    done: list[str] = []
    pending, charset, end = b"", "", 0
    for word in _ENCODED_WORD.finditer(text):
        between = text[end : word.start()]
        # RFC 2047 section 6.2: white space between two encoded words is not shown.
        # Senders cut characters in two there, so bytes of one charset are joined first.
        joins = bool(charset) and not between.strip()
        if not joins or word[1].lower() != charset:
            done.append(decode(pending, charset))
            pending = b""
        if not joins:
            done.append(between)
        charset, end = word[1].lower(), word.end()
        pending += _word_bytes(word[2], word[3], charset)
    return "".join((*done, decode(pending, charset), text[end:]))


def _word_bytes(encoding: str, text: str, charset: str) -> bytes:
    # Broken senders leave 8-bit characters in the word: they mean them in its charset.
    codec = _codec(charset) or "utf_8"
    data = text.encode(_MEANT.get(codec, codec), "replace")
    return binascii.a2b_qp(data, header=True) if encoding in "qQ" else from_base64(data)


def from_base64(data: bytes) -> bytes:
    """Base64 decoded up to its padding; what is not of its alphabet is skipped."""
    letters = data.partition(b"=")[0].translate(None, _NO_BASE64)
    if len(letters) % 4 == 1:
        letters = letters[:-1]
    return binascii.a2b_base64(letters + b"=" * (-len(letters) % 4))


def clean(text: str) -> str:
    """The text without what cannot be seen or stored, its lines ended by a newline each."""
    return _INVISIBLE.sub("", _LINE_END.sub("\n", text))


def one_line(text: str, limit: int) -> str:
    """Clean text on one line, white space collapsed, at most `limit` characters."""
    return " ".join(clean(text).split())[:limit].rstrip()

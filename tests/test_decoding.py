"""Strangers' bytes to clean text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpd.decoding import clean, decode, decode_words, one_line


@pytest.mark.parametrize(
    ("data", "charset", "expected"),
    [
        (b"caf\xc3\xa9", "", "café"),
        (b"caf\xe9", "", "café"),
        (b"caf\xe9", "us-ascii", "café"),
        (b"\x93quoted\x94", "iso-8859-1", "\u201cquoted\u201d"),
        (b"caf\xe9", "no-such-charset", "café"),
        (b"\xb0\xa1", "ks_c_5601-1987", "가"),
        (b'\x1b$B$"\x1b(B', "iso-2022-jp", "あ"),
        (b"abc", "zip", "abc"),
        (b"abc", "../../etc", "abc"),
    ],
)
def test_bytes_become_text_whatever_their_label(data: bytes, charset: str, expected: str) -> None:
    assert decode(data, charset) == expected


@given(
    st.binary(max_size=200), st.sampled_from(["utf-8", "utf-7", "utf-16", "hz", "gb2312", "x", ""])
)
def test_decoding_never_raises_and_clean_text_can_be_stored(data: bytes, charset: str) -> None:
    text = clean(decode(data, charset))
    assert "\x00" not in text
    text.encode("utf-8")


@given(st.text(max_size=200))
def test_a_line_is_one_line(text: str) -> None:
    line = one_line(decode_words(text), 50)
    assert len(line) <= 50
    assert len(line.splitlines()) <= 1


def test_hidden_alphabets_are_removed() -> None:
    hidden = "".join(chr(0xE0000 + ord(letter)) for letter in "obey")
    assert clean(f"He\u200bllo{hidden}\u202e \U000e0100x") == "Hello x"

"""Addresses in header fields: read for certain, or not at all."""

from __future__ import annotations

import pytest

from smtpd.addresses import mailboxes, without_addresses


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Joe <joe@x.example>", [("Joe", "joe@x.example")]),
        ("joe@X.Example (Joe)", [("Joe", "joe@x.example")]),
        ('"Doe, Joe" <joe@x.example>', [("Doe, Joe", "joe@x.example")]),
        ("a@x.example, b@y.example", [("", "a@x.example"), ("", "b@y.example")]),
        ("friends: a@x.example, b@y.example;", [("", "a@x.example"), ("", "b@y.example")]),
        ("undisclosed-recipients:;", []),
        ('"a b"@x.example', [("", '"a b"@x.example')]),
        ('"ab"@x.example', [("", "ab@x.example")]),
        ("=?utf-8?q?J=C3=B6?= <j@x.example>", [("Jö", "j@x.example")]),
        ("a@x.example <b@y.example>", [("a@x.example", "b@y.example")]),
        ("joe@x.example, ", [("", "joe@x.example")]),
        ("(a(b)) joe@x.example", [("a(b)", "joe@x.example")]),
    ],
)
def test_addresses_are_read(text: str, expected: list[tuple[str, str]]) -> None:
    assert [(box.name, box.address) for box in mailboxes(text)] == expected


@pytest.mark.parametrize(
    "text",
    [
        "<a@x.example> <b@y.example>",
        "Joe <joe@x.example> and more",
        "Joe <joe@x.example",
        '"open <joe@x.example>',
        "(open joe@x.example",
        "joe smith@x.example",
        "joe@x..example",
        "joe@x.example.",
        "joe@[192.0.2.1]",
        "joe@bücher.example",
        "jö@x.example",
        '"joe@evil.example"@x.example',
        "a@x.example: b@y.example",
        "a@x.example and more: b@y.example",
        "joe@x.example\x00",
        "joe",
        f"{'j' * 65}@x.example",
        f"joe@{'x.' * 130}example",
    ],
)
def test_what_cannot_be_read_for_certain_is_no_address(text: str) -> None:
    assert [box.address for box in mailboxes(text)] == [""]


def test_the_number_of_addresses_is_bounded() -> None:
    assert len(mailboxes("a@x.example," * 5000, most=100)) == 100


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("450 4.2.0 <ada@example.org>: greylisted", "450 4.2.0 … greylisted"),
        ("to=ada%40example.org, later", "… later"),
        ("a@b c@d", "… …"),
        ("no address here", "no address here"),
        ("", ""),
        ("@" * 100_000, "…"),
    ],
)
def test_a_text_is_told_without_its_addresses(text: str, shown: str) -> None:
    assert without_addresses(text) == shown

"""Macros of SPF: what they stand for, which are none, and that they cost little."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpd.checks.spf_macros import NAME_MAX, Malformed, name_of, read, read_domain

# The sender and client of the examples in RFC 7208 section 7.4.
VALUES = {
    "s": "strong-bad@email.example.com",
    "l": "strong-bad",
    "o": "email.example.com",
    "d": "email.example.com",
    "i": "192.0.2.3",
    "v": "in-addr",
    "h": "mx.example.org",
    "p": "unknown",
}


def name(text: str, **values: str) -> str:
    return name_of(read_domain(text), {**VALUES, **values}.__getitem__)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("%{s}", "strong-bad@email.example.com"),
        ("%{o}", "email.example.com"),
        ("%{d4}", "email.example.com"),
        ("%{d2}", "example.com"),
        ("%{d1}", "com"),
        ("%{dr}", "com.example.email"),
        ("%{D2R}", "example.email"),
        ("%{l-}", "strong.bad"),
        ("%{lr}", "strong-bad"),
        ("%{lr-}", "bad.strong"),
        ("%{l1r-}", "strong"),
        ("%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com"),
        ("%{lr-}.lp.%{ir}.%{v}._spf.%{d2}", "bad.strong.lp.3.2.0.192.in-addr._spf.example.com"),
        ("%{d2}.trusted-domains.example.net.", "example.com.trusted-domains.example.net"),
        ("a%%b%_c%-d.example", "a%b c%20d.example"),
        ("%%{d}.example", "%{d}.example"),
        ("a.example.", "a.example"),
    ],
)
def test_a_macro_stands_for_what_the_standard_says(text: str, expected: str) -> None:
    assert name(text) == expected


def test_several_delimiters_split_and_all_are_joined_by_dots() -> None:
    assert name("%{l2+-}", l="foo-bar+zip+quux") == "zip.quux"
    assert name("%{o-}", o="my-bank.example") == "my.bank.example"


def test_where_delimiters_are_given_a_dot_is_none() -> None:
    assert name("%{l1-}", l="a.b-c.d") == "c.d"


def test_a_macro_in_capitals_is_escaped_for_a_link() -> None:
    assert name("%{L}.x.example", l="~jack&jill=up_a") == "~jack%26jill%3Dup_a.x.example"
    assert name("%{L}.x.example", l="\udcff") == "%3F.x.example"


@pytest.mark.parametrize(
    "text",
    [
        "%", "%d.example", "a.%", "%(ir).example", "%{", "%{d", "%{d.example", "%{}",
        "%{x}.example", "%{c}", "%{r}", "%{t}", "%{d0}", "%{d000}", "%{d1234}", "%{d2x}", "%{rd}",
        "%{d*}", "%{d{d}}", "%%%.example", "%{\u0131}",
    ],
)  # fmt: skip
def test_what_only_looks_like_a_macro_is_wrong(text: str) -> None:
    with pytest.raises(Malformed):
        read(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        "example",
        "a.1",
        "a.-",
        "a.b-",
        "a.b:25",
        "a.example..",
        "%{d}.",
        "%{d}x",
        "a.é",
    ],
)
def test_a_name_ends_in_a_top_label_or_a_macro(text: str) -> None:
    with pytest.raises(Malformed):
        read_domain(text)


def test_a_name_too_long_loses_whole_labels_on_its_left() -> None:
    labels = [f"{number:04}" for number in range(200)]
    assert name("%{l}.example", l=".".join(labels)) == ".".join([*labels[-49:], "example"])
    fits = f"{'a' * 63}.{'b' * 63}.{'c' * 63}.{'d' * 53}.example"
    assert len(fits) == NAME_MAX
    assert name("%{l}.example", l=fits.removesuffix(".example")) == fits
    assert name("x%{l}.example", l=fits.removesuffix(".example")) == fits.partition(".")[2]
    assert name("x.%{l}.example", l=fits.removesuffix(".example")) == fits


def test_one_label_without_an_end_is_no_name_and_no_endless_one() -> None:
    assert len(name("%{l}%{l}", l="a" * 300)) == NAME_MAX + 1


TEXTS = st.text(alphabet="%{}slodiphvLDr0129-.+,/_=ax \x00\xe9\udcff", max_size=60)


@given(text=TEXTS, value=st.text(max_size=300))
def test_every_text_is_a_name_or_malformed(text: str, value: str) -> None:
    try:
        found = name_of(read_domain(text), lambda letter: value)
    except Malformed:
        return
    assert len(found) <= NAME_MAX + 1

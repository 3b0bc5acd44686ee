"""MAIL and RCPT arguments: what is an address, what it becomes, and what is said otherwise."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpd import replies
from smtpd.paths import BadPath, recipient, sender
from smtpd.replies import Reply

SIZE_MAX = 1000


def mail_from(argument: str, *, extended: bool = True) -> str:
    return sender(argument.encode("latin-1"), size_max=SIZE_MAX, extended=extended)


def rcpt_to(argument: str) -> str:
    return recipient(argument.encode("latin-1"))


LONG_DOMAIN = ".".join(["d" * 63] * 2 + ["d" * 61])  # 189 octets

ADDRESSES = {
    "<ada@example.org>": "ada@example.org",
    " <ada@example.org>": "ada@example.org",
    "<Ada.B+tag@Example.ORG>": "Ada.B+tag@Example.ORG",
    "<!#$%&'*+-/=?^_`{|}~@example.org>": "!#$%&'*+-/=?^_`{|}~@example.org",
    "<two..dots.@carrier.example>": "two..dots.@carrier.example",
    '<"a b"@example.org>': '"a b"@example.org',
    '<"a\\"@b>"@example.org>': '"a\\"@b>"@example.org',
    '<"ada"@example.org>': "ada@example.org",
    '<"a\\da"@example.org>': "ada@example.org",
    '<""@example.org>': '""@example.org',
    "<@relay.example:ada@example.org>": "ada@example.org",
    "<@a.example,@b.example:ada@example.org>": "ada@example.org",
    "<ada@[192.0.2.1]>": "ada@[192.0.2.1]",
    "<ada@[IPv6:2001:db8::1]>": "ada@[IPv6:2001:db8::1]",
    "<ada@localhost>": "ada@localhost",
    "<ada@under_score.example>": "ada@under_score.example",
    f"<{'l' * 64}@{LONG_DOMAIN}>": f"{'l' * 64}@{LONG_DOMAIN}",
}

NO_ADDRESSES = [
    "",
    "<",
    "<>x",
    "ada@example.org",
    "<ada@example.org",
    "<ada>",
    "<@example.org>",
    "<ada@>",
    "<ada@-x.example>",
    "<ada@x-.example>",
    "<ada@example..org>",
    "<ada@example.org.>",
    "<a b@example.org>",
    "<a@b@example.org>",
    "<<ada@example.org>>",
    '<"ada@example.org>',
    '<"a"b@example.org>',
    "<ada@[192.0.2.256]>",
    "<ada@[2001:db8::1]>",
    "<ada@[IPv6:192.0.2.1]>",
    "<ada@[tag:content]>",
    "<ada@[]>",
    f"<{'l' * 65}@example.org>",
    f"<{'l' * 64}@x{LONG_DOMAIN[1:]}d>",
    f"<ada@{'d' * 64}.example>",
    "<ada@example.org>SIZE=1",
    "<@relay.example:>",
    "<(comment)ada@example.org>",
]


@pytest.mark.parametrize(("path", "address"), ADDRESSES.items())
def test_an_address_is_read(path: str, address: str) -> None:
    assert mail_from(f"FROM:{path}") == address
    assert rcpt_to(f"to:{path}") == address


@pytest.mark.parametrize("path", NO_ADDRESSES)
def test_what_is_no_address_is_refused(path: str) -> None:
    assert refusal_of_sender(f"FROM:{path}") == replies.BAD_SENDER
    with pytest.raises(BadPath) as refused:
        rcpt_to(f"TO:{path}")
    assert refused.value.reply == replies.BAD_ADDRESS


def refusal_of_sender(argument: str, *, extended: bool = True) -> Reply:
    with pytest.raises(BadPath) as refused:
        mail_from(argument, extended=extended)
    return refused.value.reply


def test_the_null_sender_is_a_sender_and_no_recipient() -> None:
    assert mail_from("FROM:<>") == ""
    assert mail_from("FROM:<> BODY=7BIT") == ""
    with pytest.raises(BadPath):
        rcpt_to("TO:<>")


def test_postmaster_needs_no_domain_as_a_recipient_only() -> None:
    assert rcpt_to("TO:<postmaster>") == "postmaster"
    assert rcpt_to("TO:<PostMaster>") == "PostMaster"
    assert refusal_of_sender("FROM:<postmaster>") == replies.BAD_SENDER


@pytest.mark.parametrize(
    ("argument", "reply"),
    [
        ("", replies.BAD_SYNTAX),
        ("TO:<ada@example.org>", replies.BAD_SYNTAX),
        ("FROM <ada@example.org>", replies.BAD_SYNTAX),
        ("FROM:<a\x00da@example.org>", replies.BAD_SYNTAX),
        ("FROM:<ada@example.org>\rRCPT", replies.BAD_SYNTAX),
        ("FROM:<ad\xe4@example.org>", replies.ADDRESS_NOT_ASCII),
        ("FROM:<ada@ex\xc3\xa4mple.org>", replies.ADDRESS_NOT_ASCII),
        ("FROM:<ada@example.org> SIZE=1001", replies.TOO_BIG),
        ("FROM:<ada@example.org> SIZE=99999999999999999999", replies.TOO_BIG),
        ("FROM:<ada@example.org> SIZE=999999999999999999999", replies.BAD_PARAMETER),
        ("FROM:<ada@example.org> SIZE", replies.BAD_PARAMETER),
        ("FROM:<ada@example.org> SIZE=", replies.BAD_PARAMETER),
        ("FROM:<ada@example.org> SIZE=-1", replies.BAD_PARAMETER),
        ("FROM:<ada@example.org> SIZE=1 size=1", replies.BAD_PARAMETER),
        ("FROM:<ada@example.org> BODY=BINARYMIME", replies.BAD_PARAMETER),
        ("FROM:<ada@example.org> =x", replies.BAD_PARAMETER),
        ("FROM:<ada@example.org> RET=HDRS", replies.UNKNOWN_PARAMETER),
        ("FROM:<ada@example.org> SMTPUTF8", replies.UNKNOWN_PARAMETER),
    ],
)
def test_each_mistake_has_its_reply(argument: str, reply: Reply) -> None:
    assert refusal_of_sender(argument) == reply


def test_parameters_are_taken_in_any_case_and_order() -> None:
    assert mail_from("from:<a@example.org>  body=8bitmime\tsize=1000 ") == "a@example.org"


def test_parameters_are_taken_after_ehlo_only() -> None:
    assert mail_from("FROM:<a@example.org>", extended=False) == "a@example.org"
    refusal = refusal_of_sender("FROM:<a@example.org> SIZE=1", extended=False)
    assert refusal == replies.UNKNOWN_PARAMETER


def test_a_recipient_takes_no_parameters() -> None:
    with pytest.raises(BadPath) as refused:
        rcpt_to("TO:<a@example.org> NOTIFY=NEVER")
    assert refused.value.reply == replies.UNKNOWN_PARAMETER


@given(st.binary(max_size=60))
def test_whatever_comes_is_a_clean_address_or_refused(junk: bytes) -> None:
    for argument in (b"FROM:" + junk, b"FROM:<" + junk + b"@example.org>"):
        try:
            address = sender(argument, size_max=SIZE_MAX, extended=True)
        except BadPath:
            continue
        assert address.isascii()
        assert address.isprintable()
        assert len(address) <= 254


@pytest.mark.parametrize(
    "path",
    [
        "<" + "a" * 2000 + "@example.org>",
        "<" + "." * 2000,
        '<"' + "\\a" * 1000,
        "<@" + ",@".join(["a.b.c"] * 300),
        "<a@" + "a-" * 1000,
        "<a@" + "a." * 1000,
    ],
)
def test_a_hostile_line_takes_no_time(path: str) -> None:
    # Quadratic reading of the longest command line would be a million steps and not
    # noticed; anything worse would not come back.
    for _ in range(20):
        with pytest.raises(BadPath):
            mail_from(f"FROM:{path}")

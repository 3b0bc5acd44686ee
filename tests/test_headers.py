"""The header scanner, and the facts it finds."""

from __future__ import annotations

from datetime import UTC, datetime
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpd.addresses import normal
from smtpd.facts import Facts, facts
from smtpd.headers import FIELDS_MAX, PARSED_BYTES, HeadersTooLarge, scan


def facts_of(section: str, mail_from: str = "ada@example.org") -> Facts:
    return facts(scan(section.replace("\n", "\r\n").encode("latin-1") + b"\r\n\r\n"), mail_from)


# The scanner


def test_fields_keep_their_order_their_folding_and_their_bytes() -> None:
    headers = scan(b"Subject: a\r\n  b\r\nTO:x\r\nsubject: \xff\r\n\r\nbody: no field\r\n")
    assert headers.fields == (("subject", b"a\r\n  b"), ("to", b"x"), ("subject", b"\xff"))
    assert headers.all("Subject") == ("a  b", "\xff")
    assert headers.body_at == len(b"Subject: a\r\n  b\r\nTO:x\r\nsubject: \xff\r\n\r\n")


@pytest.mark.parametrize(
    ("raw", "names", "body"),
    [
        pytest.param(b"", [], b"", id="nothing at all"),
        pytest.param(b"\r\nbody", [], b"body", id="no headers"),
        pytest.param(b"Hello, no field here\r\n", [], b"Hello, no field here\r\n", id="only text"),
        pytest.param(b"A: 1", ["a"], b"", id="no body, no line end"),
        pytest.param(
            b"A: 1\r\nno field\r\nB: 2\r\n\r\nx", ["a"], b"no field\r\nB: 2\r\n\r\nx", id="broken"
        ),
        pytest.param(
            b" folded\r\nA: 1\r\n\r\n", [], b" folded\r\nA: 1\r\n\r\n", id="folding first"
        ),
        pytest.param(b"From ada Mon\r\nA: 1\r\n\r\nx", ["a"], b"x", id="mailbox file"),
        pytest.param(b"A: 1\nB: 2\n\nx", ["a", "b"], b"x", id="bare line feeds"),
    ],
)
def test_a_broken_section_ends_where_it_breaks(raw: bytes, names: list[str], body: bytes) -> None:
    headers = scan(raw)
    assert [name for name, _ in headers.fields] == names
    assert raw[headers.body_at :] == body


def test_a_field_cannot_hide_behind_a_space_before_its_colon() -> None:
    found = facts_of("From: ada@example.org\nFrom : eve@evil.example")
    assert found.author == ""
    assert "evil.example" in found.sender_domains


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"A: " + b"x" * 3000 + b"\r\n\r\n", id="one long line"),
        pytest.param(b"A: x\r\n" * 500 + b"\r\n", id="many fields"),
        pytest.param(b"A: x\r\n" + b" x\r\n" * 700 + b"\r\n", id="much folding"),
        pytest.param(b"A: " + b"x" * 3000, id="no end"),
    ],
)
def test_a_section_over_the_limit_is_too_large(raw: bytes) -> None:
    with pytest.raises(HeadersTooLarge):
        scan(raw, max_bytes=2000)
    scan(raw, max_bytes=4000)


def test_more_fields_than_real_mail_has_are_too_large() -> None:
    scan(b"A:\r\n" * FIELDS_MAX)
    with pytest.raises(HeadersTooLarge):
        scan(b"A:\r\n" * (FIELDS_MAX + 1))


def test_a_body_does_not_count_as_headers() -> None:
    assert scan(b"A: 1\r\n\r\n" + b"x" * 10_000, max_bytes=100).fields == (("a", b"1"),)
    assert scan(b"x" * 10_000, max_bytes=100).fields == ()


@given(st.binary(max_size=3000))
def test_no_bytes_make_the_scanner_or_the_facts_raise(raw: bytes) -> None:
    headers = scan(raw)
    found = facts(headers, "ada@example.org")
    assert 0 <= headers.body_at <= len(raw)
    assert all(character.isprintable() for character in found.author + found.message_id)
    (found.subject + found.author_name).encode("utf-8")


@given(
    st.text(alphabet='ab@."(),;:<>\\[] \t=?q\r\n\x00é', max_size=200),
    st.sampled_from(["From", "Date"]),
)
def test_no_field_value_makes_the_facts_raise(value: str, name: str) -> None:
    author = facts_of(f"{name}: {value}".replace("é", "\xe9")).author
    assert author == normal(author)


HOSTILE = [
    *('"', "(", ")", "<", ">", ",", ";", ":", "@", "\\", "[", '"\\', "a ", "=?", "a@b,", "()"),
    *("<a@b>", "=?utf-8?q?a?= ", "=?utf-8?b?YQ==?=", "=?a?b?", "\r\n ", "12:", "=?utf-7?q?+AA?="),
]


@pytest.mark.parametrize("piece", HOSTILE)
@pytest.mark.parametrize("name", ["From", "Sender", "To", "Subject", "Date", "References"])
def test_eight_kilobytes_of_anything_cost_no_more_than_prose(name: str, piece: str) -> None:
    def cost(value: str) -> float:
        start = process_time()
        facts_of(f"{name}: {value}")
        return process_time() - start

    # Quadratic work would be a hundred times the linear one at this size.
    small = piece * (PARSED_BYTES // 8 // len(piece))
    assert min(cost(small * 8) for _ in range(3)) < 40 * max(cost(small), 0.0005)


def test_a_thousand_from_fields_are_not_each_parsed() -> None:
    start = process_time()
    found = facts_of("\n".join(['From: "' + '"' * 240] * 1000))
    assert process_time() - start < 1
    assert found.author == ""


# The facts


@pytest.mark.parametrize(
    "section",
    [
        "Subject: no From",
        "From: a@x.example, b@y.example",
        "From: a@x.example\nFrom: a@x.example",
        "From: ",
        "From: friends:;",
        "From: a@x.example, " + " " * 9000 + "b@y.example",
        "From: =?utf-8?q?a=40x.example?=",
    ],
)
def test_there_is_an_author_only_where_there_is_exactly_one(section: str) -> None:
    assert facts_of(section).author == ""


def test_the_author_has_a_name_without_line_ends() -> None:
    found = facts_of("From: =?utf-8?q?Ada=0D=0ABcc=3A_x?= <Ada@Example.ORG>")
    assert (found.author, found.author_domain) == ("Ada@example.org", "example.org")
    assert found.author_name == "Ada Bcc: x"


def test_every_domain_that_claims_to_send_is_named() -> None:
    found = facts_of("From: a@x.example, b@y.example\nSender: <c@Z.example>", "d@w.example")
    assert found.sender_domains == {"x.example", "y.example", "z.example", "w.example"}


def test_domains_in_a_from_field_nobody_can_read_are_named_too() -> None:
    assert "us.example" in facts_of('From: "open <ai@us.example>').sender_domains


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        ("=?utf-8?q?caf=C3?= =?utf-8?q?=A9?=", "café"),
        ("=?iso-8859-1?q?caf=E9?= and =?utf-8?b?dGVh?=", "café and tea"),
        ("=?utf-8?q?one?= =?utf-8?q?two?=", "onetwo"),
        ("=?utf-8?q?a=0D=0ABcc=3A_eve?=", "a Bcc: eve"),
        ("=?unknown-8bit?q?caf=C3=A9?=", "café"),
        ("=?rot13?q?uryyb?=", "uryyb"),
        ("=?utf-8?b?!!!?=", ""),
        ("=?utf-8?q?cut", "=?utf-8?q?cut"),
        ("=?utf-8*en?q?tea?=", "tea"),
        ("caf\xe9", "café"),
        ("a\u00adb".encode().decode("latin-1"), "ab"),
        ("=?utf-8?q?=E2=80=AEevil=E2=80=8B?=", "evil"),
        ("=?utf-7?q?+2AA-?=", "+2AA-"),
    ],
)
def test_a_subject_is_one_clean_line(subject: str, expected: str) -> None:
    assert facts_of(f"Subject: {subject}").subject == expected


def test_references_keep_the_first_and_the_newest() -> None:
    value = "\n ".join(f"<{number}@x.example>" for number in range(2000))
    kept = facts_of(f"References: {value}").references
    assert kept[0] == "<0@x.example>"
    assert kept[1:] == tuple(f"<{number}@x.example>" for number in range(1980, 2000))


def test_only_tokens_that_can_be_repeated_count_as_message_ids() -> None:
    found = facts_of("Message-ID: <a b@x> <\xe9@x> <ok@x.example>\nIn-Reply-To: your mail <r@x>")
    assert found.message_id == "<ok@x.example>"
    assert found.in_reply_to == ("<r@x>",)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Mon, 23 Nov 2026 10:00:00 +0100", datetime(2026, 11, 23, 9, tzinfo=UTC)),
        ("Mon, 23 Nov 2026 10:00:00 -0000", datetime(2026, 11, 23, 10, tzinfo=UTC)),
        ("yesterday", None),
        ("Mon, 99 Nov 2026 10:00:00 +0100", None),
        ("Fri, 31 Dec 9999 23:59:59 -0100", None),
        ("", None),
    ],
)
def test_a_date_is_universal_time_or_nothing(value: str, expected: datetime | None) -> None:
    assert facts_of(f"Date: {value}").date == expected


@pytest.mark.parametrize(
    ("section", "addressed", "whole"),
    [
        ("To: Ai <AI@us.example>\nCc: b@x.example", ("ai@us.example", "b@x.example"), True),
        ("To: team: ai@us.example, b@x.example;", ("ai@us.example", "b@x.example"), True),
        ("To: undisclosed-recipients:;", (), True),
        ("To: undisclosed recipients", (), True),
        ("Bcc: ai@us.example", (), True),
        ("Subject: to nobody", (), True),
        ("Cc: a@x.example\nCc: b@x.example", ("a@x.example",), False),
        ("To: a@x.example, " + " " * 9000 + "b@x.example", ("a@x.example",), False),
    ],
)
def test_to_and_cc_are_read_and_it_is_known_whether_wholly(
    section: str, addressed: tuple[str, ...], whole: bool
) -> None:
    found = facts_of(section)
    assert (found.addressed, found.addressed_whole) == (addressed, whole)


@pytest.mark.parametrize(("to", "cc", "whole"), [(50, 49, True), (50, 50, False), (0, 300, False)])
def test_of_to_and_cc_a_hundred_addresses_are_read(to: int, cc: int, whole: bool) -> None:
    fields = {"To": range(to), "Cc": range(1000, 1000 + cc)}
    section = "\n".join(
        f"{name}: {', '.join(f'a{number}@x.example' for number in numbers)}"
        for name, numbers in fields.items()
    )
    found = facts_of(section)
    assert (len(found.addressed), found.addressed_whole) == (min(to + cc, 100), whole)

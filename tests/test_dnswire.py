"""What a nameserver's message costs us, whatever it says."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.name
import dns.rdatatype
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpd.dnswire import MESSAGE_MAX_BYTES, RECORDS_MAX, bounded

DEEP = ".".join(["a"] * 110) + ".test."


def reply(kind: str, *texts: str, name: str = "a.test", ns: tuple[str, ...] = ()) -> bytes:
    answer = dns.message.make_response(dns.message.make_query(name, kind))
    owner = answer.question[0].name
    if texts:
        answer.answer.append(dns.rrset.from_text_list(owner, 60, "IN", kind, list(texts)))
    for text in ns:
        answer.authority.append(dns.rrset.from_text("test.", 60, "IN", *text.split(" ", 1)))
    return answer.to_wire(max_size=65535)


def records(wire: bytes) -> int:
    return sum(map(len, dns.message.from_wire(wire).answer))


@pytest.mark.parametrize(
    ("kind", "texts"),
    [
        ("TXT", ('"v=spf1 -all"', '"another"')),
        ("TXT", tuple(f'"{number}"' for number in range(RECORDS_MAX))),
        ("TXT", tuple(f'"{number:0250}"' for number in range(60))),
        ("TXT", (" ".join(['"x"'] * 1000),)),
        ("A", ("192.0.2.1", "192.0.2.2")),
        ("MX", tuple(f"10 mx{number}.mail.example.org." for number in range(RECORDS_MAX))),
        ("PTR", (f"{'1.' * 32}ip6.arpa.",)),
        ("CNAME", ("elsewhere.test.",)),
    ],
)
def test_an_answer_within_bounds_is_read_as_it_is(kind: str, texts: tuple[str, ...]) -> None:
    wire = reply(kind, *texts)
    assert bounded(wire) == wire


@pytest.mark.parametrize(
    ("kind", "texts"),
    [
        ("TXT", tuple(f'"{number}"' for number in range(RECORDS_MAX + 1))),
        ("TXT", tuple(f'"{number:0250}"' for number in range(66))),
        ("TXT", (" ".join(['"x"'] * 8200),)),
        ("TXT", (" ".join(['""'] * 2100),)),
        ("MX", tuple(f"{number} n{number}.{DEEP}" for number in range(60))),
        ("PTR", tuple(f"n{number}.{DEEP}" for number in range(60))),
        ("SRV", tuple(f"1 1 {number} n{number}.{DEEP}" for number in range(60))),
    ],
)
def test_an_answer_beyond_them_has_no_records(kind: str, texts: tuple[str, ...]) -> None:
    wire = reply(kind, *texts)
    assert records(wire) == len(texts)
    cut = dns.message.from_wire(bounded(wire))
    assert (cut.answer, cut.authority) == ([], [])
    assert cut.question == dns.message.from_wire(wire).question
    assert cut.id == dns.message.from_wire(wire).id


def test_what_stands_behind_the_answer_is_left_out_when_it_costs_too_much() -> None:
    names = tuple(f"NS n{number}.{DEEP}" for number in range(60))
    cut = dns.message.from_wire(bounded(reply("TXT", '"text"', ns=names)))
    assert (len(cut.answer), cut.authority) == (1, [])


def test_the_soa_of_an_absence_stays() -> None:
    soa = "SOA ns.test. hostmaster.test. 1 2 3 4 40"
    cut = dns.message.from_wire(bounded(reply("TXT", ns=(soa,))))
    assert [rrset.rdtype for rrset in cut.authority] == [dns.rdatatype.SOA]


def test_a_truncated_message_is_only_its_question() -> None:
    wire = dns.message.from_wire(reply("TXT", '"text"'))
    wire.flags |= dns.flags.TC
    cut = dns.message.from_wire(bounded(wire.to_wire()))
    assert (cut.answer, cut.flags & dns.flags.TC) == ([], dns.flags.TC)


def test_what_follows_the_sections_is_left_out() -> None:
    message = dns.message.from_wire(reply("TXT", '"text"'))
    message.use_edns(0)
    assert dns.message.from_wire(bounded(message.to_wire() + b"junk")).additional == []


def test_a_name_that_points_at_itself_is_broken() -> None:
    wire = reply("PTR", "b.test.")
    at = wire.rindex(b"\x01b\xc0")
    looping = wire[: at - 2] + b"\x00\x02" + bytes([0xC0 | at >> 8, at & 255])
    assert bounded(looping) == b""


@pytest.mark.parametrize(
    ("kind", "text"), [("MX", "10 mail.example.org."), ("A", "192.0.2.1"), ("TXT", '"text"')]
)
def test_a_message_that_ends_too_soon_is_broken(kind: str, text: str) -> None:
    wire = reply(kind, text, name="some.long.name.example")
    assert {bounded(wire[:length]) for length in range(len(wire))} == {b""}


def test_a_message_with_two_questions_answers_neither() -> None:
    message = dns.message.from_wire(reply("TXT", '"text"'))
    message.question *= 2
    assert bounded(message.to_wire()) == b""


@given(st.binary(max_size=600), st.integers(0, 3), st.integers(0, 200))
def test_no_message_makes_it_fail_or_grow(junk: bytes, questions: int, answers: int) -> None:
    wire = b"\0\1\x80\0" + bytes([0, questions, 0, answers, 0, 9, 0, 9]) + junk
    assert len(bounded(wire)) <= len(wire)


@given(st.binary(max_size=100))
def test_a_large_message_becomes_a_small_one(junk: bytes) -> None:
    wire = reply("TXT", *(f'"{number:0250}"' for number in range(70)))
    assert len(wire) > MESSAGE_MAX_BYTES
    assert len(bounded(wire + junk)) < 100

"""The nameservers the other tests lean on, real and literal, do what they are trusted with."""

from __future__ import annotations

from collections.abc import Iterator

import dns.message
import dns.query
import pytest

from config.checks_settings import ChecksSettings
from smtpd.questions import Kind, Question, Status
from smtpd.resolver import Resolver
from tests.conftest import installed
from tests.servers.knot import KnotServer
from tests.servers.process import HOST
from tests.zones import SERVFAIL, TIMEOUT, zone


@pytest.fixture
def knot() -> Iterator[KnotServer]:
    zones = {"one.example": '@ TXT "first"', "two.example": '@ TXT "other"'}
    with installed(lambda: KnotServer(zones)) as server:
        yield server


def text_of(knot: KnotServer, name: str, *, tcp: bool = False) -> str:
    ask = dns.query.tcp if tcp else dns.query.udp
    reply = ask(dns.message.make_query(name, "TXT"), HOST, timeout=5, port=knot.port)
    return " ".join(rdata.to_text().strip('"') for rrset in reply.answer for rdata in rrset)


def test_knot_answers_by_udp_and_by_tcp(knot: KnotServer) -> None:
    assert text_of(knot, "one.example") == text_of(knot, "one.example", tcp=True) == "first"


def test_what_is_published_is_served_at_once_and_other_zones_stay(knot: KnotServer) -> None:
    for text in ("second", "third"):
        knot.publish("one.example", f'@ TXT "{text}"')
        assert text_of(knot, "one.example") == text
    assert text_of(knot, "two.example") == "other"


def test_what_is_published_while_it_rests_is_served_when_it_runs(knot: KnotServer) -> None:
    knot.stop()
    knot.publish("one.example", '@ TXT "second"')
    knot.start()
    assert text_of(knot, "one.example") == "second"


async def test_a_literal_zone_answers_as_a_nameserver_does(knot: KnotServer) -> None:
    knot.publish(
        "one.example",
        '@ TXT "a b" "c"\n@ MX 10 MX\nmx A 192.0.2.1\nnomail MX 0 .\ndeep.below AAAA 2001:db8::1',
    )
    literal = zone(
        {
            "One.Example.": {"TXT": "a bc", "MX": "10 MX.One.Example."},
            "mx.one.example": {"A": ["192.0.2.1"]},
            "nomail.one.example": {"MX": "0 ."},
            "deep.below.one.example": {"AAAA": "2001:db8::1"},
        }
    )
    names = ("", "mx.", "nomail.", "deep.below.", "below.", "gone.", "gone.mx.")
    resolver = Resolver(ChecksSettings(dns_servers=(knot.address,), dns_timeout=10))
    for question in (Question(f"{name}one.example", kind) for name in names for kind in Kind):
        assert await literal.lookup(question) == await resolver.lookup(question), question
    assert set(literal.asked.values()) == {1}


async def test_a_literal_zone_may_stay_silent() -> None:
    literal = zone({"dead.example": SERVFAIL, "slow.example": {"TXT": TIMEOUT, "A": "192.0.2.1"}})
    asked = [
        ("dead.example", Kind.MX), ("slow.example", Kind.TXT), ("slow.example", Kind.A),
    ]  # fmt: skip
    found = literal.answers(Question(*one) for one in asked)
    assert [answer.status for answer in found.values()] == [SERVFAIL, TIMEOUT, Status.FOUND]
    assert not literal.asked

"""SPF: what is asked for, beforehand and in rounds, and what is not."""

from __future__ import annotations

from typing import Any

import pytest

from smtpd.evidence import Result
from smtpd.questions import Kind, Question
from tests.test_spf import CLIENT, HELO, InPlace, found, publishing
from tests.zones import zone


async def test_a_record_is_followed_through_includes_and_mail_servers() -> None:
    names: dict[str, Any] = {
        "example.org": {"TXT": "v=spf1 include:a.example -all"},
        "a.example": {"TXT": "v=spf1 redirect=b.example"},
        "b.example": {"TXT": "v=spf1 mx -all", "MX": ["10 mx1.b.example", "20 mx2.b.example"]},
        "mx1.b.example": {"A": "198.51.100.1"},
        "mx2.b.example": {"A": ["198.51.100.2", CLIENT]},
    }
    known, run = zone(names), InPlace()
    mail_from, _ = await found(known, run=run)
    assert mail_from.result is Result.PASS
    assert run.rounds == 1  # all of it was foreseen
    assert max(known.asked.values()) == 1


async def test_what_only_the_evaluator_can_name_is_followed_too() -> None:
    names: dict[str, Any] = {
        "example.org": {"TXT": "v=spf1 include:%{l}.example -all"},
        "ada.example": {"TXT": "v=spf1 mx -all", "MX": [f"10 mx{n}.b.example" for n in range(9)]},
        **{f"mx{n}.b.example": {"A": "198.51.100.1"} for n in range(8)},
        "mx8.b.example": {"A": CLIENT},
    }
    run = InPlace()
    mail_from, _ = await found(names, run=run)
    assert mail_from.result is Result.PASS
    assert run.rounds == 2


async def test_only_the_client_s_own_family_of_addresses_is_asked_for() -> None:
    for client, kind in (
        (CLIENT, Kind.A),
        ("2001:db8::7", Kind.AAAA),
        (f"::ffff:{CLIENT}", Kind.A),
    ):
        known = zone({"example.org": {"TXT": "v=spf1 a -all", "A": CLIENT, "AAAA": "2001:db8::7"}})
        mail_from, _ = await found(known, client=client)
        assert mail_from.result is Result.PASS
        assert {one.kind for one in known.asked} == {Kind.TXT, kind}


async def test_what_stands_behind_all_is_not_foreseen() -> None:
    known = zone(publishing("v=spf1 -all include:never.example"))
    await found(known)
    assert set(known.asked) == {Question("example.org", Kind.TXT), Question(HELO, Kind.TXT)}


@pytest.mark.parametrize(
    "record",
    ["v=spf1 -a:%{h}.x.example -all", "v=spf1 mx -all", "v=spf1 a:x.example" + " a" * 1100],
)
async def test_what_nobody_will_need_is_not_foreseen(record: str) -> None:
    known = zone({"example.org": {"TXT": record, "MX": "0 ."}})
    await found(known)
    assert not {"", "%{h}.x.example", "x.example"} & {one.name for one in known.asked}


async def test_a_record_that_takes_too_many_questions_is_wrong() -> None:
    names: dict[str, Any] = publishing(
        "v=spf1 " + " ".join(f"mx:m{n}.example.org" for n in range(5)) + " -all"
    )
    for one in range(5):
        hosts = [f"h{m}.m{one}.example.org" for m in range(9)]
        names[f"m{one}.example.org"] = {"MX": [f"10 {host}" for host in hosts]}
        names |= {host: {"A": "198.51.100.1"} for host in hosts}
    mail_from, _ = await found(names)
    assert mail_from.result is Result.PERMERROR
    assert mail_from.because == "it takes more than 40 questions to DNS"


async def test_an_explanation_is_never_asked_for() -> None:
    for modifier in ("exp=why.example.org", "Exp=%{p}.example.org", "why=%{p}"):
        known = zone(publishing(f"v=spf1 -all {modifier}"))
        mail_from, _ = await found(known)
        assert mail_from.result is Result.FAIL
        assert set(known.asked) == {Question("example.org", Kind.TXT), Question(HELO, Kind.TXT)}

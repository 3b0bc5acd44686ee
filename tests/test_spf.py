"""SPF: both identities, what is asked for them, and records written to do harm."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.checks_settings import ChecksSettings
from smtpd.checks import spf
from smtpd.checks.spf_evaluator import SpfCaps, evaluate
from smtpd.evidence import Result, SpfFinding
from tests.zones import SERVFAIL, TIMEOUT, Zone, zone

CAPS = SpfCaps.of(ChecksSettings())
CLIENT = "192.0.2.7"
SENDER = "ada@example.org"
HELO = "mx.example.org"
# Far above what any of these takes on a slow machine, far below what none may take.
LONG_S = 1.0


@dataclass
class InPlace:
    """Cell.run without a cell: counts rounds."""

    rounds: int = 0
    cpu_s: list[float] = field(default_factory=list)

    async def __call__(self, function: Any, *arguments: Any) -> Any:
        self.rounds += 1
        began = time.process_time()
        result = function(*arguments)
        self.cpu_s.append(time.process_time() - began)
        return result


async def found(
    names: Mapping[str, Any] | Zone,
    *,
    client: str = CLIENT,
    mail_from: str = SENDER,
    helo: str = HELO,
    run: InPlace | None = None,
) -> tuple[SpfFinding, SpfFinding]:
    known = names if isinstance(names, Zone) else zone(names)
    return await spf.check(
        client, mail_from, helo, run=run or InPlace(), lookup=known.lookup, caps=CAPS
    )


def publishing(record: str | bytes | list[str | bytes], **more: Any) -> dict[str, Any]:
    return {"example.org": {"TXT": record}, **more}


async def test_both_identities_have_a_finding_of_their_own() -> None:
    names = publishing("v=spf1 ip4:192.0.2.0/24 -all", **{HELO: {"TXT": "v=spf1 -all"}})
    mail_from, helo = await found(names)
    assert (mail_from.result, mail_from.domain) == (Result.PASS, "example.org")
    assert (helo.result, helo.domain) == (Result.FAIL, "mx.example.org")


async def test_the_null_sender_s_identity_is_that_of_helo() -> None:
    mail_from, helo = await found({HELO: {"TXT": "v=spf1 a -all", "A": CLIENT}}, mail_from="")
    assert mail_from == helo
    assert (mail_from.result, mail_from.domain) == (Result.PASS, HELO)


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ("v=spf1 ip4:192.0.2.7 -all", "pass"),
        ("V=SPF1 IP4:192.0.2.7 -ALL", "pass"),
        ("v=spf1 -all", "fail"),
        ("v=spf1 ~all", "softfail"),
        ("v=spf1 ?all", "neutral"),
        ("v=spf1", "neutral"),
        ("v=spf10 -all", "none"),
        (["v=spf1 -all", "v=spf1 ~all"], "permerror"),
        (["something else", "v=spf1 -all"], "fail"),
        ("v=spf1 include:gone.example -all", "permerror"),
        ("v=spf1 redirect=gone.example", "permerror"),
        ("v=spf1 moo -all", "permerror"),
        (b"v=spf1 a:b\xfccher.example -all", "permerror"),
        ("v=spf1 " + "ip4:198.51.100.1 " * 130 + "-all", "permerror"),
        ("v=spf1 " + " ".join(f"a:a{n}.example.org" for n in range(11)) + " -all", "permerror"),
        ("v=spf1 a:x.gone a:y.gone a:z.gone -all", "permerror"),
        ("v=spf1 exists:%{d0}.example.org -all", "permerror"),
        ("v=spf1 exists:%{d99999}.example.org -all", "permerror"),
        ("v=spf1 ip4:192.0.2.0/999999999999 -all", "permerror"),
        ("v=spf1 exists:%{l}.x.example.org -all", "fail"),
        ("v=spf1 exists:%{ir}.list.example.org -all", "pass"),
        ("v=spf1 -all exp=%{c}.example.org", "permerror"),
        ("v=spf1 -all exp=a.example.org exp=b.example.org", "permerror"),
        ("v=spf1 -all exp=a.example.org EXP=b.example.org", "permerror"),
        ("v=spf1 -all exp=", "permerror"),
        ("v=spf1 redirect=a.example.org Redirect=b.example.org -all", "permerror"),
        ("v=spf1 -all x=%{z}", "permerror"),
        ("v=spf1 x=1 X=2 x= -all", "fail"),
        ("v=spf1 REDIRECT=deny.example.org", "fail"),
        ("v=spf1 x=" + "y" * 600 + " -all", "fail"),
    ],
)
async def test_a_record_says_what_the_standard_makes_of_it(
    record: str | bytes | list[str | bytes], expected: str
) -> None:
    names = publishing(
        record,
        **{
            "7.2.0.192.list.example.org": {"A": "127.0.0.2"},
            "deny.example.org": {"TXT": "v=spf1 -all"},
        },
    )
    mail_from, _ = await found(names)
    assert mail_from.result == expected
    assert "@" not in mail_from.because


async def test_an_at_sign_within_quotes_belongs_to_the_local_part() -> None:
    names = publishing("v=spf1 ip4:192.0.2.7 -all")
    mail_from, _ = await found(names, mail_from='"ada@elsewhere.example"@example.org')
    assert (mail_from.result, mail_from.domain) == (Result.PASS, "example.org")


async def test_a_sender_without_a_local_part_is_postmaster() -> None:
    names = publishing("v=spf1 a:%{l}.%{d} -all", **{"postmaster.example.org": {"A": CLIENT}})
    for mail_from in ("@example.org", "example.org.", "@EXAMPLE.org"):
        finding, _ = await found(names, mail_from=mail_from)
        assert (finding.result, finding.domain) == (Result.PASS, "example.org")


async def test_a_helo_with_an_at_sign_names_no_domain() -> None:
    names = publishing("v=spf1 ip4:192.0.2.7 -all")
    mail_from, helo = await found(names, mail_from="", helo="x@example.org")
    assert mail_from == helo
    assert (helo.result, helo.domain) == (Result.NONE, "")


async def test_a_name_is_expanded_once() -> None:
    local = "%{o}"
    names = publishing(
        f"v=spf1 include:{local}%%{{o}}.x.example -all",
        **{
            "example.org%{o}.x.example": {"TXT": "v=spf1 a -all", "A": CLIENT},
            "example.orgexample.org.x.example": {"A": "198.51.100.1"},
        },
    )
    assert (await found(names))[0].result is Result.PASS


@pytest.mark.parametrize("mechanism", ["include", "a", "mx", "exists"])
async def test_what_went_wrong_is_told_without_the_sender_s_address(mechanism: str) -> None:
    for silent in ({}, {"x.example.org": TIMEOUT, "ada.x.example.org": TIMEOUT}):
        names = publishing(f"v=spf1 {mechanism}:%{{l}}.x.example.org -all", **silent)
        mail_from, _ = await found(names)
        assert "ada" not in mail_from.because
        assert bool(mail_from.because) == (mail_from.result is not Result.FAIL)


async def test_macros_that_stand_for_too_much_are_wrong() -> None:
    terms = " ".join(["exists:" + "%{l}" * 120 + ".x"] * 2)
    names = publishing(f"v=spf1 {terms} -all")
    assert (await found(names, mail_from=f"{'a' * 60}@example.org"))[0].result is Result.FAIL
    mail_from, _ = await found(names, mail_from=f"{'a' * 100}@example.org")
    assert mail_from.result is Result.PERMERROR
    assert mail_from.because == "the record's macros stand for more than is read"


async def test_a_name_beyond_every_use_is_wrong() -> None:
    mail_from, _ = await found(publishing(f"v=spf1 a:{'a.' * 300}example.org -all"))
    assert mail_from.result is Result.PERMERROR
    assert mail_from.because.startswith("a name in the record is too long")


async def test_a_name_too_long_for_dns_loses_labels_on_its_left() -> None:
    local = "a" * 60
    names = publishing(
        f"v=spf1 exists:{'%{l}.' * 5}x.example.org -all",
        **{f"{local}.{local}.{local}.x.example.org": {"A": "127.0.0.2"}},
    )
    mail_from, _ = await found(names, mail_from=f"{local}@example.org")
    assert mail_from.result is Result.PASS


@pytest.mark.parametrize("silence", [SERVFAIL, TIMEOUT])
async def test_no_answer_is_a_temporary_error(silence: object) -> None:
    for names in (
        {"example.org": silence},
        publishing("v=spf1 include:dead.example -all", **{"dead.example": silence}),
        publishing("v=spf1 a:dead.example -all", **{"dead.example": {"A": silence}}),
    ):
        mail_from, _ = await found(names)
        assert mail_from.result is Result.TEMPERROR


async def test_no_answer_that_nothing_depends_on_is_no_error() -> None:
    names = publishing(
        "v=spf1 ip4:192.0.2.7 include:dead.example -all", **{"dead.example": TIMEOUT}
    )
    assert (await found(names))[0].result is Result.PASS


async def test_no_answer_about_a_name_behind_the_address_is_no_match() -> None:
    reverse = "7.2.0.192.in-addr.arpa"
    names = publishing("v=spf1 ptr ~all", **{reverse: {"PTR": "dead.example.org"}})
    for silent in ({"dead.example.org": SERVFAIL}, {reverse: TIMEOUT}):
        assert (await found({**names, **silent}))[0].result is Result.SOFTFAIL


@pytest.mark.parametrize(
    "mail_from",
    [
        "ada@[192.0.2.7]", "ada@localhost", "ada@", "ada@b\udcfccher.example", "ada@bücher.example",
        f"ada@{'a' * 64}.example.org", "ada@a..example.org", "\udcff@-", "ada@exa mple.org",
        f"ada@{'a.' * 150}org",
    ],
)  # fmt: skip
async def test_an_identity_without_a_domain_of_dns_has_no_result(mail_from: str) -> None:
    known = zone(publishing("v=spf1 +all"))
    assert (await found(known, mail_from=mail_from, helo=mail_from[4:] or "x"))[0].result is (
        Result.NONE
    )
    assert not known.asked


@pytest.mark.parametrize("client", ["", "junk", "fe80::1%eth0", "192.0.2.7:25", "999.1.1.1"])
async def test_without_an_address_nothing_is_checked(client: str) -> None:
    mail_from, _ = await found(publishing("v=spf1 ip4:0.0.0.0/0 ip6:::/0 -all"), client=client)
    assert mail_from.result is (Result.PASS if client.startswith("fe80") else Result.NOT_CHECKED)


def ten_of(record: str) -> dict[str, Any]:
    """A record that includes nine of the same kind."""
    includes = " ".join(f"include:i{n}.example.org" for n in range(9))
    return publishing(
        f"v=spf1 {includes} -all",
        **{f"i{n}.example.org": {"TXT": f"v=spf1 {record} ?all"} for n in range(9)},
    )


def chain_of(*terms: str) -> dict[str, Any]:
    """Ten records, each of which names the next by a macro: as many rounds."""
    record = " ".join(("", *terms, "?all"))
    levels = {
        f"i{n}.example.org": {"TXT": f"v=spf1 include:i{n + 1}.%{{d2}}{record}"} for n in range(11)
    }
    return publishing(f"v=spf1 include:i0.%{{d2}}{record}", **levels)


DOTS = "." * 1900
HOSTILE = {
    "dots in a macro's name": ten_of(f"exists:%{{d}}{DOTS}x.test"),
    "one label without an end": ten_of(f"a:{'a' * 1900}!"),
    "labels of letters": ten_of(f"a:{'a' * 60}.{'b-' * 900}"),
    "a hundred macros": ten_of("exists:" + "%{d}" * 120 + ".x"),
    "macros in capitals": ten_of("exists:" + "%{S}" * 120 + ".x"),
    "percent signs": ten_of("exists:" + "%%" * 900 + ".x"),
    "spaces": ten_of(" " * 1900),
    "modifiers": ten_of(" ".join(f"x{n}=%{{d}}" for n in range(180))),
    "slashes": ten_of("a" + "/" * 1900),
    "a number without an end": ten_of("a/" + "9" * 1900),
    "dots in a chain": chain_of(*["exists:%{d}" + "." * 480 + "x.test"] * 3),
    "macros in a chain": chain_of(*["exists:" + "%{S}" * 120 + ".x"] * 3),
    "macros that nobody knows in a chain": chain_of("x=" + "%{S}" * 450),
    "one label in a chain": chain_of(f"a:.{'a' * 1880}!"),
    "two labels in a chain": chain_of(f"a:.{'a' * 900}.{'b' * 900}.test"),
    "addresses in a chain": chain_of("ip4:1.1.1.1 " * 150),
    "modifiers in a chain": chain_of(*(f"{n:x}y=" for n in range(300))),
    "mail servers in a chain": chain_of(*["mx:%{d}"] * 9) | {
        f"i{n}.example.org": {"TXT": "v=spf1 mx:%{d} ?all", "MX": [f"1 h{m}.x" for m in range(10)]}
        for n in range(11)
    },
    "ten mail servers with ten names each": publishing(
        "v=spf1 " + " ".join(f"mx:m{n}.example.org" for n in range(10)) + " -all",
        **{
            f"m{n}.example.org": {"MX": [f"10 h{m}.m{n}.example.org" for m in range(10)]}
            for n in range(10)
        },
    ),
    "itself": publishing("v=spf1 include:example.org -all"),
    "a circle": publishing(
        "v=spf1 include:b.example -all", **{"b.example": {"TXT": "v=spf1 redirect=example.org"}}
    ),
    "sixty names behind the address": publishing(
        "v=spf1 ptr -all",
        **{"7.2.0.192.in-addr.arpa": {"PTR": [f"p{n}.example.org" for n in range(60)]}},
    ),
    "eleven mail servers": publishing("v=spf1 mx -all") | {
        "example.org": {"TXT": "v=spf1 mx -all", "MX": [f"1 m{n}.example" for n in range(11)]}
    },
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE)
async def test_a_hostile_record_ends_soon_and_asks_little(what: str) -> None:
    known, run = zone(HOSTILE[what]), InPlace()
    local = "%{d}" * 150
    mail_from, _ = await found(known, mail_from=f"{local}@example.org", run=run)
    assert mail_from.result in (Result.PERMERROR, Result.FAIL, Result.NEUTRAL)
    assert sum(known.asked.values()) <= CAPS.queries_max + 2
    assert sum(run.cpu_s) < LONG_S


TERMS = st.text(alphabet="aimxptrnlude:=/%{}0123456789.-~?+ \\_@^\x00\xff", max_size=120)


@given(record=TERMS, local=st.text(max_size=30), helo=st.text(max_size=30))
def test_no_record_and_no_sender_makes_the_evaluator_raise(
    record: str, local: str, helo: str
) -> None:
    known = zone(publishing(f"v=spf1 {record}".encode("utf-8", "replace")))
    answers: dict[Any, Any] = {}
    for _ in range(60):
        evaluated = evaluate(CLIENT, f"{local}@example.org", helo, answers, CAPS)
        if not evaluated.missing:
            break
        answers |= known.answers(evaluated.missing)
    assert evaluated.missing == ()
    assert evaluated.mail_from.result in Result

"""The resolver against a real nameserver and one with faults: what it tells apart and bounds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from config.checks_settings import ChecksSettings
from smtpd import resolver as module
from smtpd.dnscache import UNANSWERED_S, DnsCache
from smtpd.questions import Answer, Kind, Question, Status
from smtpd.resolver import Resolver
from tests.conftest import installed
from tests.servers.faulty_dns import FaultyDns
from tests.servers.knot import KnotServer
from tests.servers.process import HOST, free_port, wait_until

ZONE = """
@ TXT "v=spf1 -all"
@ MX 10 MX.People.Example.
mx A 192.0.2.1
mx A 192.0.2.2
mx AAAA 2001:db8::1
nomail MX 0 .
alias CNAME mx
xn--bcher-kva TXT "an A-label"
xn--strae-oqa TXT "by IDNA 2008"
_dmarc TXT "v=DMARC1; p=none"
7.2.0.192 PTR Host.People.Example.
"""


@pytest.fixture(scope="module")
def knot() -> Iterator[KnotServer]:
    with installed(lambda: KnotServer({"people.example": ZONE})) as server:
        yield server


@pytest.fixture
def faulty() -> Iterator[FaultyDns]:
    with FaultyDns() as server:
        yield server


@pytest.fixture
async def real(knot: KnotServer) -> AsyncIterator[Resolver]:
    resolver = Resolver(ChecksSettings(dns_servers=(knot.address,)))
    yield resolver
    await resolver.close()


@pytest.fixture
async def bad(faulty: FaultyDns) -> AsyncIterator[Resolver]:
    resolver = Resolver(ChecksSettings(dns_servers=(faulty.address,), dns_timeout=0.5))
    yield resolver
    await resolver.close()


async def ask(resolver: Resolver, name: str, kind: str = "TXT") -> Answer:
    return await resolver.lookup(Question(name, Kind(kind)))


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("people.example", "TXT", (b"v=spf1 -all",)),
        ("people.example", "MX", ((10, "mx.people.example"),)),
        ("nomail.people.example", "MX", ((0, ""),)),
        ("mx.people.example", "AAAA", ("2001:db8::1",)),
        ("alias.people.example", "AAAA", ("2001:db8::1",)),
        ("_dmarc.people.example", "TXT", (b"v=DMARC1; p=none",)),
        ("7.2.0.192.people.example", "PTR", ("host.people.example",)),
        ("b\u00fccher.people.example", "TXT", (b"an A-label",)),
        ("stra\u00dfe.people.example", "TXT", (b"by IDNA 2008",)),
    ],
)
async def test_records_come_in_our_own_words(
    real: Resolver, name: str, kind: str, expected: tuple[object, ...]
) -> None:
    assert await ask(real, name, kind) == Answer(Status.FOUND, expected)  # type: ignore[arg-type]


async def test_several_records_come_all(real: Resolver) -> None:
    found = await ask(real, "mx.people.example", "A")
    assert sorted(map(str, found.records)) == ["192.0.2.1", "192.0.2.2"]


@pytest.mark.parametrize(
    ("name", "kind", "status"),
    [
        ("gone.people.example", "A", Status.NXDOMAIN),
        ("people.example", "A", Status.NODATA),
        ("2.0.192.people.example", "TXT", Status.NODATA),  # a name between others
        ("elsewhere.test", "TXT", Status.SERVFAIL),  # the server is not asked for it
    ],
)
async def test_absence_and_failure_are_told_apart(
    real: Resolver, name: str, kind: str, status: Status
) -> None:
    assert await ask(real, name, kind) == Answer(status)


@pytest.mark.parametrize(
    ("name", "status", "records"),
    [
        ("servfail.test", Status.SERVFAIL, ()),
        ("refused.test", Status.SERVFAIL, ()),
        ("formerr.test", Status.SERVFAIL, ()),
        ("lame.test", Status.SERVFAIL, ()),
        ("silent.test", Status.TIMEOUT, ()),
        ("late.test", Status.TIMEOUT, ()),
        ("tcp-drips.test", Status.TIMEOUT, ()),
        ("tcp-wrong-id.test", Status.SERVFAIL, ()),
        ("tcp-other-question.test", Status.SERVFAIL, ()),
        ("lost.test", Status.FOUND, (b"sent again",)),
        ("elsewhere.test", Status.FOUND, (b"right",)),
        ("still-truncated.test", Status.SERVFAIL, ()),
        ("tcp-garbage.test", Status.SERVFAIL, ()),
        ("tcp-nothing.test", Status.SERVFAIL, ()),
        ("tcp-closes.test", Status.SERVFAIL, ()),
        ("tcp-many.test", Status.NODATA, ()),
        ("bare.test", Status.NODATA, ()),
        ("truncated.test", Status.FOUND, (b"by TCP",)),
        ("wrong-id.test", Status.FOUND, (b"right",)),
        ("other-question.test", Status.FOUND, (b"right",)),
        ("other-name.test", Status.NODATA, ()),
        ("strings.test", Status.FOUND, (b"v=spf1 ip4:192.0.2.1 -all",)),
        ("octets.test", Status.FOUND, (b"b\xfccher \0 \xff",)),
        ("huge.test", Status.NODATA, ()),
        ("many.test", Status.NODATA, ()),
        ("chain.test", Status.FOUND, (b"at the end",)),
        ("loop.test", Status.SERVFAIL, ()),
        ("nowhere.test", Status.NXDOMAIN, ()),
    ],
)
async def test_a_faulty_server_makes_nothing_worse_than_no_answer(
    bad: Resolver, name: str, status: Status, records: tuple[bytes, ...]
) -> None:
    assert await ask(bad, name) == Answer(status, records)


async def test_garbage_is_no_answer(bad: Resolver) -> None:
    assert (await ask(bad, "garbage.test")).unanswered


@pytest.mark.parametrize(
    "name",
    ["", ".", "a..b", "a" * 64 + ".test", ".".join(["abcdefgh"] * 29), "\udcff.test",
     "\u2603" * 80],
)  # fmt: skip
async def test_a_name_that_dns_cannot_hold_does_not_exist_and_is_not_asked_for(
    bad: Resolver, faulty: FaultyDns, name: str
) -> None:
    assert await ask(bad, name) == Answer(Status.NXDOMAIN)
    assert not faulty.asked


async def test_a_name_with_odd_octets_is_asked_for_as_it_stands(
    bad: Resolver, faulty: FaultyDns
) -> None:
    assert (await ask(bad, "a b\\046c.test")).status is Status.NXDOMAIN
    assert set(faulty.asked) == {"a b\\046c"}


async def test_a_question_under_way_is_asked_once_and_survives_whoever_leaves(
    bad: Resolver, faulty: FaultyDns
) -> None:
    askers = [asyncio.create_task(ask(bad, "found.test")) for _ in range(20)]
    await asyncio.sleep(0)
    askers[0].cancel()
    answers = await asyncio.gather(*askers[1:])
    assert set(answers) == {Answer(Status.FOUND, (b"found",))}
    assert faulty.asked["found"] == 1
    assert askers[0].cancelled()
    assert bad.known(Question("found.test", Kind.TXT)) == answers[0]


async def test_an_answer_is_remembered_and_a_failure_only_for_a_moment(
    bad: Resolver, faulty: FaultyDns
) -> None:
    for _ in range(3):
        for name in ("found.test", "absent.test", "refused.test"):
            await ask(bad, name)
    assert faulty.asked == {"found": 1, "absent": 1, "refused": 1}


@pytest.mark.parametrize(
    ("name", "holds_s"),
    [("found.test", 60), ("chain.test", 20), ("nodata.test", 40), ("absent.test", 40),
     ("refused.test", UNANSWERED_S)],
)  # fmt: skip
async def test_an_answer_holds_as_long_as_the_shortest_time_it_brought(
    bad: Resolver, faulty: FaultyDns, monkeypatch: pytest.MonkeyPatch, name: str, holds_s: float
) -> None:
    now = [0.0]
    monkeypatch.setattr(bad, "_cache", DnsCache(10, clock=lambda: now[0]))
    for seconds, times in ((0, 1), (holds_s - 0.1, 1), (holds_s + 0.1, 2)):
        now[0] = seconds
        await ask(bad, name)
        assert sum(faulty.asked.values()) == times


async def test_many_questions_at_once_wait_for_room_and_not_for_ever(
    faulty: FaultyDns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "UNDER_WAY_MAX", 2)
    resolver = Resolver(ChecksSettings(dns_servers=(faulty.address,), dns_timeout=10))
    asked = [asyncio.create_task(ask(resolver, f"silent.n{n}.test")) for n in range(5)]
    await asyncio.to_thread(wait_until, lambda: faulty.asked["silent"] == 2, what="two are asked")
    assert await ask_soon(resolver, "found.test") is None
    assert (faulty.asked["silent"], faulty.asked["found"]) == (2, 0)
    await resolver.close()
    assert {(await asker).status for asker in asked} == {Status.SERVFAIL}


async def test_whoever_waits_for_room_in_vain_hears_that_there_was_no_time(
    faulty: FaultyDns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "UNDER_WAY_MAX", 0)
    resolver = Resolver(ChecksSettings(dns_servers=(faulty.address,), dns_timeout=0.1))
    assert await ask(resolver, "found.test") == Answer(Status.TIMEOUT)
    assert not faulty.asked


async def ask_soon(resolver: Resolver, name: str) -> Answer | None:
    try:
        async with asyncio.timeout(0.1):
            return await ask(resolver, name)
    except TimeoutError:
        return None


async def test_closing_ends_what_is_under_way(faulty: FaultyDns) -> None:
    resolver = Resolver(ChecksSettings(dns_servers=(faulty.address,), dns_timeout=60))
    asker = asyncio.create_task(ask(resolver, "silent.test"))
    await asyncio.to_thread(wait_until, lambda: bool(faulty.asked), what="it is asked")
    await resolver.close()
    assert await asker == Answer(Status.SERVFAIL)


async def test_a_server_that_is_not_there_is_no_answer() -> None:
    resolver = Resolver(ChecksSettings(dns_servers=(f"{HOST}:{free_port()}",), dns_timeout=0.3))
    assert await ask(resolver, "found.test") == Answer(Status.SERVFAIL)


async def test_a_second_server_answers_for_the_first(faulty: FaultyDns) -> None:
    servers = (f"{HOST}:{free_port()}", faulty.address)
    resolver = Resolver(ChecksSettings(dns_servers=servers, dns_timeout=2))
    assert (await ask(resolver, "found.test")).status is Status.FOUND


async def test_the_system_s_nameservers_are_used_and_its_search_list_is_not(
    faulty: FaultyDns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "resolv.conf"
    file.write_text(f"nameserver {HOST}\nsearch corp.internal test\n")
    monkeypatch.setattr(module, "SYSTEM_FILE", str(file))
    resolver = Resolver(ChecksSettings(dns_timeout=0.5))
    (server,) = resolver._resolver.nameservers
    monkeypatch.setattr(server, "port", faulty.port)
    assert (await ask(resolver, "nowhere")).status is Status.NXDOMAIN
    assert faulty.asked == {"nowhere": 1}


@pytest.mark.parametrize("text", ["", "search corp.internal\n", None])
def test_a_system_that_names_no_nameserver_has_one_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None
) -> None:
    file = tmp_path / "resolv.conf"
    if text is not None:
        file.write_text(text)
    monkeypatch.setattr(module, "SYSTEM_FILE", str(file))
    (server,) = Resolver(ChecksSettings())._resolver.nameservers
    assert str(server) == "Do53:127.0.0.1@53"


@pytest.mark.parametrize(
    ("text", "address", "port"),
    [
        ("192.0.2.1", "192.0.2.1", 53),
        ("192.0.2.1:5353", "192.0.2.1", 5353),
        ("2001:db8::1", "2001:db8::1", 53),
        ("[2001:db8::1]:5353", "2001:db8::1", 5353),
    ],
)
def test_a_nameserver_is_an_address_with_or_without_a_port(
    text: str, address: str, port: int
) -> None:
    (server,) = Resolver(ChecksSettings(dns_servers=(text,)))._resolver.nameservers
    assert (server.address, server.port) == (address, port)  # type: ignore[union-attr]

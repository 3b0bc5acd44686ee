"""The verifier: evidence from all checks together, and what becomes of a check that fails."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from config.checks_settings import ChecksSettings
from smtpd.cell import Cell
from smtpd.checks.spam import SpamScanner
from smtpd.checks.verifier import PRELOAD, CellVerifier
from smtpd.checks.virus import VirusScanner
from smtpd.evidence import Evidence, Result, Scan
from smtpd.mail import Arrival, Peer
from smtpd.questions import Answer, Question
from tests.arrivals import arrival, mail
from tests.servers.process import HOST, free_port
from tests.test_dkim import RSA_RECORD, Signing
from tests.test_dkim_hostile import HOSTILE_KEYS, HOSTILE_MAIL
from tests.test_spf import HOSTILE as HOSTILE_SPF
from tests.zones import SERVFAIL, TIMEOUT, zone

MEMORY = 536_870_912
CLIENT = "192.0.2.7"
SETTINGS = ChecksSettings()
KEY = {"s1._domainkey.example.org": {"TXT": RSA_RECORD}}
SPF = {"example.org": {"TXT": f"v=spf1 ip4:{CLIENT} -all"}}


@asynccontextmanager
async def verifier(
    names: Mapping[str, Any], *, timeout_s: float = 20, **settings: Any
) -> AsyncIterator[CellVerifier]:
    chosen = SETTINGS.model_copy(update=settings)
    cell = Cell(2, timeout_s, MEMORY, preload=PRELOAD)
    await cell.start()
    try:
        yield CellVerifier(
            settings=chosen,
            cell=cell,
            names=zone(names),
            virus=VirusScanner(chosen),
            spam=SpamScanner(chosen),
        )
    finally:
        await cell.stop()


def heard(raw: bytes | None = None, *, peer: Peer | None = None, **envelope: Any) -> Arrival:
    """An arrival from CLIENT."""
    came = arrival(raw, **envelope)
    named = {
        name: getattr(came, name)
        for name in ("id", "mail_from", "rcpt_to", "raw", "headers", "received_at")
    }
    return Arrival(peer=peer or Peer(ip=CLIENT, helo="mx.example.org", tls=""), **named)


async def found(names: Mapping[str, Any], came: Arrival, **settings: Any) -> Evidence:
    async with verifier(names, **settings) as examiner:
        return await examiner.examine(came)


async def test_all_checks_stand_in_one_evidence() -> None:
    names = {**SPF, **KEY, "_dmarc.example.org": {"TXT": "v=DMARC1; p=reject"}}
    evidence = await found(names, heard(Signing().sign()))
    assert (evidence.aligned, evidence.proven_by, evidence.undecided) == (True, "both", False)
    assert (evidence.spf.result, evidence.spf.domain) == (Result.PASS, "example.org")
    assert [one.result for one in evidence.dkim] == [Result.PASS]
    assert (evidence.dmarc.result, evidence.dmarc.policy) == (Result.PASS, "reject")
    assert (evidence.virus.scan, evidence.spam.by) == (Scan.NOT_CHECKED, "built-in")
    assert evidence.client_known
    assert not evidence.null_mx


async def test_an_address_that_is_not_the_client_s_is_not_checked() -> None:
    lost = Peer(ip="10.0.0.1", helo="mx.example.org", tls="", known=False)
    evidence = await found({**SPF, **KEY}, heard(Signing().sign(), peer=lost))
    assert (evidence.spf.result, evidence.helo.result) == (Result.NOT_CHECKED,) * 2
    assert (evidence.proven_by, evidence.client_known) == ("dkim", False)


@pytest.mark.parametrize(
    ("records", "expected"),
    [("0 .", True), (["0 .", "10 mx.example.org"], False), ("10 mx.example.org", False)],
)
async def test_a_sender_whose_domain_takes_no_mail_is_known(records: Any, expected: bool) -> None:
    assert (await found({"example.org": {"MX": records}}, heard())).null_mx is expected


@pytest.mark.parametrize("silence", [SERVFAIL, TIMEOUT])
async def test_what_dns_left_open_is_undecided_only_where_it_could_matter(silence: Any) -> None:
    assert (await found({"example.org": silence}, heard())).undecided
    signed = heard(Signing().sign())
    dead_key = {"s1._domainkey.example.org": silence}
    assert (await found(dead_key, signed)).undecided
    proven = await found({"example.org": silence, **KEY}, signed)
    assert (proven.aligned, proven.undecided) == (True, False)
    other = heard(mail_from="x@elsewhere.test")
    assert not (await found({"elsewhere.test": silence}, other)).undecided


async def test_a_check_that_fails_in_an_unforeseen_way_is_temporary(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise KeyError("nobody foresaw this")

    for name in ("smtpd.checks.verifier.check_dmarc", "smtpd.checks.spf.check"):
        with monkeypatch.context() as patch:
            patch.setattr(name, broken)
            evidence = await found(SPF, heard())
        assert (evidence.aligned, evidence.undecided) == (False, True)


async def test_a_check_that_takes_too_long_ends_at_its_deadline() -> None:
    class Silent:
        def known(self, question: Question) -> Answer | None:
            return None

        async def lookup(self, question: Question) -> Answer:
            await asyncio.Event().wait()
            raise AssertionError

    async with verifier({}, spf_timeout=0.2, dkim_timeout=0.2, checks_timeout=0.5) as examiner:
        silent = replace(examiner, names=Silent())
        async with asyncio.timeout(10):
            evidence = await silent.examine(heard(Signing().sign()))
    assert evidence.spf.result is Result.TEMPERROR
    assert {one.result for one in evidence.dkim} == {Result.TEMPERROR}
    assert evidence.undecided


def spin() -> object:
    # Keeps the interpreter's lock; sixty characters take longer than anybody waits.
    return re.match(r"(a+)+b", "a" * 60)


async def test_hostile_evidence_ends_while_other_mail_goes_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Everything of the hostile lists at once, and a job that keeps its interpreter for 60 s."""
    longest_s, good, results = 0.0, 0, []

    async def attack(examiner: CellVerifier, came: Arrival) -> None:
        results.append(await examiner.examine(came))

    names = {**KEY, "good.example": {"TXT": f"v=spf1 ip4:{CLIENT} -all"}}
    async with verifier(names, timeout_s=3) as examiner:
        loop = asyncio.get_running_loop()
        stuck = asyncio.create_task(examiner.cell.run(spin, timeout_s=3))
        attacks = [
            asyncio.create_task(attack(examiner, heard(make()))) for make in HOSTILE_MAIL.values()
        ]
        for text in HOSTILE_KEYS.values():
            keyed = replace(examiner, names=zone({"s1._domainkey.example.org": {"TXT": text()}}))
            attacks.append(asyncio.create_task(attack(keyed, heard(Signing().sign()))))
        for records in HOSTILE_SPF.values():
            attacks.append(
                asyncio.create_task(attack(replace(examiner, names=zone(records)), heard()))
            )
        polite = heard(mail(sender="ada@good.example"), mail_from="ada@good.example")
        while not all(one.done() for one in (*attacks, stuck)):
            began = loop.time()
            await asyncio.sleep(0.002)
            longest_s = max(longest_s, loop.time() - began - 0.002)
            good += (await examiner.examine(polite)).proven_by == "spf"
        await asyncio.gather(stuck, *attacks, return_exceptions=True)
    with capsys.disabled():
        sys.stdout.write(
            f"\n{len(results)} hostile mails; beside them {good} good ones were proven; "
            f"the longest stall of the loop: {1000 * longest_s:.0f} ms\n"
        )
    assert len(results) == len(HOSTILE_MAIL) + len(HOSTILE_KEYS) + len(HOSTILE_SPF)
    assert good > 5
    assert longest_s < 1.0
    for evidence in results:
        assert {one.result for one in evidence.dkim} <= {
            Result.PERMERROR, Result.TEMPERROR, Result.FAIL, Result.POLICY, Result.PASS,
        }  # fmt: skip


async def test_scanners_that_never_answer_leave_their_own_words() -> None:
    over = asyncio.Event()

    async def frozen(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()
        writer.close()

    port = free_port()
    silent = {"clamd_host": HOST, "clamd_port": port, "spamd_host": HOST, "spamd_port": port}
    raw = mail("see http://192.0.2.1/pay")
    async with await asyncio.start_server(frozen, HOST, port):
        with capture_logs() as lines:
            evidence = await found({}, heard(raw), clamd_timeout=0.3, spamd_timeout=0.3, **silent)
        over.set()
    assert {(line["event"], line["kind"]) for line in lines} == {
        ("away", "clamd"),
        ("away", "spamd"),
    }
    assert evidence.virus.scan is Scan.AWAY
    assert (evidence.spam.by, evidence.spam.signs) == ("built-in", ("LINK_TO_A_NUMBER",))

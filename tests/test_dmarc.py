"""DMARC by RFC 9989: the vectors in tests/dmarc/, and what no vector can say."""

from __future__ import annotations

import asyncio

import pytest

from smtpd.checks.dmarc import check_dmarc
from smtpd.evidence import DkimFinding, Result, SpfFinding
from smtpd.questions import Answer, Question, Status
from tests.dmarc.vectors import Vector, told, vectors
from tests.zones import zone


@pytest.mark.parametrize("made", vectors(), ids=lambda made: made.title)
async def test_vector(made: Vector) -> None:
    dns = zone(made.names)
    found = await check_dmarc(made.author, made.spf, made.dkim, dns.lookup)
    assert told(found) == made.expected["is"]
    if "organisation" in made.expected:
        assert (found.finding.organisation or "-") == made.expected["organisation"]
    if "asks" in made.expected:
        assert dns.asked.total() == int(made.expected["asks"]), dns.asked
    assert max(dns.asked.values(), default=0) <= 1
    assert bool(found.finding.because) is (found.finding.result is not Result.PASS)


KELVIN = "\u212a"  # its lower case is the letter k


async def test_a_letter_that_only_looks_like_ascii_makes_no_author() -> None:
    """RFC 9989 section 5.3.1: A-labels."""
    signature = DkimFinding(result=Result.PASS, domain="k.example")
    found = await check_dmarc(f"{KELVIN}.example", SpfFinding(), [signature], zone({}).lookup)
    assert told(found) == "permerror"


async def test_a_letter_that_only_looks_like_ascii_proves_nothing() -> None:
    """RFC 9989 section 5.3.1: A-labels."""
    signature = DkimFinding(result=Result.PASS, domain=f"{KELVIN}.example")
    found = await check_dmarc("k.example", SpfFinding(), [signature], zone({}).lookup)
    assert told(found) == "none"


async def test_a_cancelled_check_leaves_no_question_behind() -> None:
    asked = asyncio.Event()

    async def silent(_: Question) -> Answer:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    check = asyncio.create_task(check_dmarc("a.example", SpfFinding(), [], silent))
    await asked.wait()
    check.cancel()
    with pytest.raises(asyncio.CancelledError):
        await check
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_the_questions_of_a_walk_wait_for_answers_side_by_side() -> None:
    together = asyncio.Barrier(3)  # b.example.com, example.com and com

    async def slow(question: Question) -> Answer:
        if question.name != "_dmarc.a.b.example.com":
            await together.wait()
        return Answer(Status.NXDOMAIN)

    async with asyncio.timeout(10):
        found = await check_dmarc("a.b.example.com", SpfFinding(), [], slow)
    assert told(found) == "none"

"""Spam: spamd's score where it answers, the light one where it does not."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from config.checks_settings import ChecksSettings
from smtpd.checks import spam
from smtpd.checks.spam import SpamScanner
from smtpd.evidence import BY_OURSELVES as BY
from smtpd.evidence import SpamFinding
from tests.arrivals import mail
from tests.deaf import connections_to, deaf
from tests.saying import saying
from tests.servers.process import HOST, free_port
from tests.servers.spamd import GTUBE, SpamServer

LIGHT = SpamFinding(score=1.5, by=BY, signs=("NO_DATE",))

END = b"\r\n\r\n"  # of a request's header
ENDLESS_BYTES = 64_000_000
LARGE_BYTES = 20_000_000


def scanner(port: int, timeout_s: float = 20) -> SpamScanner:
    return SpamScanner(ChecksSettings(spamd_host=HOST, spamd_port=port, spamd_timeout=timeout_s))


async def test_spamd_scores_the_test_line_and_lets_a_letter_pass(spamd: SpamServer) -> None:
    asked = scanner(spamd.port)
    assert await asked.answers()
    junk = await asked.score(mail(GTUBE), LIGHT)
    assert (junk.score, junk.by) == (1000, "spamd")
    assert "GTUBE" in junk.signs
    ham = await asked.score(mail(), LIGHT)
    assert ham.score < 5
    assert ham.by == "spamd"


async def test_a_large_mail_is_judged_by_its_beginning(spamd: SpamServer) -> None:
    body = f"{GTUBE}\n" + "A line of a long letter.\n" * 400_000
    assert (await scanner(spamd.port).score(mail(body), LIGHT)).score >= 1000


async def test_without_spamd_the_light_score_is_used() -> None:
    asked = SpamScanner(ChecksSettings())
    assert await asked.score(mail(GTUBE), LIGHT) is LIGHT
    assert not await asked.answers()


async def test_where_spamd_is_gone_or_frozen_the_light_score_stands_in(
    spamd: SpamServer,
) -> None:
    gone = scanner(free_port())
    assert (await gone.score(mail(), LIGHT)).by == BY
    assert not await gone.answers()
    spamd.pause()
    try:
        frozen = await scanner(spamd.port, timeout_s=0.5).score(mail(), LIGHT)
    finally:
        spamd.resume()
    assert frozen is LIGHT
    assert (await scanner(spamd.port).score(mail(), LIGHT)).by == "spamd"


def told(score: str, body: bytes = b"A,B") -> bytes:
    head = f"SPAMD/1.1 0 EX_OK\r\nContent-length: {len(body)}\r\nSpam: True ; {score} / 5.0\r\n\r\n"
    return head.encode() + body


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\r\n\r\n",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"SPAMD/1.1 74 EX_IOERR\r\n\r\n",
        b"SPAMD/1.1 0 EX_OK\r\n\r\n",
        b"SPAMD/1.1 0 EX_OK\r\nSpam: True\r\n\r\n",
        told("nan"),
        told("inf"),
        told("1e99"),
        told("many"),
        told("7.5")[:40],
        b"\xff\xfe" * 1000,
    ],
)
async def test_nothing_but_a_number_counts(answer: bytes) -> None:
    async with saying(answer, after=END) as port:
        assert (await scanner(port).score(mail(), LIGHT)).by == BY


async def test_a_sign_is_the_name_of_a_rule_and_nothing_else() -> None:
    lies = [b"\x1b[31mRED", b"ada@example.org", b"bank.example", b"x" * 500]
    signs = b",".join([*lies, *(b" S_%d" % n for n in range(100))])
    async with saying(told("7.5", signs), after=END) as port:
        found = await scanner(port).score(mail(), LIGHT)
    assert found.score == 7.5
    assert found.signs == tuple(f"S_{n}" for n in range(50 - len(lies)))


async def test_an_answer_without_an_end_is_not_listened_to() -> None:
    poured = 0

    async def pour(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal poured
        with contextlib.suppress(OSError):
            while poured < ENDLESS_BYTES:
                writer.write(b"a: b\r\n" * 10_000)
                await writer.drain()
                poured += 60_000
        writer.close()

    port = free_port()
    async with await asyncio.start_server(pour, HOST, port):
        assert (await scanner(port).score(mail(), LIGHT)) is LIGHT
    assert poured < ENDLESS_BYTES


async def test_a_spamd_that_does_not_read_is_let_go_of_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The kernel may take all of what spamd is sent; it does not take this.
    monkeypatch.setattr(spam, "SPAMD_BYTES", LARGE_BYTES)
    with deaf() as port:
        asked = scanner(port, timeout_s=0.5)
        assert await asked.score(b"x" * LARGE_BYTES, LIGHT) is LIGHT
        await asyncio.sleep(0)  # a transport ends in the loop's next round
        assert not connections_to(port)

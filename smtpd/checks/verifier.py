"""Examines an arrival: runs the checks side by side, each under its own deadline.

What reads strangers' bytes runs in the cell; DNS is asked out here. A check that fails
in any way gives a result ("temperror"), never an exception. smtpd/policy.py judges.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import TypeVar

from config.checks_settings import ChecksSettings
from smtpd.addresses import domain_of
from smtpd.cell import Cell
from smtpd.checks import spf
from smtpd.checks.content import Content, read_content
from smtpd.checks.dkim import DkimCaps, questions
from smtpd.checks.dmarc import Alignment, check_dmarc
from smtpd.checks.marks import BODY_BYTES, built_in
from smtpd.checks.spam import SpamScanner
from smtpd.checks.spf_evaluator import SpfCaps
from smtpd.checks.virus import VirusScanner
from smtpd.errors import Runaway, Temporary
from smtpd.events import Event
from smtpd.evidence import (
    DkimFinding,
    DmarcFinding,
    Evidence,
    Result,
    Scan,
    SpfFinding,
    VirusFinding,
)
from smtpd.inquiry import Inquiry, Names, ask_all
from smtpd.mail import Arrival
from smtpd.questions import Kind, Question
from smtpd.tally import Sparing

T = TypeVar("T")

# What a process of the door's cell loads before its first job.
PRELOAD = ("smtpd.checks.content", "smtpd.checks.spf_evaluator")

# The scanner keeps CLAMD_TIMEOUT itself and says that clamd is away; after a broken connection
# it asks whether clamd is there at all (virus.PING_S). Our own deadline comes after both.
CLAMD_GRACE_S = 3.0

_BROKE_OFF = "the check broke off"
_NO_SPF = SpfFinding(result=Result.TEMPERROR, because=_BROKE_OFF)
_NO_CONTENT = Content((DkimFinding(result=Result.TEMPERROR, because=_BROKE_OFF),), ())
_NO_DMARC = Alignment(finding=DmarcFinding(result=Result.TEMPERROR, because=_BROKE_OFF))


@dataclass(frozen=True, slots=True, kw_only=True)
class CellVerifier:
    """The journey's verifier."""

    settings: ChecksSettings
    cell: Cell
    names: Names
    virus: VirusScanner
    spam: SpamScanner
    sparing: Sparing = field(default_factory=Sparing)

    async def examine(self, arrival: Arrival) -> Evidence:
        """All checks, side by side where one does not need the other's finding."""
        return await _Examination(self, arrival).evidence()


class _Examination:
    """One mail's checks."""

    def __init__(self, verifier: CellVerifier, arrival: Arrival) -> None:
        self._verifier = verifier
        self._settings = verifier.settings
        self._sparing = verifier.sparing
        self._arrival = arrival
        self._loop = asyncio.get_running_loop()
        scanning_s = self._settings.clamd_timeout if self._settings.clamd_host else 0.0
        self._ends_at = self._loop.time() + self._settings.checks_timeout + scanning_s
        self._lookup = Inquiry(verifier.names, until=self._ends_at).lookup
        peer = arrival.peer
        self._client_ip = peer.ip if peer is not None and peer.known else ""

    async def evidence(self) -> Evidence:
        settings = self._settings
        (spf_found, helo), content, null_mx, virus = await asyncio.gather(
            self._within(settings.spf_timeout, self._spf(), (_NO_SPF, _NO_SPF)),
            self._within(settings.dkim_timeout, self._content(), _NO_CONTENT),
            self._within(self._left_s(), self._null_mx(), otherwise=False),
            self._within(
                settings.clamd_timeout + CLAMD_GRACE_S, self._virus(), VirusFinding(scan=Scan.AWAY)
            ),
        )
        alignment = await self._within(
            self._left_s(), self._dmarc(spf_found, content.signatures), _NO_DMARC
        )
        # A check that broke off might have proven the author: what it leaves open is temporary.
        broke_off = spf_found is _NO_SPF or content is _NO_CONTENT or alignment is _NO_DMARC
        undecided = not alignment.aligned and (alignment.undecided or broke_off)
        found = Evidence(
            spf=spf_found,
            helo=helo,
            dkim=content.signatures,
            dmarc=alignment.finding,
            aligned=alignment.aligned,
            proven_by=alignment.proven_by,
            undecided=undecided,
            client_known=bool(self._client_ip),
            null_mx=null_mx,
            virus=virus,
        )
        # Should the time be up, the light score takes none.
        light = built_in(content.marks, self._arrival, found)
        scored = self._verifier.spam.score(self._arrival.raw, light)
        return replace(found, spam=await self._within(self._left_s(), scored, light))

    def _left_s(self) -> float:
        return max(0.0, self._ends_at - self._loop.time())

    async def _within(self, within_s: float, work: Awaitable[T], otherwise: T) -> T:
        """What the check finds, or `otherwise` when it takes too long or breaks off."""
        try:
            async with asyncio.timeout(within_s):
                return await work
        except TimeoutError:
            self._sparing.log(Event.BROKE_OFF, kind="too_long", because="a check took too long")
        except (Runaway, Temporary) as trouble:
            # Strangers' bytes do this, and a machine that has too much to do.
            self._sparing.log(Event.BROKE_OFF, kind="runaway", because=trouble.because)
        except Exception as error:  # noqa: BLE001 (the evidence wrapper: unforeseen is temporary)
            self._sparing.log(Event.TROUBLE, kind="check", because="a check failed", exc_info=error)
        return otherwise

    async def _spf(self) -> tuple[SpfFinding, SpfFinding]:
        peer = self._arrival.peer
        if peer is None or not self._client_ip:
            lost = SpfFinding(because="the client's own address is not known")
            return lost, lost
        return await spf.check(
            self._client_ip,
            self._arrival.mail_from,
            peer.helo,
            run=self._run,
            lookup=self._lookup,
            caps=SpfCaps.of(self._settings),
        )

    async def _content(self) -> Content:
        """What is written in the mail itself: signatures, and marks of spam."""
        caps, headers = DkimCaps.of(self._settings), self._arrival.headers
        answers = await ask_all(questions(headers, caps), self._lookup)
        raw = self._arrival.raw
        if not headers.has("dkim-signature"):
            raw = raw[: headers.body_at + BODY_BYTES]
        return await self._run(read_content, raw, answers, caps, time.time())

    async def _null_mx(self) -> bool:
        """RFC 7505: one MX record, which names the root."""
        domain = domain_of(self._arrival.mail_from)
        if not domain or domain.startswith("["):
            return False
        answer = await self._lookup(Question(domain, Kind.MX))
        return answer.hosts == [""]

    async def _virus(self) -> VirusFinding:
        return await self._verifier.virus.scan(self._arrival.raw)

    async def _dmarc(self, found: SpfFinding, signatures: tuple[DkimFinding, ...]) -> Alignment:
        author = self._arrival.facts.author_domain
        return await check_dmarc(author, found, signatures, self._lookup)

    async def _run(self, function: Callable[..., T], /, *arguments: object) -> T:
        return await self._verifier.cell.run(function, *arguments, wait_s=self._left_s())

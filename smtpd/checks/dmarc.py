"""DMARC (RFC 9989): what an author's domain asks for, and whether its use is proven.

Neighbours: smtpd/checks/dmarc_walk.py and smtpd/checks/dmarc_record.py read the answers,
smtpd/policy.py judges. Alignment needs no record: an identity of the author's very domain
is always aligned.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from smtpd.checks.dmarc_record import DmarcRecord, milder, only_record
from smtpd.checks.dmarc_walk import (
    Discovery,
    Step,
    Walk,
    belong_together,
    discovery,
    is_whole,
    names,
    organisations,
)
from smtpd.evidence import DkimFinding, DmarcFinding, Result, SpfFinding
from smtpd.inquiry import ask_all
from smtpd.questions import Answer, Kind, Lookup, Question, Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Alignment:
    """DMARC's finding, and what it means for admission."""

    finding: DmarcFinding
    aligned: bool = False  # a passed identity belongs to the author's domain
    proven_by: str = ""  # spf, dkim or both
    undecided: bool = False  # not aligned, and a question without an answer could change that


@dataclass(frozen=True, slots=True)
class _Identity:
    """A domain that SPF or DKIM proved, or may prove once DNS answers."""

    by: str  # spf or dkim
    domain: str
    passed: bool


class _Match(enum.Enum):
    """Whether an identity is aligned with the author's domain."""

    NO = enum.auto()
    MAYBE = enum.auto()  # a question without an answer decides
    YES = enum.auto()


async def check_dmarc(
    author_domain: str, spf: SpfFinding, dkim: Sequence[DkimFinding], lookup: Lookup
) -> Alignment:
    """Whether SPF of MAIL FROM or a DKIM signature proves the author's domain.

    `author_domain` is in A-labels, and "" where a mail has not exactly one author.
    """
    author = _plain(author_domain)
    if not author:
        because = "not exactly one author"
        return Alignment(finding=DmarcFinding(result=Result.PERMERROR, because=because))
    return await _Check(author, _identities(author, spf, dkim), lookup).run()


class _Check:
    """The questions for one mail and their answers: none is asked twice."""

    def __init__(self, author: str, identities: Sequence[_Identity], lookup: Lookup) -> None:
        self._author = author
        self._identities = identities
        self._lookup = lookup
        self._answers: dict[Question, Answer] = {}
        self._steps: dict[str, Step] = {}

    async def run(self) -> Alignment:
        applying = await self._discover()
        matches = await self._matches(applying, passed=True)
        proven = {one.by for one, match in matches.items() if match is _Match.YES}
        undecided = _Match.MAYBE in matches.values()
        if not proven and not undecided:
            matches = await self._matches(applying, passed=False)
            undecided = any(match is not _Match.NO for match in matches.values())
        undecided = undecided and not proven
        return Alignment(
            finding=await self._finding(applying, bool(proven), undecided),
            aligned=bool(proven),
            proven_by="both" if len(proven) > 1 else "".join(proven),
            undecided=undecided,
        )

    async def _discover(self) -> Discovery:
        """Asks for the author's own record first: mostly it leaves nothing open."""
        await self._ask_records([self._author])
        own = self._walk(self._author)[0].record
        if own is None or any(
            one.domain != self._author and one.by not in own.strict for one in self._identities
        ):
            await self._ask_records(self._unwalked(self._author))
        return discovery(self._walk(self._author))

    async def _matches(self, applying: Discovery, *, passed: bool) -> dict[_Identity, _Match]:
        """How the identities that passed, or still may, stand to the author's domain."""
        ones = [one for one in self._identities if one.passed is passed]
        near = [one for one in ones if self._is_near(one, applying)]
        await self._ask_records(name for one in near for name in self._unwalked(one.domain))
        exactly = {True: _Match.YES, False: _Match.NO}
        return {
            one: self._relaxed(one, applying)
            if one in near
            else exactly[one.domain == self._author]
            for one in ones
        }

    def _is_near(self, one: _Identity, applying: Discovery) -> bool:
        """Whether its own organisational domain decides (section 4.10.2)."""
        if one.domain == self._author or (applying.record and one.by in applying.record.strict):
            return False
        if applying.known and applying.record is None:
            return False  # without records each is its own organisational domain
        # An organisational domain is the domain itself or above it.
        possible = organisations(self._walk(self._author))
        return any(f".{one.domain}".endswith(f".{name}") for name in possible)

    def _relaxed(self, one: _Identity, applying: Discovery) -> _Match:
        """Section 3.2.10.1: the same organisational domain."""
        ours, theirs = self._walk(self._author), self._walk(one.domain)
        if organisations(ours).isdisjoint(organisations(theirs)):
            return _Match.NO
        # The record that nobody could tell us of may ask for strict alignment.
        certain = applying.known and belong_together(ours, theirs)
        return _Match.YES if certain else _Match.MAYBE

    async def _finding(self, applying: Discovery, aligned: bool, undecided: bool) -> DmarcFinding:
        walk = self._walk(self._author)
        possible = organisations(walk)
        # Section 4.10.2: where the author's record and identity leave nothing to walk for,
        # its domain counts as the organisational domain.
        told = len(possible) == 1 and (aligned or is_whole(walk))
        result, because = _result(applying, aligned, undecided)
        finding = DmarcFinding(
            result=result,
            domain=self._author,
            organisation="".join(possible) if told else "",
            because=because,
        )
        if applying.record is None or result is Result.NONE:
            return finding
        policy = await self._policy(applying.at, applying.record)
        return replace(finding, record_at=applying.at, policy=policy)

    async def _policy(self, at: str, record: DmarcRecord) -> str:
        """p for the domain itself, sp for a subdomain, np for one that does not exist."""
        if at == self._author:
            return record.policy
        if record.subdomain_policy == record.nonexistent_policy:
            return record.subdomain_policy
        exists = await self._author_exists()
        if exists is None:
            return milder(record.subdomain_policy, record.nonexistent_policy)
        return record.subdomain_policy if exists else record.nonexistent_policy

    async def _author_exists(self) -> bool | None:
        """Section 3.2.13: only NXDOMAIN says no, to whatever question; None: no answer."""
        below = self._answers[_record_question(self._author)]
        if below.status in (Status.FOUND, Status.NODATA):
            return True  # RFC 8020: where there is a name, those above it exist
        question = Question(self._author, Kind.A)
        await self._ask([question])
        answer = self._answers[question]
        return None if answer.unanswered else answer.status is not Status.NXDOMAIN

    async def _ask_records(self, domains: Iterable[str]) -> None:
        new = dict.fromkeys(domains)
        await self._ask(map(_record_question, new))
        for domain in new:
            answer = self._answers[_record_question(domain)]
            self._steps[domain] = Step(domain, only_record(answer.records), answer.unanswered)

    async def _ask(self, questions: Iterable[Question]) -> None:
        # Side by side: a walk past silent nameservers costs one timeout, not seven, for the
        # price of a few questions above a record with psd=n.
        self._answers |= await ask_all(questions, self._lookup)

    def _walk(self, domain: str) -> Walk:
        """The steps that were asked, up to the one that ends the walk."""
        steps: list[Step] = []
        for name in names(domain):
            if name not in self._steps:
                break
            steps.append(self._steps[name])
            if steps[-1].ends_the_walk:
                break
        return steps

    def _unwalked(self, domain: str) -> list[str]:
        """The names that its walk lacks, below the step that is known to end it."""
        lacking: list[str] = []
        for name in names(domain):
            step = self._steps.get(name)
            if step is None:
                lacking.append(name)
            elif step.ends_the_walk:
                break
        return lacking


def _identities(author: str, spf: SpfFinding, dkim: Sequence[DkimFinding]) -> list[_Identity]:
    """What passed or still may, and could matter.

    Domains without a common last label have no common organisational domain; and where the
    author's very domain passed, another domain proves nothing more.
    """
    found = [("spf", spf.result, spf.domain), *(("dkim", one.result, one.domain) for one in dkim)]
    ones = dict.fromkeys(
        _Identity(by, _plain(domain), result is Result.PASS)
        for by, result, domain in found
        if result in (Result.PASS, Result.TEMPERROR) and _last_label(domain) == _last_label(author)
    )
    exact = {one.by for one in ones if one.passed and one.domain == author}
    return [
        one
        for one in ones
        if one.domain == author or not (one.by in exact if one.passed else exact)
    ]


def _result(applying: Discovery, aligned: bool, undecided: bool) -> tuple[Result, str]:
    if not applying.known:
        return Result.TEMPERROR, "DNS did not tell which record applies"
    if applying.record is None:
        return Result.NONE, "no record"
    if not applying.record.applies:
        return Result.NONE, f"the record of {applying.at} has no valid policy"
    if aligned:
        return Result.PASS, ""
    if undecided:
        return Result.TEMPERROR, "DNS did not tell whether an identity is aligned"
    return Result.FAIL, "no identity that passed is aligned"


def _record_question(domain: str) -> Question:
    return Question(f"_dmarc.{domain}", Kind.TXT)


def _plain(domain: str) -> str:
    """In lower case without the last dot, "" for what is no domain in A-labels."""
    name = domain.lower().removesuffix(".")
    # Some letters outside ASCII have an ASCII letter as their lower case.
    return name if domain.isascii() and all(name.split(".")) else ""


def _last_label(domain: str) -> str:
    return _plain(domain).rpartition(".")[2]

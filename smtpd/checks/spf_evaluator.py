"""SPF (RFC 7208), evaluated on DNS answers alone: pure, for a process that can be killed.

The evaluator is pyspf's. It is bounded here: the size of a record and of a name in it,
the number of questions, macros that the RFC forbids. Neighbour: smtpd/checks/spf.py asks
the questions and calls.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, NamedTuple

from config.checks_settings import ChecksSettings
from smtpd.addresses import DOMAIN
from smtpd.decoding import one_line
from smtpd.evidence import Result, SpfFinding
from smtpd.questions import Answer, Answers, Kind, Question

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of its regular expressions, from Python 3.12 on
    import spf

# A name has 253 characters, and a macro may stand for more of them than it takes.
DOMAIN_SPEC_MAX = 512
BECAUSE_MAX = 200

_MACRO = re.compile(r"%\{[A-Za-z]([0-9]+)")
_HOST = re.compile(DOMAIN)


class SpfCaps(NamedTuple):
    """What SPF may cost."""

    record_max_bytes: int
    queries_max: int

    @classmethod
    def of(cls, settings: ChecksSettings) -> SpfCaps:
        """The caps that the settings say."""
        return cls(
            record_max_bytes=settings.spf_record_max_bytes, queries_max=settings.spf_queries_max
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated:
    """Both identities' findings; void where answers are still `missing`."""

    mail_from: SpfFinding = field(default_factory=SpfFinding)
    helo: SpfFinding = field(default_factory=SpfFinding)
    missing: tuple[Question, ...] = ()


class _Missing(Exception):
    """An answer that has to be looked up first."""

    def __init__(self, question: Question) -> None:
        super().__init__(question.name)
        self.question = question


def evaluate(
    client_ip: str, mail_from: str, helo: str, answers: Answers, caps: SpfCaps
) -> Evaluated:
    """The findings for MAIL FROM and for HELO, or the answers they need.

    The null sender's identity is that of HELO (RFC 7208 section 2.4).
    """
    helo = helo.lower().rstrip(".")
    client_ip = client_ip.partition("%")[0]  # an interface's name is no part of the address
    identities = (mail_from or f"postmaster@{helo}", f"postmaster@{helo}")
    findings: list[SpfFinding] = []
    missing: list[Question] = []
    for identity in identities:
        try:
            findings.append(_finding(client_ip, identity, helo, answers, caps))
        except _Missing as one:
            missing.append(one.question)
    if missing:
        return Evaluated(missing=tuple(dict.fromkeys(missing)))
    return Evaluated(mail_from=findings[0], helo=findings[1])


def domain_of_identity(identity: str) -> str:
    """The domain SPF asks about, "" where the identity has none that DNS could know."""
    domain = identity.rpartition("@")[2].lower().rstrip(".")
    return domain if "." in domain and _HOST.fullmatch(domain) and len(domain) <= 253 else ""


def _finding(
    client_ip: str, identity: str, helo: str, answers: Answers, caps: SpfCaps
) -> SpfFinding:
    domain = domain_of_identity(identity)
    if not domain:
        return SpfFinding(result=Result.NONE, because="it has no domain that DNS could know")
    if not _is_address(client_ip):
        return SpfFinding(domain=domain, because="the client's address is not known")
    if _publishes_nothing(answers.get(Question(domain, Kind.TXT))):
        return SpfFinding(result=Result.NONE, domain=domain)  # as of most names in HELO
    try:
        query = _Query(client_ip, identity, helo, answers, caps)
        word, _code, _text = query.check()
        because = str(getattr(query, "prob", ""))
    except (ValueError, ArithmeticError, AssertionError) as error:
        # What pyspf lets out at records it did not foresee.
        word, because = "permerror", f"it cannot be evaluated ({type(error).__name__})"
    return SpfFinding(result=Result(word), domain=domain, because=one_line(because, BECAUSE_MAX))


def _publishes_nothing(answer: Answer | None) -> bool:
    return answer is not None and not answer.unanswered and not answer.records


def _is_address(text: str) -> bool:
    try:
        return bool(ip_address(text))
    except ValueError:
        return False


class _Query(spf.query):  # type: ignore[misc]  # pyspf has no types
    """One identity's evaluation, on answers that are here already."""

    def __init__(
        self, client_ip: str, identity: str, helo: str, answers: Answers, caps: SpfCaps
    ) -> None:
        super().__init__(i=client_ip, s=identity, h=helo or "unknown")
        # pyspf splits at the first @; a quoted local part may hold one (RFC 5321 section 4.1.2).
        self.l, _, self.o = identity.rpartition("@")
        self.d = self.o
        self._answers = answers
        self._caps = caps
        self._asked: set[Question] = set()

    def dns(
        self, name: str, qtype: str, cnames: Any = None, ignore_void: bool = False
    ) -> list[Any]:
        """The records, in pyspf's forms; CNAMEs were followed by whoever answered."""
        question = Question(str(name).rstrip(".").lower(), Kind(qtype))
        if not all(0 < len(label) < 64 for label in question.name.split(".")):
            return []
        self._asked.add(question)
        if len(self._asked) > self._caps.queries_max:
            raise spf.PermError(f"it takes more than {self._caps.queries_max} questions to DNS")
        answer = self._answers.get(question)
        if answer is None:
            raise _Missing(question)
        if answer.unanswered:
            raise spf.TempError(f"no answer from DNS for {question.kind} of {question.name}")
        if not answer.records and not ignore_void:
            self.void_lookups += 1
            if self.void_lookups > spf.MAX_VOID_LOOKUPS:
                raise spf.PermError(f"more than {spf.MAX_VOID_LOOKUPS} names lead nowhere")
        if qtype == "TXT":
            return [(record,) for record in answer.records]
        return list(answer.records)

    def dns_spf(self, domain: str) -> str | None:
        record: str | None = super().dns_spf(domain)
        if record and len(record) > self._caps.record_max_bytes:
            raise spf.PermError(f"the record of {domain} is larger than is read")
        return record

    def expand(self, s: str, stripdot: bool = True) -> str:
        # What is read of a name bounds the time that the library's expressions take.
        if len(s) > DOMAIN_SPEC_MAX:
            raise spf.PermError("a name in the record is too long")
        # RFC 7208 section 7.1: the number of labels is not zero.
        if any(len(digits) > 3 or not int(digits) for digits in _MACRO.findall(s)):
            raise spf.PermError("a macro in the record has a wrong number of labels")
        expanded: str = super().expand(s, stripdot)
        # RFC 7208 section 7.3: a name too long loses labels on its left.
        while stripdot and len(expanded) > 253 and "." in expanded:
            expanded = expanded.partition(".")[2]
        return expanded

    def get_explanation(self, spec: str) -> None:
        """Nobody reads it, so it costs no question."""

    def validated_ptrs(self) -> list[str]:
        # RFC 7208 section 5.5: a DNS error here is no match, and no error of the record.
        try:
            names = self.dns_ptr(self.i)[: spf.MAX_PTR]
        except spf.TempError:
            return []
        return [name for name in names if self._points_back(name)]

    def _points_back(self, name: str) -> bool:
        try:
            return bool(self.cidrmatch(self.dns_a(name, self.A), self.cidrmax))
        except spf.TempError:
            return False

"""SPF (RFC 7208), evaluated on DNS answers alone: pure, for a process that can be killed.

The evaluator is pyspf's. It is bounded here: the size of a record and of a name in it,
the number of questions, what macros stand for. Neighbours: smtpd/checks/spf.py asks the
questions and calls, smtpd/checks/spf_macros.py reads names.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, NamedTuple

from config.checks_settings import ChecksSettings
from smtpd.addresses import DOMAIN
from smtpd.checks.spf_macros import NAME_MAX, Malformed, name_of, read, read_domain
from smtpd.decoding import one_line
from smtpd.evidence import Result, SpfFinding
from smtpd.questions import Answer, Answers, Kind, Question

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of its regular expressions, from Python 3.12 on
    import spf

DOMAIN_SPEC_MAX = 512  # a name has 253 characters, and macros in it may be longer
EXPANDED_MAX = 16_384  # characters that macros stand for: ten names have a sixth of it
BECAUSE_MAX = 200

_HOST = re.compile(DOMAIN)
_MODIFIER = re.compile(r"([a-z][a-z0-9_.-]*)=(.*)", re.IGNORECASE | re.DOTALL)


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


class Identity(NamedTuple):
    """Whom SPF asks about; no domain where there is none that DNS could know."""

    local: str
    domain: str


def identities(mail_from: str, helo: str) -> tuple[Identity, Identity]:
    """MAIL FROM's and HELO's; the null sender's is that of HELO (RFC 7208 section 2.4)."""
    of_helo = Identity("postmaster", _domain(helo))
    if not mail_from:
        return of_helo, of_helo
    # The last @ is the one: a quoted local part may hold others (RFC 5321 section 4.1.2).
    local, _, domain = mail_from.rpartition("@")
    return Identity(local or "postmaster", _domain(domain)), of_helo


def _domain(text: str) -> str:
    domain = text.lower().removesuffix(".")
    right = "." in domain and len(domain) <= NAME_MAX and _HOST.fullmatch(domain)
    return domain if right else ""


def evaluate(
    client_ip: str, mail_from: str, helo: str, answers: Answers, caps: SpfCaps
) -> Evaluated:
    """The findings for MAIL FROM and for HELO, or the answers they need."""
    client_ip = client_ip.partition("%")[0]  # an interface's name is no part of the address
    asked_about = identities(mail_from, helo)
    findings: dict[Identity, SpfFinding] = {}
    missing: list[Question] = []
    for identity in dict.fromkeys(asked_about):
        try:
            findings[identity] = _finding(client_ip, identity, helo, answers, caps)
        except _Missing as one:
            missing.append(one.question)
    if missing:
        return Evaluated(missing=tuple(dict.fromkeys(missing)))
    of_mail_from, of_helo = asked_about
    return Evaluated(mail_from=findings[of_mail_from], helo=findings[of_helo])


def _finding(
    client_ip: str, identity: Identity, helo: str, answers: Answers, caps: SpfCaps
) -> SpfFinding:
    domain = identity.domain
    if not domain:
        return SpfFinding(result=Result.NONE, because="it has no domain that DNS could know")
    if not _is_address(client_ip):
        return SpfFinding(domain=domain, because="the client's address is not known")
    if _publishes_nothing(answers.get(Question(domain, Kind.TXT))):
        return SpfFinding(result=Result.NONE, domain=domain)  # as of most names in HELO
    query = _Query(client_ip, identity, helo, answers, caps)
    try:
        word, _code, _text = query.check()
        because = query.because
    except Malformed as error:
        word, because = "permerror", str(error)
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
        self, client_ip: str, identity: Identity, helo: str, answers: Answers, caps: SpfCaps
    ) -> None:
        sender = f"{identity.local}@{identity.domain}"
        super().__init__(i=client_ip, s=sender, h=helo.lower().removesuffix(".") or "unknown")
        self.l, self.o = identity  # pyspf splits at the first @
        self.d = self.o
        self._answers = answers
        self._caps = caps
        self._asked: set[Question] = set()
        self._expanded = 0
        self._names_sender = False

    @property
    def because(self) -> str:
        """Why it came to an error, "" where it came to none."""
        problem = str(getattr(self, "prob", ""))
        # A name made of the sender's local part is as good as the address.
        return "a name made of the sender's address" if self._tells(problem) else problem

    def _tells(self, problem: str) -> bool:
        return self._names_sender and "." in problem

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
        return record and _with_known_modifiers(record)

    def expand_domain(self, arg: str) -> str:
        if arg == self.d:  # also where a mechanism names none: it is expanded already
            return arg
        if len(arg) > DOMAIN_SPEC_MAX:
            raise spf.PermError("a name in the record is too long")
        return name_of(read_domain(arg), self._value)

    def _value(self, letter: str) -> str:
        if letter == "p":
            self.getp()
        value = str(getattr(self, letter))
        self._expanded += len(value)
        if self._expanded > EXPANDED_MAX:
            raise spf.PermError("the record's macros stand for more than is read")
        self._names_sender |= letter in "ls"
        return value

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


def _with_known_modifiers(record: str) -> str:
    """The record without modifiers that change no result, once their syntax was seen.

    Theirs are names in any case, and any number of those that nobody knows (RFC 7208
    section 6), which pyspf takes for errors; and nobody reads explanations, so they cost
    no question. Raises Malformed.
    """
    version, *terms = record.split(" ")
    kept, seen = [version], set()
    for term in terms:
        modifier = _MODIFIER.fullmatch(term)
        if modifier is None:
            kept.append(term)
            continue
        name, value = modifier[1].lower(), modifier[2]
        if name not in ("redirect", "exp"):
            read(value)
            continue
        if name in seen:
            raise Malformed(f"the record has more than one {name}=")
        seen.add(name)
        read_domain(value)
        if name == "redirect":
            kept.append(f"redirect={value}")
    return " ".join(kept)

"""SPF (RFC 7208): asks DNS for what the evaluator needs, and has it evaluate in the cell.

What a record will most likely need is asked beforehand, so that one round in the cell is
enough when DNS is known. Neighbours: smtpd/checks/spf_evaluator.py, smtpd/checks/verifier.py.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from functools import lru_cache
from typing import Any, Protocol, TypeVar

from smtpd.checks.spf_evaluator import Evaluated, SpfCaps, evaluate, identities
from smtpd.evidence import SpfFinding
from smtpd.inquiry import ask_all
from smtpd.questions import Answer, Kind, Lookup, Question

T = TypeVar("T")

TERMS_FORESEEN = 60  # of one record; ten of them may need DNS (RFC 7208 section 4.6.4)
QUESTIONS_FORESEEN = 25  # what is beyond is asked when it is known to be needed
LEVELS_FORESEEN = 6
RECORDS_REMEMBERED = 256  # of 16 kB each at most (dnswire.MESSAGE_MAX_BYTES)


class Run(Protocol):
    """Cell.run: a function of values, in a process that can be killed."""

    def __call__(self, function: Callable[..., T], /, *args: object) -> Coroutine[Any, Any, T]: ...


async def check(
    client_ip: str, mail_from: str, helo: str, *, run: Run, lookup: Lookup, caps: SpfCaps
) -> tuple[SpfFinding, SpfFinding]:
    """The findings for MAIL FROM and for HELO."""
    family = Kind.AAAA if ":" in client_ip and "." not in client_ip else Kind.A
    domains = dict.fromkeys(one.domain for one in identities(mail_from, helo))
    missing = tuple(Question(domain, Kind.TXT) for domain in domains if domain)
    answers: dict[Question, Answer] = {}
    while True:
        # Each round asks something new, and the evaluator stops beyond its number.
        answers |= await ask_all(missing, lookup)
        await _foresee(missing, answers, family, lookup, caps)
        evaluated: Evaluated = await run(evaluate, client_ip, mail_from, helo, answers, caps)
        if not evaluated.missing:
            return evaluated.mail_from, evaluated.helo
        missing = evaluated.missing


async def _foresee(
    asked: tuple[Question, ...],
    answers: dict[Question, Answer],
    family: Kind,
    lookup: Lookup,
    caps: SpfCaps,
) -> None:
    """Add answers to what the answers to `asked`, followed level by level, are likely to need."""
    most = min(QUESTIONS_FORESEEN, caps.queries_max)
    for _ in range(LEVELS_FORESEEN):
        following = dict.fromkeys(
            one
            for question in asked
            for one in _needs(question, answers[question], family, caps.record_max_bytes)
            if one not in answers
        )
        asked = tuple(following)[: max(0, most - len(answers))]
        if not asked:
            return
        answers |= await ask_all(asked, lookup)


@lru_cache(maxsize=RECORDS_REMEMBERED)
def _needs(
    question: Question, answer: Answer, family: Kind, record_max_bytes: int
) -> tuple[Question, ...]:
    """What an answer makes it likely that is asked next."""
    if question.kind is Kind.MX:
        return tuple(Question(host, family) for host in answer.hosts[:10] if host)
    found = [text for text in answer.texts if text[:7].lower() == b"v=spf1 "]
    if len(found) != 1 or len(found[0]) > record_max_bytes:
        return ()
    return tuple(_of_terms(found[0].decode("latin-1"), question.name, family))


def _of_terms(record: str, domain: str, family: Kind) -> Iterator[Question]:
    kinds = {"include": Kind.TXT, "redirect": Kind.TXT, "exists": Kind.A, "mx": Kind.MX}
    for term in record.lower().split(" ")[1 : TERMS_FORESEEN + 1]:
        word = term.lstrip("+-~?")
        name, _, rest = word.replace("=", ":", 1).partition(":")
        mechanism = name.partition("/")[0]
        kind = family if mechanism == "a" else kinds.get(mechanism)
        target = rest.partition("/")[0].rstrip(".") or domain
        if kind is not None and "%" not in target:
            yield Question(target, kind)
        if mechanism == "all":
            return

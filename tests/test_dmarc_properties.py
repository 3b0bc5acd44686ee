"""DMARC by RFC 9989: what holds for every zone, compared with the RFC's steps taken literally."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from smtpd.checks.dmarc import Alignment, check_dmarc
from smtpd.checks.dmarc_record import DmarcRecord, read_record
from smtpd.evidence import DkimFinding, Result, SpfFinding
from smtpd.questions import Answer, Kind, Question, Record, Status
from tests.zones import SERVFAIL, Records, Zone, zone

LABELS = ["", "a", "b", "b.a", "a.b.a", "e.e.e.e.e.b", "e.e.e.e.e.e.a", "f.e.e.e.e.e.e.e.e.b.a"]
DOMAINS = st.sampled_from([f"{labels}.x".removeprefix(".") for labels in LABELS])
RECORDS = st.sampled_from(
    [
        "",
        "",
        "v=DMARC1; p=reject",
        "v=DMARC1; psd=n",
        "v=DMARC1; psd=y",
        "v=DMARC1; p=x",
        "v=DMARC1; p=none; adkim=s",
        "v=DMARC1; p=none; aspf=s; psd=n",
        "v=DMARC1; np=reject",
    ]
)
BY = st.sampled_from(["spf", "dkim", "dkim"])
Identity = tuple[str, str]  # spf or dkim, and its domain


@dataclass(frozen=True)
class Mail:
    """An author, identities, what every name publishes, and which names give no answer."""

    author: str
    passed: list[Identity]
    erred: list[Identity]
    published: dict[str, str]
    silent: set[str]

    def zone(self) -> Zone:
        names: dict[str, Records | Status] = dict.fromkeys(self.silent, SERVFAIL)
        for name, text in self.published.items():
            if text:
                names.setdefault(name, {"TXT": text})
        return zone({f"_dmarc.{name}": entry for name, entry in names.items()})

    def findings(self) -> tuple[SpfFinding, list[DkimFinding]]:
        spf, dkim = SpfFinding(), list[DkimFinding]()
        for result, ones in ((Result.TEMPERROR, self.erred), (Result.PASS, self.passed)):
            for by, domain in ones:
                if by == "spf":
                    spf = SpfFinding(result=result, domain=domain)
                else:
                    dkim.append(DkimFinding(result=result, domain=domain))
        return spf, dkim

    def checked(self) -> tuple[Alignment, Counter[Question]]:
        dns = self.zone()
        return asyncio.run(check_dmarc(self.author, *self.findings(), dns.lookup)), dns.asked


@st.composite
def mails(draw: st.DrawFn, *, silent: bool) -> Mail:
    author = draw(DOMAINS)
    kinds = draw(st.lists(st.tuples(BY, DOMAINS, st.booleans()), max_size=4))
    # One SPF identity, as there is one MAIL FROM.
    spf = [one for one in kinds if one[0] == "spf"][:1]
    ones = spf + [one for one in kinds if one[0] == "dkim"]
    domains = [author, *(domain for _, domain, _ in ones)]
    above = sorted({domain[at:] for domain in domains for at in _label_starts(domain)})
    published = {name: draw(RECORDS) for name in above}
    return Mail(
        author,
        [(by, domain) for by, domain, passed in ones if passed],
        [(by, domain) for by, domain, passed in ones if not passed],
        published,
        draw(st.sets(st.sampled_from(above), max_size=4)) if silent else set(),
    )


def _label_starts(domain: str) -> list[int]:
    return [0, *(at + 1 for at, sign in enumerate(domain) if sign == ".")]


def rfc_walk(start: str, published: Mapping[str, str]) -> list[tuple[str, DmarcRecord]]:
    """Section 4.10 as it is written, step by step."""
    labels = start.split(".")
    found: list[tuple[str, DmarcRecord]] = []
    target = labels
    while target:
        name = ".".join(target)
        record = read_record(published.get(name, "").encode())
        if record is not None:
            found.append((name, record))
            if record.psd in ("y", "n"):
                break
        target = labels[-7:] if target is labels and len(labels) >= 8 else target[1:]
    return found


def rfc_organisation(start: str, published: Mapping[str, str]) -> str:
    """Section 4.10.2."""
    found = rfc_walk(start, published)
    for name, record in found:
        if record.psd == "n":
            return name
        if record.psd == "y" and name != start:
            return ".".join(start.split(".")[-len(name.split(".")) - 1 :])
    return found[-1][0] if found else start


def rfc_record(author: str, published: Mapping[str, str]) -> tuple[str, DmarcRecord | None]:
    """Section 4.10.1."""
    found = dict(rfc_walk(author, published))
    suffixes = [name for name, record in found.items() if record.psd == "y"]
    for name in (author, rfc_organisation(author, published), *suffixes):
        if name in found:
            return name, found[name]
    return "", None


def rfc_aligned(author: str, one: Identity, published: Mapping[str, str]) -> bool:
    """Section 3.2.10; identical domains need no record."""
    by, domain = one
    _, record = rfc_record(author, published)
    if domain == author or record is None or by in record.strict:
        return domain == author
    return rfc_organisation(domain, published) == rfc_organisation(author, published)


@settings(max_examples=300, deadline=None)
@given(mails(silent=False))
def test_with_every_answer_the_outcome_is_what_the_rfc_says(mail: Mail) -> None:
    found, _ = mail.checked()
    proven = {one[0] for one in mail.passed if rfc_aligned(mail.author, one, mail.published)}
    assert found.aligned is bool(proven)
    assert found.proven_by == ("both" if len(proven) == 2 else "".join(proven))
    could = any(rfc_aligned(mail.author, one, mail.published) for one in mail.erred)
    assert found.undecided is (could and not proven)
    at, record = rfc_record(mail.author, mail.published)
    applies = record is not None and record.applies
    assert found.finding.record_at == (at if applies else "")
    expected = Result.PASS if proven else Result.TEMPERROR if could else Result.FAIL
    assert found.finding.result is (expected if applies else Result.NONE)
    assert found.finding.organisation in ("", mail.author) or (
        found.finding.organisation == rfc_organisation(mail.author, mail.published)
    )


@settings(max_examples=300, deadline=None)
@given(mails(silent=True))
def test_what_is_decided_without_some_answers_stays_so_with_them(mail: Mail) -> None:
    found, _ = mail.checked()
    # What the silent names publish was drawn with the rest: this is one world of many.
    ones = mail.passed if found.aligned else [*mail.passed, *mail.erred]
    aligned = any(rfc_aligned(mail.author, one, mail.published) for one in ones)
    if found.aligned or not found.undecided:
        assert found.aligned is aligned
    assert not (found.aligned and found.undecided)
    if found.finding.record_at:
        assert found.finding.record_at == rfc_record(mail.author, mail.published)[0]


@settings(deadline=None)
@given(mails(silent=True))
def test_no_walk_asks_more_than_eight_questions_and_none_is_asked_twice(mail: Mail) -> None:
    _, asked = mail.checked()
    assert asked.total() == len(asked)
    domains = {mail.author, *(domain for _, domain in [*mail.passed, *mail.erred])}
    walked = [one for one in asked if one.kind is Kind.TXT]
    assert len(walked) <= 8 * len(domains)
    assert len(asked) - len(walked) <= 1
    _, alone = replace(mail, passed=[], erred=[]).checked()
    assert len([one for one in alone if one.kind is Kind.TXT]) <= 8


@settings(deadline=None)
@given(
    st.text(max_size=40),
    st.lists(st.tuples(st.sampled_from(Result), st.text(max_size=40)), min_size=1, max_size=4),
    st.sampled_from(Status),
    st.lists(st.one_of(st.binary(max_size=60), st.text(), st.tuples(st.integers(), st.text()))),
)
def test_nothing_raises(
    author: str, findings: list[tuple[Result, str]], status: Status, records: list[Record]
) -> None:
    async def lookup(_: Question) -> Answer:
        return Answer(status, tuple(records))

    (result, domain), *rest = findings
    spf = SpfFinding(result=result, domain=domain)
    dkim = [DkimFinding(result=result, domain=domain) for result, domain in rest]
    found = asyncio.run(check_dmarc(author, spf, dkim, lookup))
    passed = [domain for result, domain in findings if result is Result.PASS]
    assert not found.aligned or passed
    assert (found.finding.result is Result.PASS) <= found.aligned

"""The house rules about what the checks found: proof, our own name, viruses, spam."""

from __future__ import annotations

from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from handlers.telling import tell_verdict
from smtpd import replies
from smtpd.category import Category
from smtpd.evidence import (
    BY_OURSELVES,
    DkimFinding,
    Evidence,
    Result,
    Scan,
    SpamFinding,
    SpfFinding,
    VirusFinding,
)
from smtpd.mail import Verdict
from tests.arrivals import arrival, mail
from tests.test_policy import HOUSE, LIST, OURS, PROVEN, TWO_AUTHORS, VACATION, verdict_on

REFUSING = replace(HOUSE, unproven_sender="reject")
TESTING = replace(REFUSING, testing_answer_unproven=True)
MIXED = ("ai@us.example", "postmaster@us.example")
FILING = ("postmaster@us.example",)


def signed(result: Result, domain: str = "us.example") -> Evidence:
    return Evidence(dkim=(DkimFinding(result=result, domain=domain),))


FAILED = signed(Result.FAIL, "example.org")
ELSEWHERE = Evidence(spf=SpfFinding(result=Result.PASS, domain="other.example"))
UNDECIDED = replace(FAILED, undecided=True)
LOST = Evidence(client_known=False)
NULL_MX = replace(PROVEN, null_mx=True)


def scanned(scan: Scan, name: str = "") -> Evidence:
    return replace(PROVEN, virus=VirusFinding(scan=scan, name=name))


def scored(score: float) -> Evidence:
    return replace(PROVEN, spam=SpamFinding(score=score, by="spamd", signs=("GTUBE",)))


def told(verdict: Verdict) -> tuple[str, str, str]:
    return verdict.action, f"{verdict.reply.code} {verdict.reply.enhanced}", verdict.setting


@pytest.mark.parametrize(
    ("evidence", "expected"),
    [
        (Evidence(), ("reject", "550 5.7.26", "UNPROVEN_SENDER")),
        (FAILED, ("reject", "550 5.7.26", "UNPROVEN_SENDER")),
        (ELSEWHERE, ("reject", "550 5.7.26", "UNPROVEN_SENDER")),
        (UNDECIDED, ("defer", "451 4.4.3", "DNS_SERVERS")),
        (LOST, ("hold", "250 2.0.0", "TRUSTED_NETWORKS")),
        (replace(LOST, undecided=True), ("defer", "451 4.4.3", "DNS_SERVERS")),
        (replace(UNDECIDED, aligned=True), ("answer", "250 2.0.0", "")),
        (replace(LOST, aligned=True), ("answer", "250 2.0.0", "")),
        (NULL_MX, ("reject", "550 5.7.27", "")),
        (scanned(Scan.CLEAN), ("answer", "250 2.0.0", "")),
        (scanned(Scan.FOUND, "Eicar"), ("reject", "554 5.7.1", "CLAMD_HOST")),
        (scanned(Scan.AWAY), ("defer", "451 4.3.0", "CLAMD_HOST")),
        (scanned(Scan.TOO_LARGE), ("hold", "250 2.0.0", "CLAMD_HOST")),
        (scored(4.9), ("answer", "250 2.0.0", "")),
        (scored(5), ("hold", "250 2.0.0", "SPAM_HOLD_SCORE")),
        (scored(14.9), ("hold", "250 2.0.0", "SPAM_HOLD_SCORE")),
        (scored(15), ("reject", "550 5.7.1", "SPAM_REJECT_SCORE")),
    ],
)
def test_what_the_checks_found_decides_about_a_person_s_mail(
    evidence: Evidence, expected: tuple[str, str, str]
) -> None:
    assert told(verdict_on(house=REFUSING, evidence=evidence)) == expected


@pytest.mark.parametrize(
    ("evidence", "lacking", "french"),
    [
        (Evidence(), replies.UNPROVEN, "mettre en place DKIM ou SPF"),
        (FAILED, replies.UNPROVEN_BROKEN, "corriger sa clef DKIM"),
        (ELSEWHERE, replies.UNPROVEN_OTHER, "pour votre propre domaine"),
        (signed(Result.PASS, "other.example"), replies.UNPROVEN_OTHER, "votre propre domaine"),
    ],
)
def test_an_unproven_sender_reads_what_its_service_lacks_in_two_languages(
    evidence: Evidence, lacking: replies.Reply, french: str
) -> None:
    reply = verdict_on(house=REFUSING, evidence=evidence).reply
    assert (reply.code, reply.enhanced, reply.text) == (550, "5.7.26", lacking.text)
    assert french in reply.further[0]
    assert all(line.startswith("550-5.7.26 ") for line in str(reply).split("\r\n")[:-1])
    assert str(reply).split("\r\n")[-1].startswith("550 5.7.26 ")


def test_whoever_answers_unproven_senders_in_a_test_neither_refuses_nor_defers_them() -> None:
    for evidence in (Evidence(), FAILED, ELSEWHERE, UNDECIDED, LOST):
        assert verdict_on(house=TESTING, evidence=evidence).action == "answer"


def test_marks_of_robots_and_lists_let_no_unproven_mail_in() -> None:
    for raw in (VACATION, LIST):
        assert verdict_on(raw, house=REFUSING, evidence=Evidence()).action == "reject"
        assert verdict_on(raw, house=HOUSE, evidence=Evidence()).action == "keep"
        assert verdict_on(raw, house=REFUSING, evidence=PROVEN).action == "keep"


@pytest.mark.parametrize(
    ("raw", "evidence", "category"),
    [
        (mail(), PROVEN, Category.PERSON),
        (VACATION, PROVEN, Category.AUTO_REPLY),
        (VACATION, Evidence(), None),
    ],
)
def test_the_log_names_the_category_of_what_is_taken(
    raw: bytes, evidence: Evidence, category: Category | None
) -> None:
    with capture_logs() as lines:
        tell_verdict(
            arrival(raw), evidence, verdict_on(raw, house=REFUSING, evidence=evidence), "t1"
        )
    assert [line.get("category") for line in lines] == [category]


def test_nobody_can_prove_a_mail_with_two_authors() -> None:
    verdict = verdict_on(TWO_AUTHORS, house=REFUSING, evidence=PROVEN)
    assert told(verdict) == ("reject", "550 5.6.0", "UNPROVEN_SENDER")


@pytest.mark.parametrize(
    ("evidence", "expected"),
    [
        (signed(Result.PASS), ("keep", "250 2.0.0", "")),
        (signed(Result.FAIL), ("reject", "550 5.7.1", "EMAIL_DOMAIN")),
        (signed(Result.PASS, "evil.example"), ("reject", "550 5.7.1", "EMAIL_DOMAIN")),
        (signed(Result.PASS, "sub.us.example"), ("reject", "550 5.7.1", "EMAIL_DOMAIN")),
        (signed(Result.TEMPERROR), ("defer", "451 4.4.3", "DNS_SERVERS")),
        (signed(Result.TEMPERROR, ""), ("defer", "451 4.4.3", "DNS_SERVERS")),
        (PROVEN, ("reject", "550 5.7.1", "EMAIL_DOMAIN")),
    ],
)
def test_our_name_from_outside_counts_only_with_our_signature(
    evidence: Evidence, expected: tuple[str, str, str]
) -> None:
    assert told(verdict_on(OURS, house=REFUSING, evidence=evidence)) == expected


@pytest.mark.parametrize(
    "evidence", [Evidence(), FAILED, UNDECIDED, NULL_MX, scored(99), scanned(Scan.TOO_LARGE)]
)
def test_bounces_and_mail_for_a_person_are_kept_whatever_was_found(evidence: Evidence) -> None:
    for envelope in ({"mail_from": ""}, {"rcpt_to": FILING}):
        verdict = verdict_on(house=REFUSING, evidence=evidence, **envelope)
        assert verdict.action == "keep"


def test_the_light_score_of_our_own_never_refuses() -> None:
    guessed = replace(PROVEN, spam=SpamFinding(score=10, by=BY_OURSELVES))
    strict = replace(REFUSING, spam_reject_score=6)
    assert verdict_on(house=strict, evidence=guessed).action == "hold"


@pytest.mark.parametrize("rcpt_to", [FILING, MIXED])
def test_a_virus_is_refused_whomever_it_is_for(rcpt_to: tuple[str, ...]) -> None:
    found = scanned(Scan.FOUND, "Eicar")
    assert verdict_on(house=REFUSING, evidence=found, rcpt_to=rcpt_to).reply is replies.VIRUS
    away = verdict_on(house=REFUSING, evidence=scanned(Scan.AWAY), rcpt_to=rcpt_to)
    assert away.reply is replies.SCANNER_AWAY


@pytest.mark.parametrize("evidence", [Evidence(), NULL_MX, scored(99)])
def test_a_refusal_is_softened_where_a_filing_address_is_named_too(evidence: Evidence) -> None:
    verdict = verdict_on(house=REFUSING, evidence=evidence, rcpt_to=MIXED)
    assert verdict.action == "keep"
    assert verdict.because.endswith("and it is for a filing address too")


def test_every_refusal_s_setting_is_named_and_its_reply_tells_nothing_of_us() -> None:
    for evidence in (Evidence(), FAILED, ELSEWHERE, scored(99), scanned(Scan.FOUND, "Eicar")):
        verdict = verdict_on(mail(), house=REFUSING, evidence=evidence)
        assert verdict.setting
        assert verdict.setting not in str(verdict.reply)
        assert "Eicar" not in str(verdict.reply)

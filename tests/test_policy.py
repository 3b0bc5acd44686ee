"""The house rules: who gets in, who is refused, and who waits for a person."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.checks_settings import ChecksSettings
from config.settings import HouseSettings
from smtpd import replies
from smtpd.category import Category
from smtpd.evidence import Evidence
from smtpd.mail import Action, Verdict
from smtpd.policy import RULES, House, RecipientClass, judge
from smtpd.returnpath import return_path, ticket_of
from tests.arrivals import arrival, mail

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
KEY = b"k" * 32
PROVEN = Evidence(aligned=True)
UNPROVEN = Evidence()

HOUSE = House(
    email_address="ai@us.example",
    aliases=("help@us.example", "law@other.example"),
    domain="us.example",
    mx_hostname="mail.us.example",
    allowed=("*",),
    blocked=(),
    unproven_sender="hold",
    testing_answer_unproven=False,
    answer_unaddressed=False,
    max_age_to_answer_s=259200,
    received_max=50,
    spam_hold_score=5,
    spam_reject_score=15,
    language="fr",
    return_path_key=KEY,
)


def verdict_on(
    raw: bytes | None = None,
    *,
    house: House = HOUSE,
    evidence: Evidence = PROVEN,
    mail_from: str = "ada@example.org",
    rcpt_to: tuple[str, ...] = ("ai@us.example",),
) -> Verdict:
    heard = arrival(raw, mail_from=mail_from, rcpt_to=rcpt_to, received_at=NOW)
    return judge(heard, evidence, house)


# Recipients


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("ai@us.example", RecipientClass.ANSWERING),
        ("AI@US.EXAMPLE", RecipientClass.ANSWERING),
        ("ai+anything@us.example", RecipientClass.ANSWERING),
        ("Help+x@us.example", RecipientClass.ANSWERING),
        ("law@other.example", RecipientClass.ANSWERING),
        ("postmaster", RecipientClass.FILING),
        ("Postmaster@us.example", RecipientClass.FILING),
        ("abuse@us.example", RecipientClass.FILING),
        ("dmarc@us.example", RecipientClass.FILING),
        ("tls-reports@us.example", RecipientClass.FILING),
        (return_path("01ticket", KEY, "us.example"), RecipientClass.FILING),
        (return_path("01ticket", KEY, "us.example").upper(), RecipientClass.FILING),
        (return_path("01ticket", b"another key", "us.example"), RecipientClass.UNKNOWN),
        ("bounces+01ticket@us.example", RecipientClass.UNKNOWN),
        ("bounces+.@us.example", RecipientClass.UNKNOWN),
        ("bounces@us.example", RecipientClass.UNKNOWN),
        ("postmaster@other.example", RecipientClass.UNKNOWN),
        ("ai@other.example", RecipientClass.UNKNOWN),
        ("ai", RecipientClass.UNKNOWN),
        ("aix@us.example", RecipientClass.UNKNOWN),
        ("+x@us.example", RecipientClass.UNKNOWN),
        ("ada@us.example", RecipientClass.UNKNOWN),
        ("ai@sub.us.example", RecipientClass.UNKNOWN),
        ("", RecipientClass.UNKNOWN),
    ],
)
def test_an_address_is_answered_filed_or_unknown(address: str, expected: RecipientClass) -> None:
    assert HOUSE.classify(address) is expected


@given(st.text(max_size=60))
def test_no_address_makes_the_classes_raise(address: str) -> None:
    assert HOUSE.classify(address) in RecipientClass


def test_a_return_path_names_its_ticket_and_no_other() -> None:
    address = return_path("01abc", KEY, "us.example")
    local = address.partition("@")[0]
    assert len(local) <= 64
    assert ticket_of(address, KEY, "us.example") == "01abc"
    assert ticket_of(address.replace("01abc", "01abd"), KEY, "us.example") is None
    assert ticket_of(address, KEY, "other.example") is None
    assert ticket_of(f"x{address}", KEY, "us.example") is None


def test_a_return_path_carries_eighty_bits() -> None:
    codes = {return_path(str(n), KEY, "us.example").partition("@")[0][-16:] for n in range(500)}
    assert len(codes) == 500
    assert all(set(code) <= set("abcdefghijklmnopqrstuvwxyz234567") for code in codes)


def test_the_house_is_what_the_settings_say() -> None:
    house = House.of(
        HouseSettings(
            email_address="AI@us.example",
            email_domain="us.example",
            email_aliases=("Help@us.example",),
            blocked_senders=("Spam.example",),
            unproven_sender="reject",
        ),
        ChecksSettings(spam_hold_score=4.5),
        language="fr",
        return_path_key=KEY,
    )
    assert house.classify("ai@us.example") is RecipientClass.ANSWERING
    assert house.classify("help@us.example") is RecipientClass.ANSWERING
    assert house.classify("abuse@us.example") is RecipientClass.FILING
    assert (house.blocked, house.allowed) == (("spam.example",), ("*",))
    assert (house.max_age_to_answer_s, house.received_max) == (259200, 50)
    assert (house.spam_hold_score, house.spam_reject_score, house.language) == (4.5, 15, "fr")


# The rules


def test_a_proven_person_s_question_is_answered() -> None:
    assert verdict_on() == Verdict(
        action=Action.ANSWER, reply=replies.QUEUED, because="no rule objected"
    )


def hops(count: int) -> str:
    return "\n".join(["Received: from a by b"] * count)


def to(field: str) -> bytes:
    return mail().replace(b"To: ai@us.example", f"To: {field}".replace("\n", "\r\n").encode())


LIST = mail(extra="List-Id: <talk.example>")
VACATION = mail(extra="Auto-Submitted: auto-replied")
TWO_AUTHORS = mail(sender="ada@example.org>, Bob <bob@example.org")
OURS = mail(sender="boss@us.example")
OLD = mail(extra="").replace(b"23 Nov 2026", b"20 Nov 2026")


@pytest.mark.parametrize(
    ("raw", "envelope", "house", "evidence", "action", "code", "setting"),
    [
        pytest.param(mail(extra=hops(50)), {}, {}, PROVEN, "answer", 250, "", id="many hops"),
        pytest.param(mail(extra=hops(51)), {}, {}, PROVEN, "reject", 554, "RECEIVED_MAX", id="51"),
        pytest.param(mail(), {"mail_from": ""}, {}, PROVEN, "keep", 250, "", id="null sender"),
        pytest.param(OURS, {"mail_from": ""}, {}, UNPROVEN, "keep", 250, "", id="null, ours"),
        pytest.param(OURS, {}, {}, PROVEN, "reject", 550, "EMAIL_DOMAIN", id="our From"),
        pytest.param(
            mail(sender="law@other.example"), {}, {}, PROVEN, "reject", 550, "EMAIL_DOMAIN",
            id="our alias elsewhere",
        ),
        pytest.param(
            mail(sender="ada@other.example"), {}, {}, PROVEN, "answer", 250, "",
            id="a neighbour of our alias",
        ),
        pytest.param(
            mail(extra="Sender: x@us.example"), {}, {}, PROVEN, "reject", 550, "EMAIL_DOMAIN",
            id="our Sender",
        ),
        pytest.param(
            mail(), {"mail_from": "x@US.example"}, {}, PROVEN, "reject", 550, "EMAIL_DOMAIN",
            id="our MAIL FROM",
        ),
        pytest.param(
            mail(), {}, {"blocked": ("ada@example.org",)}, PROVEN, "reject", 550,
            "BLOCKED_SENDERS", id="blocked address",
        ),
        pytest.param(
            mail(sender="Ada@sub.example.org"), {}, {"blocked": ("example.org",)}, PROVEN,
            "reject", 550, "BLOCKED_SENDERS", id="blocked domain above",
        ),
        pytest.param(
            mail(), {"mail_from": "x@spam.example"}, {"blocked": ("@spam.example",)}, PROVEN,
            "reject", 550, "BLOCKED_SENDERS", id="blocked MAIL FROM",
        ),
        pytest.param(
            mail(sender="ada@notexample.org"), {"mail_from": "x@y.example"},
            {"blocked": ("example.org",)}, PROVEN, "answer", 250, "", id="only ends alike",
        ),
        pytest.param(
            mail(), {}, {"allowed": ("example.org",)}, PROVEN, "answer", 250, "", id="allowed",
        ),
        pytest.param(
            mail(sender="eve@evil.example"), {"mail_from": "ada@example.org"},
            {"allowed": ("example.org",)}, PROVEN, "reject", 550, "ALLOWED_SENDERS",
            id="an allowed MAIL FROM is not an allowed author",
        ),
        pytest.param(LIST, {}, {}, PROVEN, "keep", 250, "", id="list"),
        pytest.param(
            to("b@x.example"), {}, {}, PROVEN, "hold", 250, "ANSWER_UNADDRESSED", id="blind copy",
        ),
        pytest.param(
            to("b@x.example"), {}, {"answer_unaddressed": True}, PROVEN, "answer", 250, "",
            id="blind copy, answered",
        ),
        pytest.param(
            to("undisclosed-recipients:;"), {}, {}, PROVEN, "hold", 250, "ANSWER_UNADDRESSED",
            id="nobody named",
        ),
        pytest.param(
            to("b@x.example\nCc: AI+law@US.example"), {}, {}, PROVEN, "answer", 250, "", id="Cc",
        ),
        pytest.param(
            to("Law <law@other.example>"), {}, {}, PROVEN, "answer", 250, "", id="to an alias",
        ),
        pytest.param(
            to("abuse@us.example"), {}, {}, PROVEN, "hold", 250, "ANSWER_UNADDRESSED",
            id="to a filing address alone",
        ),
        pytest.param(
            to(", ".join(f"a{n}@x.example" for n in range(120))), {}, {}, PROVEN, "answer", 250,
            "", id="more than is read",
        ),
        pytest.param(
            to("b@x.example"), {}, {}, UNPROVEN, "hold", 250, "UNPROVEN_SENDER",
            id="unproven before unaddressed",
        ),
        pytest.param(VACATION, {}, {}, PROVEN, "keep", 250, "", id="vacation"),
        pytest.param(
            TWO_AUTHORS, {}, {}, PROVEN, "hold", 250, "UNPROVEN_SENDER", id="two authors",
        ),
        pytest.param(
            b"\r\nhi\r\n", {}, {}, PROVEN, "hold", 250, "UNPROVEN_SENDER", id="no headers",
        ),
        pytest.param(OLD, {}, {}, PROVEN, "hold", 250, "MAX_AGE_TO_ANSWER", id="old"),
        pytest.param(
            OLD, {}, {"max_age_to_answer_s": 345600}, PROVEN, "answer", 250, "", id="not too old",
        ),
        pytest.param(mail(), {}, {}, UNPROVEN, "hold", 250, "UNPROVEN_SENDER", id="unproven"),
        pytest.param(
            mail(), {}, {"unproven_sender": "reject"}, UNPROVEN, "reject", 550,
            "UNPROVEN_SENDER", id="unproven, refused",
        ),
        pytest.param(
            mail(), {}, {"testing_answer_unproven": True}, UNPROVEN, "answer", 250, "",
            id="unproven, testing",
        ),
        pytest.param(
            mail(), {"rcpt_to": ("abuse@us.example",)}, {}, UNPROVEN, "keep", 250, "",
            id="a complaint by anybody",
        ),
    ],
)  # fmt: skip
def test_the_first_objection_decides(
    raw: bytes,
    envelope: dict[str, str],
    house: dict[str, str],
    evidence: Evidence,
    action: str,
    code: int,
    setting: str,
) -> None:
    verdict = verdict_on(raw, house=replace(HOUSE, **house), evidence=evidence, **envelope)  # type: ignore[arg-type]
    assert (verdict.action, verdict.reply.code, verdict.setting) == (action, code, setting)


@pytest.mark.parametrize("raw", [mail(), OURS])
def test_a_refusal_becomes_keeping_where_a_filing_address_is_named_too(raw: bytes) -> None:
    house = replace(HOUSE, unproven_sender="reject")
    mixed = ("ai@us.example", "postmaster@us.example")
    verdict = verdict_on(raw, house=house, evidence=UNPROVEN, rcpt_to=mixed)
    assert (verdict.action, verdict.reply) == (Action.KEEP, replies.QUEUED)


def test_a_loop_is_refused_even_at_a_filing_address() -> None:
    verdict = verdict_on(mail(extra=hops(51)), rcpt_to=("ai@us.example", "abuse@us.example"))
    assert verdict.reply == replies.LOOP
    assert verdict_on(mail(extra=hops(51)), rcpt_to=("abuse@us.example",)).reply == replies.LOOP


def test_mail_to_a_filing_address_only_is_kept_whatever_it_claims() -> None:
    house = replace(HOUSE, blocked=("example.org",), unproven_sender="reject")
    verdict = verdict_on(house=house, evidence=UNPROVEN, rcpt_to=("dmarc@us.example",))
    assert verdict.action is Action.KEEP


@pytest.mark.parametrize(
    ("raw", "envelope", "category"),
    [
        (mail(), {}, Category.PERSON),
        (OLD, {}, Category.PERSON),
        (LIST, {}, Category.MAILING_LIST),
        (VACATION, {}, Category.AUTO_REPLY),
        (VACATION, {"mail_from": ""}, Category.AUTO_REPLY),
        (mail(), {"mail_from": ""}, Category.BOUNCE),
        (mail(extra="X-Loop: ai@us.example\nList-Id: <x>"), {}, Category.OURS),
        (mail(), {"rcpt_to": ("abuse@us.example",)}, Category.PERSON),
        (LIST, {"rcpt_to": ("abuse@us.example",)}, Category.MAILING_LIST),
        (mail(sender="no-reply@example.org"), {}, Category.NOTIFICATION),
    ],
)
def test_what_is_taken_is_filed_under_its_category(
    raw: bytes, envelope: dict[str, str], category: Category
) -> None:
    verdict = verdict_on(raw, **envelope)  # type: ignore[arg-type]
    assert verdict.takes_the_mail
    assert verdict.kind.category is category


def test_the_age_counts_from_the_arrival_not_from_now() -> None:
    stamped = (NOW - timedelta(days=2)).strftime("%a, %d %b %Y %H:%M:%S +0000").encode()
    raw = mail().replace(b"Mon, 23 Nov 2026 10:00:00 +0000", stamped)
    assert stamped in raw
    assert verdict_on(raw).action is Action.ANSWER


def test_no_reason_tells_an_address() -> None:
    house = replace(HOUSE, blocked=("blocked.example",), unproven_sender="reject")
    for sender in ("ada@blocked.example", "x@us.example", "ada@example.org"):
        for raw in (mail(sender=sender), VACATION, LIST, TWO_AUTHORS, OLD):
            verdict = verdict_on(raw, house=house, evidence=UNPROVEN)
            assert "@" not in verdict.because
            assert "example" not in verdict.because


def test_without_rules_everything_is_answered() -> None:
    assert judge(arrival(), UNPROVEN, HOUSE, rules=()).action is Action.ANSWER
    assert judge(arrival(), UNPROVEN, HOUSE, rules=RULES).action is Action.HOLD


# The operator's answer

NOTICE = f"<notice.{'0a' * 16}@us.example>"


@pytest.mark.parametrize("name", ["In-Reply-To", "References"])
@pytest.mark.parametrize("named", [NOTICE, NOTICE.upper(), f"<else@x.example> {NOTICE}"])
def test_an_answer_to_a_notice_is_filed(name: str, named: str) -> None:
    verdict = verdict_on(mail(extra=f"{name}: {named}"))
    assert (verdict.action, verdict.because) == (
        Action.KEEP,
        "it answers a mail to the operator",
    )


@pytest.mark.parametrize(
    "named",
    [NOTICE.replace("us.example", "else.example"), "<notice.1@us.example>", "<a@us.example>"],
)
def test_an_answer_to_something_else_is_answered(named: str) -> None:
    assert verdict_on(mail(extra=f"In-Reply-To: {named}")).action is Action.ANSWER


def test_whoever_names_a_notice_has_to_be_proven_all_the_same() -> None:
    house = replace(HOUSE, unproven_sender="reject")
    verdict = verdict_on(mail(extra=f"In-Reply-To: {NOTICE}"), house=house, evidence=UNPROVEN)
    assert verdict.action is Action.REJECT

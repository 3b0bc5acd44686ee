"""What is passed on to the operator, and what would come back for ever."""

from __future__ import annotations

import pytest

from handlers.passing import is_for_operator
from smtpd.evidence import DkimFinding, Evidence, Result
from tests.arrivals import arrival, mail

US, OPERATOR = "us.example", "Me@else.example"
NOTICE = f"<notice.{'0a' * 16}@us.example>"
BOUNCE = (
    "Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n--b\n"
    "Content-Type: message/delivery-status\n\nFinal-Recipient: rfc822; {to}\n\n--b--"
)


def passed_on(
    raw: bytes | None = None,
    *,
    rcpt_to: tuple[str, ...] = ("abuse@us.example",),
    mail_from: str = "ada@example.org",
    evidence: Evidence | None = None,
    operator: str = OPERATOR,
) -> bool:
    heard = arrival(raw, mail_from=mail_from, rcpt_to=rcpt_to)
    return is_for_operator(heard, evidence or Evidence(), US, operator)


@pytest.mark.parametrize(
    "rcpt_to",
    [
        ("postmaster@us.example",),
        ("abuse@us.example",),
        ("Postmaster@US.example",),
        ("postmaster",),
        ("ai@us.example", "abuse@us.example"),
    ],
)
def test_mail_to_postmaster_and_abuse_is_passed_on(rcpt_to: tuple[str, ...]) -> None:
    assert passed_on(rcpt_to=rcpt_to)


@pytest.mark.parametrize(
    "rcpt_to", ["ai@us.example", "dmarc@us.example", "tls-reports@us.example", "abuse@else.example"]
)
def test_other_mail_is_not(rcpt_to: str) -> None:
    assert not passed_on(rcpt_to=(rcpt_to,))


def test_without_an_operator_there_is_still_the_log() -> None:
    assert passed_on(operator="")
    assert passed_on(operator="", mail_from="")


def test_an_automatic_abuse_report_is_passed_on() -> None:
    report = mail(extra="Content-Type: multipart/report; report-type=feedback-report; boundary=b")
    assert passed_on(report)
    assert passed_on(report, mail_from="")


def test_a_bounce_of_something_else_is_passed_on() -> None:
    assert passed_on(mail(extra=BOUNCE.format(to="somebody@else.example")), mail_from="")


LOOPS = {
    "the operator's own mail": mail(sender="me@Else.example"),
    "mail from one of our addresses": mail(sender="ai@us.example"),
    "mail that names us as its sender": mail(extra="Sender: x@us.example"),
    "mail with a Message-ID of ours": mail(message_id="<x@us.example>"),
    "an answer to a notice": mail(references=NOTICE),
    "mail that has a notice in it": mail(f"Message-ID: {NOTICE.upper()}"),
}


@pytest.mark.parametrize("name", LOOPS)
def test_what_would_go_round_in_circles_is_not(name: str) -> None:
    assert passed_on()
    assert not passed_on(LOOPS[name])


def test_neither_is_mail_that_the_operators_server_sends() -> None:
    assert not passed_on(mail_from=OPERATOR)


@pytest.mark.parametrize("extra", [BOUNCE.format(to=OPERATOR), f"X-Failed-Recipients: {OPERATOR}"])
def test_neither_is_a_bounce_that_could_not_reach_the_operator(extra: str) -> None:
    assert not passed_on(mail(extra=extra), mail_from="")


def test_a_complaint_that_names_the_operator_is_no_bounce() -> None:
    assert passed_on(mail(f"I wrote to {OPERATOR} before."))


def test_neither_is_what_our_own_key_signed() -> None:
    ours, others = (
        Evidence(dkim=(DkimFinding(result=Result.PASS, domain=domain),))
        for domain in (US, "example.org")
    )
    assert not passed_on(evidence=ours)
    assert passed_on(evidence=others)

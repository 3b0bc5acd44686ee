"""Which filed mail is passed on to the operator: postmaster@ and abuse@, and never in a loop."""

from __future__ import annotations

from smtpd.addresses import domain_of, local_of
from smtpd.evidence import Evidence, Result
from smtpd.mail import Arrival
from smtpd.noticeid import carries_a_notice

# RFC 2142: read by a person. dmarc@ and tls-reports@ are for machines.
PASSED_LOCALS = ("postmaster", "abuse")


def is_for_operator(arrival: Arrival, evidence: Evidence, house_domain: str, operator: str) -> bool:
    """Whether this mail concerns the person who runs the house; `operator` may be ""."""
    return bool(passed_for(arrival.rcpt_to, house_domain)) and not (
        _is_from(arrival, operator)
        or _is_ours(arrival, evidence, house_domain)
        or _comes_of_a_notice(arrival, house_domain, operator)
    )


def passed_for(rcpt_to: tuple[str, ...], house_domain: str) -> tuple[str, ...]:
    """Those of PASSED_LOCALS that the mail was sent to."""
    # RFC 5321 section 4.5.1: <postmaster> without a domain is ours, too.
    ours = {local_of(one) for one in rcpt_to if domain_of(one) in (house_domain, "")}
    return tuple(local for local in PASSED_LOCALS if local in ours)


def _is_from(arrival: Arrival, operator: str) -> bool:
    named = (arrival.mail_from, *arrival.facts.from_addresses)
    return bool(operator) and operator.lower() in map(str.lower, named)


def _is_ours(arrival: Arrival, evidence: Evidence, house_domain: str) -> bool:
    """Whether it says that it is ours, or our key says so."""
    signed = any(one.result is Result.PASS and one.domain == house_domain for one in evidence.dkim)
    named = domain_of(arrival.facts.message_id.rstrip(">"))
    return signed or house_domain in (named, *arrival.facts.sender_domains)


def _comes_of_a_notice(arrival: Arrival, house_domain: str, operator: str) -> bool:
    """Whether it answers a notice, or returns one: passed on, it would come again."""
    if carries_a_notice(arrival.raw, house_domain):
        return True
    # A bounce need not return what it is about, but says whom it could not reach.
    bounce = not arrival.mail_from or arrival.headers.has("x-failed-recipients")
    return bounce and bool(operator) and operator.lower().encode() in arrival.raw.lower()

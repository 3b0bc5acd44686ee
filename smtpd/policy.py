"""The house rules, in the order they are asked. The first that objects wins.

Rules are pure: facts in, verdict out. `because` never holds an address, since it is
logged and shown; `setting` names the setting that would change the verdict.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta

from config.checks_settings import ChecksSettings
from config.settings import FILING_LOCALS, HouseSettings
from smtpd import replies
from smtpd.addresses import domain_of, local_of, untagged
from smtpd.category import A_PERSON, Category, Kind
from smtpd.evidence import BY_OURSELVES, Evidence, Result, Scan
from smtpd.facts import Facts
from smtpd.mail import Action, Arrival, Verdict
from smtpd.noticeid import names_a_notice
from smtpd.replies import Reply
from smtpd.returnpath import ticket_of
from smtpd.robots import own_loop


class RecipientClass(enum.StrEnum):
    """What an address of the envelope is to us."""

    ANSWERING = "answering"  # a person gets an answer
    FILING = "filing"  # reports, complaints and bounces: kept, never answered
    UNKNOWN = "unknown"  # refused: this server relays for nobody


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """Who we are, and whom we answer."""

    email_address: str
    aliases: tuple[str, ...]
    domain: str
    mx_hostname: str
    allowed: tuple[str, ...]
    blocked: tuple[str, ...]
    unproven_sender: str  # "hold" or "reject"
    testing_answer_unproven: bool
    answer_unaddressed: bool
    max_age_to_answer_s: int
    received_max: int
    spam_hold_score: float
    spam_reject_score: float
    language: str  # of the second line that a refused person reads
    return_path_key: bytes

    @classmethod
    def of(
        cls,
        settings: HouseSettings,
        checks: ChecksSettings,
        *,
        language: str,
        return_path_key: bytes,
    ) -> House:
        """The house that the settings describe."""
        return cls(
            email_address=settings.email_address.lower(),
            aliases=tuple(alias.lower() for alias in settings.email_aliases),
            domain=settings.email_domain,
            mx_hostname=settings.mx_hostname,
            allowed=tuple(entry.lower() for entry in settings.allowed_senders),
            blocked=tuple(entry.lower() for entry in settings.blocked_senders),
            unproven_sender=settings.unproven_sender,
            testing_answer_unproven=settings.testing_answer_unproven,
            answer_unaddressed=settings.answer_unaddressed,
            max_age_to_answer_s=settings.max_age_to_answer,
            received_max=settings.received_max,
            spam_hold_score=checks.spam_hold_score,
            spam_reject_score=checks.spam_reject_score,
            language=language,
            return_path_key=return_path_key,
        )

    def classify(self, address: str) -> RecipientClass:
        """What the address is to us, whatever the case it is written in."""
        local, domain = local_of(address), domain_of(address)
        # RFC 5321 section 4.5.1: <postmaster> without a domain is always known.
        if local in FILING_LOCALS and (domain == self.domain or address.lower() == "postmaster"):
            return RecipientClass.FILING
        if ticket_of(address, self.return_path_key, self.domain):
            return RecipientClass.FILING
        if untagged(address) in (self.email_address, *self.aliases):
            return RecipientClass.ANSWERING
        return RecipientClass.UNKNOWN

    def is_ours(self, address: str) -> bool:
        """Whether only this server may send in the address's name."""
        return domain_of(address) == self.domain or (
            self.classify(address) is RecipientClass.ANSWERING
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """All that a rule may look at, made once."""

    arrival: Arrival
    evidence: Evidence
    house: House
    classes: frozenset[RecipientClass]  # of the recipients

    @property
    def facts(self) -> Facts:
        return self.arrival.facts

    @property
    def kind(self) -> Kind:
        """What kind of mail its marks make it; our own mail has other robots' marks, too."""
        looped = own_loop(self.arrival.headers, self.facts.message_id, self.house.domain)
        return looped or self.facts.kind


Rule = Callable[[Case], Verdict | None]


def too_many_hops(case: Case) -> Verdict | None:
    # RFC 5321 section 6.3 asks for at least 100; fewer stop a two-robot loop sooner.
    if case.facts.hops <= case.house.received_max:
        return None
    return _reject(replies.LOOP, "too many Received fields", "RECEIVED_MAX")


def virus_found(case: Case) -> Verdict | None:
    virus = case.evidence.virus
    if virus.scan is not Scan.FOUND:
        return None
    return _reject(replies.VIRUS, f"the virus scanner found {virus.name}", "CLAMD_HOST")


def scanner_away(case: Case) -> Verdict | None:
    if case.evidence.virus.scan is not Scan.AWAY:
        return None
    return _defer(replies.SCANNER_AWAY, "the virus scanner gave no answer", "CLAMD_HOST")


def only_for_filing(case: Case) -> Verdict | None:
    if RecipientClass.ANSWERING in case.classes:
        return None
    return _keep("it is for a filing address only", case.kind)


def null_sender(case: Case) -> Verdict | None:
    # RFC 3834 section 2: never answer what has no sender; RFC 5321: never refuse it for that.
    return None if case.arrival.mail_from else _keep("its sender is the null sender", case.kind)


def our_name_from_outside(case: Case) -> Verdict | None:
    house, known = case.house, case.facts
    ours = house.domain in known.sender_domains or any(
        house.is_ours(address) for address in (case.arrival.mail_from, *known.from_addresses)
    )
    if not ours:
        return None
    # A check that broke off names no domain, and may have been about our signature.
    signed = {one.result for one in case.evidence.dkim if one.domain in (house.domain, "")}
    proven = {one.result for one in case.evidence.dkim if one.domain == house.domain}
    if Result.PASS in proven:
        because = "it is our own mail, signed with our key"
        return _keep(because, Kind(Category.OURS, because))
    if Result.TEMPERROR in signed:
        objection = "it uses our own name, and nobody could tell whether our key signed it"
        return _defer(replies.NO_DNS_ANSWER, objection, "DNS_SERVERS")
    return _reject(replies.OUR_NAME, "it uses our own name and we did not send it", "EMAIL_DOMAIN")


def blocked_sender(case: Case) -> Verdict | None:
    if not any(_listed(address, case.house.blocked) for address in _senders(case)):
        return None
    return _reject(replies.SENDER_BLOCKED, "the sender is blocked", "BLOCKED_SENDERS")


def sender_not_allowed(case: Case) -> Verdict | None:
    # The author decides: anybody can write an allowed address into MAIL FROM.
    if "*" in case.house.allowed or _listed(case.facts.author, case.house.allowed):
        return None
    return _reject(
        replies.SENDER_NOT_ALLOWED,
        "the sender is not on the list of allowed ones",
        "ALLOWED_SENDERS",
    )


def answers_a_notice(case: Case) -> Verdict | None:
    # The operator's own answer, or their robot's: answering it would begin a loop.
    named = (*case.facts.in_reply_to, *case.facts.references)
    if not names_a_notice(named, case.house.domain):
        return None
    return _keep("it answers a mail to the operator")


def not_from_a_person(case: Case) -> Verdict | None:
    kind = case.kind
    return None if kind.from_a_person else _keep(kind.because, kind)


def not_addressed_to_us(case: Case) -> Verdict | None:
    # RFC 5230 section 4.5: who finds us in neither field got here by a list or a blind copy.
    known, house = case.facts, case.house
    if house.answer_unaddressed or not known.addressed_whole:
        return None
    if RecipientClass.ANSWERING in map(house.classify, known.addressed):
        return None
    return _hold("none of our addresses is in To or Cc", "ANSWER_UNADDRESSED")


def sender_takes_no_mail(case: Case) -> Verdict | None:
    # RFC 7505 section 4.2: where no reply and no bounce can go, nobody wrote.
    if not case.evidence.null_mx:
        return None
    return _reject(replies.NULL_MX, "the domain of MAIL FROM has a null MX", "")


def spam_refused(case: Case) -> Verdict | None:
    spam = case.evidence.spam
    if spam.by == BY_OURSELVES or spam.score < case.house.spam_reject_score:
        return None  # a guess of our own holds, it does not refuse
    return _reject(replies.SPAM, _spam(case), "SPAM_REJECT_SCORE")


def spam_held(case: Case) -> Verdict | None:
    if case.evidence.spam.score < case.house.spam_hold_score:
        return None
    return _hold(_spam(case), "SPAM_HOLD_SCORE")


def _spam(case: Case) -> str:
    spam = case.evidence.spam
    return f"its spam score is {spam.score:g}, by {spam.by}: {', '.join(spam.signs) or 'no signs'}"


def not_scanned(case: Case) -> Verdict | None:
    if case.evidence.virus.scan is not Scan.TOO_LARGE:
        return None
    return _hold("it is larger than the virus scanner takes", "CLAMD_HOST")


def too_old(case: Case) -> Verdict | None:
    limit = timedelta(seconds=case.house.max_age_to_answer_s)
    if case.facts.date is None or case.arrival.received_at - case.facts.date <= limit:
        return None
    return _hold("its Date is too long ago", "MAX_AGE_TO_ANSWER")


def unproven_and_refused(case: Case) -> Verdict | None:
    # Before the marks of robots and lists, which anybody can write into an unproven mail.
    verdict = _unproven(case)
    return None if verdict is None or verdict.takes_the_mail else verdict


def unproven_and_held(case: Case) -> Verdict | None:
    return _unproven(case)


def _unproven(case: Case) -> Verdict | None:
    """The one admission rule: the author's domain is proven here, whatever it publishes.

    RFC 9989 section 7.4: a policy of "reject" alone is no reason to refuse.
    """
    house, evidence = case.house, case.evidence
    if not case.facts.author:
        objection = "it has not exactly one author that an answer could go to"
        return _refused_or_held(case, replies.NO_SINGLE_AUTHOR, objection)
    if evidence.aligned or house.testing_answer_unproven:
        return None
    if evidence.undecided:
        objection = "its author is not proven, and DNS gave no answer that could still prove it"
        return _defer(replies.NO_DNS_ANSWER, objection, "DNS_SERVERS")
    objection = f"neither SPF nor DKIM proved the domain of its author ({_found(evidence)})"
    if not evidence.client_known:
        # No 5xx rests on an SPF that could not be asked about.
        return _hold(f"{objection}; the client's own address is lost", "TRUSTED_NETWORKS")
    lacking = replies.translated(_lacking(evidence), house.language)
    return _refused_or_held(case, lacking, objection)


def _refused_or_held(case: Case, reply: Reply, objection: str) -> Verdict:
    house = case.house
    if house.unproven_sender == "reject" and not house.testing_answer_unproven:
        return _reject(reply, objection, "UNPROVEN_SENDER")
    return _hold(objection, "UNPROVEN_SENDER")


def _lacking(evidence: Evidence) -> Reply:
    """What the sender's mail service should hear that it lacks."""
    if Result.PASS in (evidence.spf.result, *(one.result for one in evidence.dkim)):
        return replies.UNPROVEN_OTHER
    return replies.UNPROVEN_BROKEN if evidence.dkim else replies.UNPROVEN


def _found(evidence: Evidence) -> str:
    # Without the domains: a person may be known by one, and this is logged.
    dkim = ", ".join(f"DKIM {one.result}" for one in evidence.dkim) or "no DKIM signature"
    return f"SPF {evidence.spf.result}, {dkim}"


RULES: tuple[Rule, ...] = (
    too_many_hops,
    virus_found,
    scanner_away,
    only_for_filing,
    null_sender,
    our_name_from_outside,
    blocked_sender,
    sender_not_allowed,
    sender_takes_no_mail,
    spam_refused,
    unproven_and_refused,
    answers_a_notice,
    not_from_a_person,
    unproven_and_held,
    not_addressed_to_us,
    not_scanned,
    spam_held,
    too_old,
)
# What holds for mail to filing addresses, too.
FOR_ALL_RECIPIENTS = frozenset({too_many_hops, virus_found})


def judge(
    arrival: Arrival, evidence: Evidence, house: House, rules: tuple[Rule, ...] = RULES
) -> Verdict:
    """What becomes of the mail: the first objection, or an answer."""
    case = Case(
        arrival=arrival,
        evidence=evidence,
        house=house,
        classes=frozenset(map(house.classify, arrival.rcpt_to)),
    )
    for rule in rules:
        if verdict := rule(case):
            return _softened(verdict, case, rule)
    return Verdict(action=Action.ANSWER, reply=replies.QUEUED, because="no rule objected")


def _softened(verdict: Verdict, case: Case, rule: Rule) -> Verdict:
    """A refusal as keeping, where somebody is named too who takes nearly everything."""
    refused = verdict.action is Action.REJECT and rule not in FOR_ALL_RECIPIENTS
    if not (refused and RecipientClass.FILING in case.classes):
        return verdict
    because = f"{verdict.because}, and it is for a filing address too"
    return _keep(because, case.kind, verdict.setting)


def _senders(case: Case) -> Iterable[str]:
    return (case.arrival.mail_from, *case.facts.from_addresses)


def _listed(address: str, entries: tuple[str, ...]) -> bool:
    """Whether an entry names the address, its domain, or a domain above that one."""
    address, domain = address.lower(), domain_of(address)
    for entry in entries:
        name = entry.removeprefix("@")
        if "@" in name:
            if address == name:
                return True
        elif name and domain and f".{domain}".endswith(f".{name}"):
            return True
    return False


def _keep(because: str, kind: Kind = A_PERSON, setting: str = "") -> Verdict:
    return Verdict(
        action=Action.KEEP, reply=replies.QUEUED, because=because, setting=setting, kind=kind
    )


def _hold(because: str, setting: str = "") -> Verdict:
    return Verdict(action=Action.HOLD, reply=replies.QUEUED, because=because, setting=setting)


def _reject(reply: Reply, because: str, setting: str) -> Verdict:
    return Verdict(action=Action.REJECT, reply=reply, because=because, setting=setting)


def _defer(reply: Reply, because: str, setting: str) -> Verdict:
    return Verdict(action=Action.DEFER, reply=reply, because=because, setting=setting)

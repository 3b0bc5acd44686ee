"""When to stay silent: pure rules a worker asks before it thinks, and before every resend.

The door has judged some of this already. It is asked again, because a mail may have
come by another way or been released by a person, and because time has passed. What a
person has approved is asked FOR_APPROVED alone: it goes to nobody twice, nor to ourselves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from config.settings import HouseSettings, RelaySettings
from handlers import fuses
from handlers.fuses import FuseLimits
from handlers.letter import Claim, Ending, Exchange, Record, State
from handlers.softsigns import judged, soft_signs
from handlers.store.leading import HAND_BACK, LED
from smtpd.addresses import domain_of, untagged
from smtpd.robots import answers_no_one, own_loop

RESEND_WITHIN = timedelta(hours=72)  # of a reply that is written: as long as relays retry


@dataclass(frozen=True, slots=True, kw_only=True)
class Manners:
    """What the rules need to know about the house."""

    domain: str
    own_addresses: frozenset[str]  # lower case, without +tags
    max_age_to_answer_s: int
    uncertain_allowed: int  # hand-overs of unknown outcome, after which we still try again
    limits: FuseLimits = field(default_factory=FuseLimits)

    @classmethod
    def of(cls, house: HouseSettings, relay: RelaySettings, limits: FuseLimits) -> Manners:
        """The manners that the settings describe."""
        return cls(
            domain=house.email_domain,
            own_addresses=own_addresses(house),
            max_age_to_answer_s=house.max_age_to_answer,
            uncertain_allowed=1 if relay.uncertain_send == "resend" else 0,
            limits=limits,
        )


def own_addresses(house: HouseSettings) -> frozenset[str]:
    """The addresses that answer, in lower case."""
    return frozenset(one.lower() for one in (house.email_address, *house.email_aliases))


def why_silent(claim: Claim, record: Record, manners: Manners) -> Ending | None:
    """How the mail ends without an answer, by its header and its age; None where it may have one.

    Or how it is held: that is no ending yet.
    """
    for rule in FOR_APPROVED if claim.approved else RULES:
        if ending := rule(claim, record, manners):
            return ending
    return None


def why_held(claim: Claim, record: Record, exchange: Exchange, manners: Manners) -> Ending | None:
    """Why a person has to decide, by what the letter says and what was before it."""
    if claim.approved:
        return None
    for rule in WITH_THE_LETTER:
        if ending := rule(record, exchange, manners):
            return ending
    return None


def outcome_unknown(claim: Claim, record: Record, manners: Manners) -> Ending | None:
    if claim.uncertain <= manners.uncertain_allowed:
        return None
    return Ending(
        what=State.HELD,
        because="unknown whether the relay took the reply",
        setting="UNCERTAIN_SEND",
    )


def not_from_a_person(claim: Claim, record: Record, manners: Manners) -> Ending | None:
    # https://www.rfc-editor.org/rfc/rfc3834#section-2
    known = record.arrival.facts
    looped = own_loop(record.arrival.headers, known.message_id, manners.domain)
    kind = looped or known.kind
    if kind.from_a_person:
        return None
    return Ending(what=State.UNANSWERED, because=kind.because, category=kind.category)


def nobody_to_answer(claim: Claim, record: Record, manners: Manners) -> Ending | None:
    if not record.author:
        return _unanswered("it has no author that an answer could go to")
    return None


def nobody_reads_there(claim: Claim, record: Record, manners: Manners) -> Ending | None:
    if answers_no_one(record.author):
        return _unanswered("its author's address is not read by a person")
    return None


def our_own_mail(claim: Claim, record: Record, manners: Manners) -> Ending | None:
    ours = untagged(record.author) in manners.own_addresses
    if domain_of(record.author) != manners.domain and not ours:
        return None
    return _unanswered("its author is this server itself")


def waited_too_long(claim: Claim, record: Record, manners: Manners) -> Ending | None:
    limit = timedelta(seconds=manners.max_age_to_answer_s)
    if record.outgoing is not None:
        limit = max(limit, RESEND_WITHIN)
    if record.fetched_at - claim.owed_since <= limit:
        return None
    return Ending(what=State.HELD, because="it has waited too long", setting="MAX_AGE_TO_ANSWER")


def person_leads(record: Record, exchange: Exchange, manners: Manners) -> Ending | None:
    if not exchange.past.taken_over:
        return None
    return Ending(what=State.HELD, because=LED, setting=HAND_BACK)


def nothing_is_said(record: Record, exchange: Exchange, manners: Manners) -> Ending | None:
    letter = exchange.letter
    if letter.new_text.strip() or letter.subject.strip() or letter.attachments:
        return None
    because = "it has no subject, no text and no attachment"
    return Ending(what=State.HELD, because=because, setting="mail approve")


def looks_like_a_robot(record: Record, exchange: Exchange, manners: Manners) -> Ending | None:
    # Held, not ended: these signs are no proof, and a person may be wronged.
    kind = judged(soft_signs(exchange.letter, record.author, exchange.answered_within_s))
    if kind.from_a_person:
        return None
    return Ending(
        what=State.HELD, because=kind.because, setting="mail approve", category=kind.category
    )


def says_what_we_said(record: Record, exchange: Exchange, manners: Manners) -> Ending | None:
    if not fuses.repeats_us(exchange.letter.new_text, exchange.past):
        return None
    # Our own words come back by a robot or a forwarding: a loop, like what blows a fuse.
    because = "it says what an answer of ours said"
    return Ending(what=State.HELD, because=because, setting="mail approve", fuse="echo")


def fuse_blew(record: Record, exchange: Exchange, manners: Manners) -> Ending | None:
    blown = fuses.blown_by_conversation(exchange, manners.limits, record.arrival.received_at)
    return None if blown is None else blown.ending


Rule = Callable[[Claim, Record, Manners], Ending | None]

RULES: tuple[Rule, ...] = (
    outcome_unknown,
    not_from_a_person,
    nobody_to_answer,
    nobody_reads_there,
    our_own_mail,
    waited_too_long,
)
FOR_APPROVED: tuple[Rule, ...] = (
    outcome_unknown,
    nobody_to_answer,
    our_own_mail,
    waited_too_long,
)
WITH_THE_LETTER: tuple[Callable[[Record, Exchange, Manners], Ending | None], ...] = (
    person_leads,
    nothing_is_said,
    looks_like_a_robot,
    says_what_we_said,
    fuse_blew,
)


def _unanswered(because: str) -> Ending:
    return Ending(what=State.UNANSWERED, because=because)

"""When to stay silent: pure rules a worker asks before it thinks, and before every resend.

The door has judged most of this already. It is asked again, because a mail may have
come by another way or been released by a person, and because time has passed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from config.settings import HouseSettings, RelaySettings
from handlers.letter import Claim, Ending, Record, State
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

    @classmethod
    def of(cls, house: HouseSettings, relay: RelaySettings) -> Manners:
        """The manners that the settings describe."""
        return cls(
            domain=house.email_domain,
            own_addresses=frozenset(
                address.lower() for address in (house.email_address, *house.email_aliases)
            ),
            max_age_to_answer_s=house.max_age_to_answer,
            uncertain_allowed=1 if relay.uncertain_send == "resend" else 0,
        )


def why_silent(claim: Claim, record: Record, manners: Manners) -> Ending | None:
    """How the mail ends without an answer; None when it should get one."""
    for rule in RULES:
        if ending := rule(claim, record, manners):
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
    because = looped or known.bounce or known.automatic or known.mailing_list
    return _unanswered(because) if because else None


def nobody_to_answer(claim: Claim, record: Record, manners: Manners) -> Ending | None:
    if not record.author:
        return _unanswered("it has no author that an answer could go to")
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
    if record.fetched_at - record.arrival.received_at <= limit:
        return None
    return Ending(what=State.HELD, because="it has waited too long", setting="MAX_AGE_TO_ANSWER")


Rule = Callable[[Claim, Record, Manners], Ending | None]

RULES: tuple[Rule, ...] = (
    outcome_unknown,
    not_from_a_person,
    nobody_to_answer,
    our_own_mail,
    waited_too_long,
)


def _unanswered(because: str) -> Ending:
    return Ending(what=State.UNANSWERED, because=because)

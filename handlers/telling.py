"""What the log hears of a mail's stages; addresses as keyed hashes, no content."""

from __future__ import annotations

from handlers.letter import Claim, Letter, State
from smtpd.events import Event, address_hash, log
from smtpd.evidence import Evidence
from smtpd.mail import Action, Arrival, Verdict
from smtpd.replies import kind_of

_VERDICTS = {
    Action.ANSWER: Event.QUEUED,
    Action.HOLD: Event.HELD,
    Action.KEEP: Event.KEPT,
    Action.REJECT: Event.REJECTED,
    Action.DEFER: Event.DEFERRED,
}
ENDINGS = {
    State.ANSWERED: Event.ANSWERED,
    State.UNANSWERED: Event.UNANSWERED,
    State.HELD: Event.HELD,
    State.FAILED: Event.GIVEN_UP,
}


def tell_verdict(arrival: Arrival, evidence: Evidence, verdict: Verdict, ticket_id: str) -> None:
    """A mail was judged; refused, its reply names the same id as reference."""
    # What is taken needs no kind: the reasons to refuse are what is counted.
    kind = "" if verdict.takes_the_mail else kind_of(verdict.reply)
    fields: dict[str, object] = {
        "kind": kind,
        "category": verdict.kind.category if verdict.takes_the_mail else "",
        "because": verdict.because,
        "setting": verdict.setting,
        "ticket": ticket_id,
        "proven_by": evidence.proven_by,
    }
    log(
        _VERDICTS[verdict.action],
        **{name: value for name, value in fields.items() if value},
        sender=address_hash(arrival.mail_from),
        size_bytes=len(arrival.raw),
    )


def tell_letter(claim: Claim, letter: Letter) -> None:
    """A mail was read."""
    log(
        Event.READ,
        ticket=claim.id,
        characters=len(letter.new_text),
        attachments=len(letter.attachments),
    )

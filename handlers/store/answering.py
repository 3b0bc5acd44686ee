"""What an answer writes down: its reply, the mails that are answered along with it, its ending."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from handlers.letter import Answer, Claim, Ending, Exchange, Letter, NoticeKind, Outgoing, State
from handlers.store import claiming, recalling, story, turns
from handlers.store.filing import file_along
from handlers.store.leading import LED, is_led
from handlers.store.models import MAIL, USER
from handlers.store.notices import note, of_sender, shortened, taken
from handlers.store.sealing import Hasher, Seal
from smtpd.errors import Postponed

_WRITE = claiming.ADVANCE.where(MAIL.c.state == State.WAITING)
_COUNT_ANSWER = (
    update(USER).where(USER.c.person == bindparam("who")).values(answers=USER.c.answers + 1)
)
_ALONG = update(MAIL).where(
    MAIL.c.id == bindparam("one"), MAIL.c.state == State.WAITING, MAIL.c.worker.is_(None)
)
_PLACE = select(
    MAIL.c.correspondent,
    MAIL.c.domain_hash,
    MAIL.c.thread_id,
    is_led(MAIL.c.thread_id).label("led"),
).where(claiming.HOLDING)

# The id in a relay's 250, where it is long enough to be nobody else's:
# "250 Ok 0102018f-…-000000", "250 2.0.0 Ok: queued as 4XyZ12345"
_RELAY_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=+-]{14,200}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hand:
    """What seals and hashes what is written down about one claim, and when that is."""

    claim: Claim
    seal: Seal
    hasher: Hasher
    now: datetime

    def line(self, event: str, because: str, email_id: str = "") -> dict[str, Any]:
        """A line of the mail's story, or of the story of one that is answered along with it."""
        return story.line(email_id or self.claim.id, event, because, self.seal, self.now)

    def because(self, because: str, email_id: str = "") -> bytes:
        """The sealed reason of an ending."""
        return self.seal.close_text(because, f"because:{email_id or self.claim.id}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What was thought and written for one claim."""

    exchange: Exchange
    answer: Answer
    outgoing: Outgoing

    @property
    def because(self) -> str:
        """How it came to be."""
        answer = self.answer
        return f"{answer.model}, {answer.tokens_used} tokens, {answer.processing_time_s:.1f} s"


def write_down(connection: Connection, hand: Hand, reply: Reply, *, last: bool) -> bool:
    """Store the reply, and end what is answered along with it.

    False, and nothing stored, where meanwhile more has come, or a person of the house, and
    this is not the last time. Raises ClaimLost; Postponed for the person even then.
    """
    claim, exchange = hand.claim, reply.exchange
    led = claiming.held(connection, claim, _PLACE).led and not claim.approved
    if led and last:
        raise Postponed(LED)  # the next attempt finds it led, and holds it
    if not last and (led or recalling.more_waits(connection, claim, exchange.waited)):
        return False
    values = {
        "state": State.WRITTEN.value,
        "ai_response": hand.seal.close_text(reply.answer.text, f"ai_response:{claim.id}"),
        "outgoing": hand.seal.close(
            recalling.pack_outgoing(reply.outgoing), f"outgoing:{claim.id}"
        ),
        "outgoing_hash": hand.hasher.message_id(reply.outgoing.message_id),
    }
    claiming.advance(connection, claim, _WRITE, **values)
    story.tell(connection, [hand.line("written", reply.because)])
    for email_id, letter in exchange.along:
        _end_along(connection, hand, email_id, letter)
    if exchange.person_seen:
        turns.person_was_seen(connection, claim)
    return True


def _end_along(connection: Connection, hand: Hand, email_id: str, letter: Letter) -> None:
    """End a mail whose answer stands in this claim's reply, unless it is over meanwhile."""
    because = f"answered with {hand.claim.id}"
    values = {
        "state": State.ANSWERED.value,
        "because": hand.because(because, email_id),
        "setting": "",
        "processed": True,
        "ended_at": hand.now,
    }
    if connection.execute(_ALONG, {"one": email_id, **values}).rowcount == 1:
        file_along(connection, email_id, hand.claim.person, letter, hand.seal, hand.now)
        # An attempt of its own may have begun a turn: there is one answer.
        turns.undo(connection, email_id)
        story.tell(connection, [hand.line(State.ANSWERED, because, email_id)])


def close(connection: Connection, hand: Hand, ending: Ending) -> None:
    """Write the ending and its reason, and what the operator should know. Raises ClaimLost."""
    claim = hand.claim
    answered = ending.what is State.ANSWERED
    values: dict[str, Any] = {
        "state": ending.what.value,
        "because": hand.because(ending.because),
        "setting": ending.setting,
        "processed": ending.what is not State.HELD,
        "response_sent": answered,
        "ended_at": hand.now,
    }
    if ending.category:
        values["category"] = ending.category
    if answered and (relay_id := _relay_id(ending.because)):
        values["relay_id_hash"] = hand.hasher.relay_id(relay_id)
    if not answered:
        values["reserved"] = False
    place = claiming.held(connection, claim, _PLACE)
    claiming.let_go(connection, claim, **values)
    story.tell(connection, [hand.line(ending.what, ending.because)])
    if answered:
        connection.execute(_COUNT_ANSWER, {"who": claim.person})
    else:
        turns.undo(connection, claim.id)
        _tell_operator(connection, hand, ending, place)


def _tell_operator(connection: Connection, hand: Hand, ending: Ending, place: Any) -> None:
    ident = hand.claim.id
    if ending.fuse:
        scope = {"domain": place.domain_hash, "all": ""}.get(ending.fuse, place.thread_id)
        key = f"{ending.fuse}:{scope}:{hand.now:%Y-%m-%d}"
        if ending.fuse in ("sender", "newcomer"):
            key = of_sender(place.correspondent, hand.now)
        told = f"{ending.because}: mail {ident} is held ({ending.setting})"
        note(connection, NoticeKind.FUSE, key, told, hand.now, ident)
    elif ending.what is State.HELD and place.led:
        note(connection, NoticeKind.TAKEN, ident, taken(ident), hand.now, ident)
    if ending.what is State.FAILED:
        told = f"mail {ident} was given up: {shortened(ending.because)}"
        note(connection, NoticeKind.PARKED, f"{ident}:{hand.claim.number}", told, hand.now, ident)


def _relay_id(receipt: str) -> str:
    return max(_RELAY_ID.findall(receipt), key=len, default="")

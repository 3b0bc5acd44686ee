"""An arrival made ready for the database: hashed and sealed. Pure but for the nonces.

Its identity is two keyed hashes: the *delivery* (what a peer repeats that missed our
250) and the *message* (what comes by another way: SMTP and IMAP, two aliases).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from handlers import subjects
from handlers.letter import NoticeKind, State
from handlers.passing import is_for_operator
from handlers.store.sealing import Hasher, Seal
from handlers.threadtag import thread_of
from smtpd.addresses import domain_of, untagged
from smtpd.evidence import Evidence
from smtpd.mail import Action, Arrival, Verdict

# What a hop adds or a resend changes is no part of a delivery's identity.
_TRACE_FIELDS = frozenset(
    {"received", "return-path", "delivered-to", "authentication-results", "dkim-signature"}
)
# Larger messages are kept in pieces, in a transaction of their own, so that one of
# them does not hold up a batch of small ones.
CHUNK_BYTES = 256 * 1024

_FIRST_STATE = {
    Action.ANSWER: State.WAITING,
    Action.HOLD: State.HELD,
    Action.KEEP: State.KEPT,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """What keeping a mail has to know about the house."""

    domain: str = ""
    own_addresses: frozenset[str] = frozenset()  # lower case, without +tags
    operator: str = ""  # the address that is told what a person should know
    persons: frozenset[str] = frozenset()  # addresses of people of the house
    waiting_max: int = 0  # mails of one sender; 0 is no limit
    burst_window_s: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Clues:
    """What a mail says about the conversation it belongs to.

    Empty for mail that nobody was proven to have written.
    """

    references: tuple[str, ...] = ()  # hashes of the Message-IDs it names, the newest last
    relay_ids: tuple[str, ...] = ()  # of their left halves: some relays write their own
    tags: tuple[str, ...] = ()  # conversations named in +tags of its recipients
    answers_another: bool = False  # its subject says so
    of_operator: bool = False  # a person of the house wrote it: no conversation is closed to them


@dataclass(frozen=True, slots=True)
class Told:
    """What the operator is told once the mail is kept: not of one that was kept before."""

    kind: NoticeKind
    key: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """One arrival made ready for the database: hashed, sealed, not yet written."""

    row: dict[str, Any]
    chunks: tuple[bytes, ...]
    seal: Seal
    clues: Clues = field(default_factory=Clues)
    addressees: tuple[str, ...] = ()  # keyed hashes of who else may see it
    for_operator: bool = False  # the operator is sent it
    told: Told | None = None

    def ending(self, state: State, because: str, setting: str = "", **more: Any) -> Keeping:
        """The same mail, not to be worked on after all."""
        row = {
            **self.row,
            "state": state.value,
            "because": self.seal.close_text(because, f"because:{self.row['id']}"),
            "setting": setting,
            "processed": state is not State.HELD,
            "ended_at": self.row["received_date"],
            "not_before": None,
            **more,
        }
        return replace(self, row=row)


def prepare(
    arrival: Arrival,
    evidence: Evidence,
    verdict: Verdict,
    *,
    seal: Seal,
    hasher: Hasher,
    house: House,
) -> Keeping:
    """Hash and seal an arrival. Pure but for the nonces; linear in the size of the mail."""
    small = len(arrival.raw) <= CHUNK_BYTES
    owed = _FIRST_STATE[verdict.action] is State.WAITING
    row = {
        **_as_it_came(arrival, evidence, seal, whole=small),
        **_looked_up_by(arrival, evidence, hasher),
        **_standing(arrival, verdict, seal, house),
    }
    return Keeping(
        row=row,
        chunks=() if small else tuple(_sealed_chunks(arrival, seal)),
        seal=seal,
        # Only whose author is proven may join a thread: a forger could read it otherwise.
        clues=_clues(arrival, hasher, house) if owed else Clues(),
        addressees=_addressees(arrival, hasher, house) if owed else (),
        for_operator=is_for_operator(arrival, evidence, house.domain, house.operator),
    )


def _author(arrival: Arrival) -> str:
    return arrival.facts.author or arrival.mail_from


def _as_it_came(arrival: Arrival, evidence: Evidence, seal: Seal, *, whole: bool) -> dict[str, Any]:
    """The columns of what arrived and what was found out about it, sealed."""
    ident, facts = arrival.id, arrival.facts
    envelope = {
        "mail_from": arrival.mail_from,
        "rcpt_to": arrival.rcpt_to,
        "peer": asdict(arrival.peer) if arrival.peer else None,
    }
    return {
        "id": ident,
        "message_id": seal.close_text(facts.message_id, f"message_id:{ident}"),
        "sender": seal.close_text(_author(arrival), f"sender:{ident}"),
        "recipient": seal.close_text(", ".join(arrival.rcpt_to), f"recipient:{ident}"),
        "subject": seal.close_text(facts.subject, f"subject:{ident}"),
        "received_date": arrival.received_at,
        "envelope": seal.close_text(json.dumps(envelope), f"envelope:{ident}"),
        "raw": seal.close(arrival.raw, f"raw:{ident}") if whole else None,
        "raw_bytes": len(arrival.raw),
        "evidence": seal.close_text(json.dumps(asdict(evidence)), f"evidence:{ident}"),
    }


def _looked_up_by(arrival: Arrival, evidence: Evidence, hasher: Hasher) -> dict[str, str]:
    """The columns by which the mail is found, and what is counted by: keyed hashes."""
    author = _author(arrival)
    facts = arrival.facts
    subject = subjects.same(facts.subject)
    organisation = evidence.dmarc.organisation or domain_of(author)
    return {
        "person": hasher.address(author),
        "correspondent": hasher.address(untagged(author)),
        "domain_hash": hasher("domain", organisation.encode("utf-8", "replace")),
        "subject_hash": hasher("subject", subject.encode("utf-8", "replace")) if subject else "",
        "theme_hash": hasher("theme", subjects.theme(subject).encode("utf-8", "replace")),
        "delivery_hash": _delivery_hash(arrival, hasher),
        "message_hash": _message_hash(arrival, hasher),
        "message_id_hash": hasher.message_id(facts.message_id or arrival.id),
    }


def _standing(arrival: Arrival, verdict: Verdict, seal: Seal, house: House) -> dict[str, Any]:
    """The columns of where the mail stands, by the verdict alone: in a thread of its own."""
    state = _FIRST_STATE[verdict.action]
    owed = state is State.WAITING
    return {
        "thread_id": arrival.id,
        "joined_by": "",
        "category": verdict.kind.category.value,
        "state": state.value,
        "because": seal.close_text(verdict.because, f"because:{arrival.id}"),
        "setting": verdict.setting,
        "processed": state is State.KEPT,
        "response_sent": False,
        "urgent": False,
        "not_before": _not_before(arrival, house) if owed else None,
        "claim": 0,
        "attempts": 0,
        "lost": 0,
        "uncertain": 0,
        "reserved": False,
        "approved": False,
        "by_person": False,
        "ended_at": None if owed else arrival.received_at,
    }


def _not_before(arrival: Arrival, house: House) -> datetime | None:
    if not house.burst_window_s:
        return None
    return arrival.received_at + timedelta(seconds=house.burst_window_s)


def _clues(arrival: Arrival, hasher: Hasher, house: House) -> Clues:
    facts = arrival.facts
    named = (*facts.references, *facts.in_reply_to)
    return Clues(
        references=tuple(map(hasher.message_id, named)),
        relay_ids=tuple(hasher.relay_id(one) for one in named),
        tags=tuple(filter(None, map(thread_of, arrival.rcpt_to))),
        answers_another=subjects.answers_another(facts.subject),
        of_operator=untagged(facts.author) in house.persons,
    )


def _addressees(arrival: Arrival, hasher: Hasher, house: House) -> tuple[str, ...]:
    author = arrival.facts.author.lower()
    others = {
        address
        for address in arrival.facts.addressed
        if address != author and untagged(address) not in house.own_addresses
    }
    return tuple(map(hasher.address, sorted(others)))


def _sealed_chunks(arrival: Arrival, seal: Seal) -> Iterable[bytes]:
    whole = memoryview(arrival.raw)
    for seq, start in enumerate(range(0, len(whole), CHUNK_BYTES)):
        piece = whole[start : start + CHUNK_BYTES]
        yield seal.close(piece, f"raw_chunk:{arrival.id}:{seq}")


def _delivery_hash(arrival: Arrival, hasher: Hasher) -> str:
    headers = arrival.headers
    kept = [
        part
        for name, value in headers.fields
        if name not in _TRACE_FIELDS and not name.startswith("arc-")
        for part in (name.encode(), value)
    ]
    recipients = [address.encode("utf-8", "replace") for address in sorted(arrival.rcpt_to)]
    return hasher(
        "delivery",
        arrival.mail_from.encode("utf-8", "replace"),
        *recipients,
        b"",
        *kept,
        _body(arrival),
    )


def _message_hash(arrival: Arrival, hasher: Hasher) -> str:
    headers = arrival.headers
    named = [
        headers.first(name).encode("utf-8", "replace")
        for name in ("from", "message-id", "date", "subject")
    ]
    return hasher("message", *named, _body(arrival))


def _body(arrival: Arrival) -> memoryview:
    # A view: of a 25 MiB mail every copy counts.
    return memoryview(arrival.raw)[arrival.headers.body_at :]

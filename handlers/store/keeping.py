"""Keeping a mail: rows for a whole batch of arrivals in a few statements.

Idempotent by two keyed hashes. The same *delivery* again (a peer that missed our
250) gives the same ticket. The same *message* by another way (SMTP and IMAP, two
aliases) gets a ticket of its own that is ended at once, so it is answered once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from sqlalchemy import Connection, insert, or_, select, update

from handlers.letter import OWED, State, Ticket
from handlers.store.models import EmailMessage, RawChunk
from handlers.store.opening import insert_into
from handlers.store.sealing import Hasher, Seal
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
class Keeping:
    """One arrival made ready for the database: hashed, sealed, not yet written."""

    row: dict[str, Any]
    chunks: tuple[bytes, ...]
    references: tuple[str, ...]  # hashes of the messages it answers
    copy_because: bytes  # sealed reason, should it be a copy


def prepare(
    arrival: Arrival,
    evidence: Evidence,
    verdict: Verdict,
    *,
    person: str,
    seal: Seal,
    hasher: Hasher,
) -> Keeping:
    """Hash and seal an arrival. Pure but for the nonces; linear in the size of the mail."""
    ident = arrival.id
    facts = arrival.facts
    state = _FIRST_STATE[verdict.action]
    answered = [hasher.message_id(one) for one in (*facts.references, *facts.in_reply_to)]
    envelope = {
        "mail_from": arrival.mail_from,
        "rcpt_to": arrival.rcpt_to,
        "peer": asdict(arrival.peer) if arrival.peer else None,
    }
    small = len(arrival.raw) <= CHUNK_BYTES
    row = {
        "id": ident,
        "thread_id": ident,
        "message_id": seal.close_text(facts.message_id, f"message_id:{ident}"),
        "sender": seal.close_text(facts.author or arrival.mail_from, f"sender:{ident}"),
        "recipient": seal.close_text(", ".join(arrival.rcpt_to), f"recipient:{ident}"),
        "subject": seal.close_text(facts.subject, f"subject:{ident}"),
        "received_date": arrival.received_at,
        "processed": state is State.KEPT,
        "response_sent": False,
        "person": person,
        "envelope": seal.close_text(json.dumps(envelope), f"envelope:{ident}"),
        "raw": seal.close(arrival.raw, f"raw:{ident}") if small else None,
        "raw_bytes": len(arrival.raw),
        "evidence": seal.close_text(json.dumps(asdict(evidence)), f"evidence:{ident}"),
        "delivery_hash": _delivery_hash(arrival, hasher),
        "message_hash": _message_hash(arrival, hasher),
        "message_id_hash": hasher.message_id(facts.message_id or ident),
        "state": state.value,
        "because": seal.close_text(verdict.because, f"because:{ident}"),
        "setting": verdict.setting,
        "urgent": False,
        "claim": 0,
        "attempts": 0,
        "lost": 0,
        "uncertain": 0,
        "reserved": False,
        "ended_at": arrival.received_at if state is State.KEPT else None,
    }
    return Keeping(
        row=row,
        chunks=() if small else tuple(_sealed_chunks(arrival, seal)),
        # Only who may be answered may join a thread: a forger could read it otherwise.
        references=tuple(answered) if verdict.action is Action.ANSWER else (),
        copy_because=seal.close_text("the same message was kept before", f"because:{ident}"),
    )


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


def keep_all(connection: Connection, items: Sequence[Keeping]) -> Sequence[Ticket]:
    """Write what is new; give each arrival its ticket."""
    fresh = _join_threads(connection, items)
    written = _insert(connection, fresh)
    tickets = [
        _ticket(keeping) if keeping.row["id"] in written else _kept_before(connection, keeping)
        for keeping in fresh
    ]
    chunks = [
        {"email_id": keeping.row["id"], "seq": seq, "sealed": sealed}
        for keeping, ticket in zip(fresh, tickets, strict=True)
        if ticket.id == keeping.row["id"]
        for seq, sealed in enumerate(keeping.chunks)
    ]
    if chunks:
        connection.execute(insert(RawChunk), chunks)
    return tickets


def _ticket(keeping: Keeping) -> Ticket:
    row = keeping.row
    return Ticket(id=row["id"], owed=row["state"] in OWED, urgent=row["urgent"])


def _insert(connection: Connection, items: Sequence[Keeping]) -> set[str]:
    statement = insert_into(connection)(EmailMessage).on_conflict_do_nothing()
    inserted = connection.execute(
        statement.returning(EmailMessage.id), [keeping.row for keeping in items]
    )
    return set(inserted.scalars())


def _kept_before(connection: Connection, keeping: Keeping) -> Ticket:
    """The ticket of a delivery we know, or a new one, ended, for a copy of a message."""
    row = keeping.row
    query = select(EmailMessage.id, EmailMessage.state, EmailMessage.urgent).where(
        EmailMessage.delivery_hash == row["delivery_hash"]
    )
    known = connection.execute(query).one_or_none()
    if row["state"] == State.WAITING and _supersede(connection, row):
        connection.execute(insert(EmailMessage), [row])
        return _ticket(keeping)
    if known:
        return Ticket(id=known.id, owed=known.state in OWED, urgent=known.urgent)
    copy = {
        **row,
        "message_hash": None,
        "state": State.UNANSWERED.value,
        "because": keeping.copy_because,
        "setting": "",
        "processed": True,
        "ended_at": row["received_date"],
    }
    connection.execute(insert(EmailMessage), [copy])
    return Ticket(id=row["id"], owed=False)


def _supersede(connection: Connection, row: dict[str, Any]) -> bool:
    """Whether the first of its kind only lies filed or held: then this one is answered.

    An unproven copy that came first, a forwarder's or a forger's with the same envelope,
    must not silence the proven original. What a worker has held may have been answered.
    """
    first = (
        update(EmailMessage)
        .where(EmailMessage.message_hash == row["message_hash"])
        .where(EmailMessage.state.in_((State.HELD, State.KEPT)), EmailMessage.claim == 0)
        .values(message_hash=None)
    )
    if connection.execute(first).rowcount != 1:
        return False
    same_delivery = EmailMessage.delivery_hash == row["delivery_hash"]
    connection.execute(update(EmailMessage).where(same_delivery).values(delivery_hash=None))
    return True


def _join_threads(connection: Connection, items: Sequence[Keeping]) -> list[Keeping]:
    """Put each arrival into the thread of the same person that it refers to, if there is one."""
    asked = {reference for keeping in items for reference in keeping.references}
    if not asked:
        return list(items)
    query = select(
        EmailMessage.person,
        EmailMessage.thread_id,
        EmailMessage.message_id_hash,
        EmailMessage.outgoing_hash,
    ).where(
        or_(EmailMessage.message_id_hash.in_(asked), EmailMessage.outgoing_hash.in_(asked)),
        # A forger may have given a mail we never worked on the Message-ID of a real one.
        or_(EmailMessage.state.in_(OWED), EmailMessage.claim > 0),
    )
    threads: dict[tuple[str, str], str] = {}
    for row in connection.execute(query):
        for reference in (row.message_id_hash, row.outgoing_hash):
            threads[row.person, reference] = row.thread_id
    return [_joined(keeping, threads) for keeping in items]


def _joined(keeping: Keeping, threads: dict[tuple[str, str], str]) -> Keeping:
    person = keeping.row["person"]
    for reference in reversed(keeping.references):  # the newest first
        if thread_id := threads.get((person, reference)):
            return replace(keeping, row={**keeping.row, "thread_id": thread_id, "urgent": True})
    return keeping

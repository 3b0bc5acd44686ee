"""Keeping a mail: rows for a whole batch of arrivals in a few statements.

Idempotent by the hashes of handlers/store/preparing.py. The same delivery again gives the
same ticket. The same message by another way gets a ticket of its own that is ended at once,
so it is answered once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, insert, select, update

from handlers.letter import OWED, NoticeKind, State, Ticket
from handlers.store.models import ADDRESSEE, EmailMessage, RawChunk
from handlers.store.notices import note
from handlers.store.opening import insert_into
from handlers.store.preparing import House, Keeping, Told
from handlers.store.seating import seated


def keep_all(connection: Connection, items: Sequence[Keeping], house: House) -> Sequence[Ticket]:
    """Write what is new; give each arrival its ticket."""
    fresh = seated(connection, items, house)
    written = _insert(connection, fresh)
    tickets = [
        _ticket(keeping) if keeping.row["id"] in written else _kept_before(connection, keeping)
        for keeping in fresh
    ]
    kept = [
        keeping
        for keeping, ticket in zip(fresh, tickets, strict=True)
        if ticket.id == keeping.row["id"]
    ]
    _add_what_belongs_to(connection, kept)
    for keeping in fresh:
        if keeping.told and keeping.row["id"] in written:
            _tell(connection, keeping.row, keeping.told)
    return tickets


def _tell(connection: Connection, row: dict[str, Any], told: Told) -> None:
    note(connection, told.kind, told.key, told.text, row["received_date"], row["id"])


def _add_what_belongs_to(connection: Connection, kept: Sequence[Keeping]) -> None:
    """The pieces of large messages, who may see what, and what the operator is sent."""
    chunks = [
        {"email_id": keeping.row["id"], "seq": seq, "sealed": sealed}
        for keeping in kept
        for seq, sealed in enumerate(keeping.chunks)
    ]
    if chunks:
        connection.execute(insert(RawChunk), chunks)
    seen_by = [
        {"email_id": keeping.row["id"], "person": person}
        for keeping in kept
        for person in keeping.addressees
    ]
    if seen_by:
        connection.execute(insert(ADDRESSEE), seen_by)
    for keeping in kept:
        if keeping.for_operator:
            ident, at = keeping.row["id"], keeping.row["received_date"]
            note(connection, NoticeKind.FILED, ident, f"mail {ident} was filed", at, ident)


def _ticket(keeping: Keeping) -> Ticket:
    row = keeping.row
    owed = row["state"] in OWED
    return Ticket(id=row["id"], owed=owed, urgent=row["urgent"], due=row["not_before"])


def _insert(connection: Connection, items: Sequence[Keeping]) -> set[str]:
    statement = insert_into(connection)(EmailMessage).on_conflict_do_nothing()
    inserted = connection.execute(
        statement.returning(EmailMessage.id), [keeping.row for keeping in items]
    )
    return set(inserted.scalars())


def _kept_before(connection: Connection, keeping: Keeping) -> Ticket:
    """The ticket of a delivery we know, or a new one, ended, for a copy of a message."""
    row = keeping.row
    query = select(EmailMessage.id, EmailMessage.state, EmailMessage.urgent)
    same_delivery = query.where(EmailMessage.delivery_hash == row["delivery_hash"])
    known = connection.execute(same_delivery).one_or_none()
    if row["state"] == State.WAITING and _supersede(connection, keeping):
        connection.execute(insert(EmailMessage), [row])
        return _ticket(keeping)
    if known:
        return Ticket(id=known.id, owed=known.state in OWED, urgent=known.urgent)
    same_message = query.where(EmailMessage.message_hash == row["message_hash"])
    first = connection.execute(same_message).one()
    copy = keeping.ending(State.UNANSWERED, f"the same message as {first.id}", message_hash=None)
    connection.execute(insert(EmailMessage), [copy.row])
    return Ticket(id=row["id"], owed=False)


def _supersede(connection: Connection, keeping: Keeping) -> bool:
    """Whether the first of its kind only lies filed or held: then this one is answered.

    An unproven copy that came first, a forwarder's or a forger's with the same envelope,
    must not silence the proven original. What a worker has held may have been answered.
    """
    row = keeping.row
    taken_back = (
        update(EmailMessage)
        .where(EmailMessage.message_hash == row["message_hash"])
        .where(EmailMessage.state.in_((State.HELD, State.KEPT)), EmailMessage.claim == 0)
        .values(message_hash=None)
        .returning(EmailMessage.id, EmailMessage.person, EmailMessage.state)
    )
    first = connection.execute(taken_back).one_or_none()
    if first is None:
        return False
    if first.state == State.HELD and first.person == row["person"]:
        _end_held(connection, first.id, keeping)
    same_delivery = EmailMessage.delivery_hash == row["delivery_hash"]
    connection.execute(update(EmailMessage).where(same_delivery).values(delivery_hash=None))
    return True


def _end_held(connection: Connection, first: str, keeping: Keeping) -> None:
    """Nobody decides about the first any more: it would be answered a second time."""
    because = f"the same message as {keeping.row['id']}"
    over = update(EmailMessage).where(EmailMessage.id == first)
    values = {
        "state": State.UNANSWERED.value,
        "because": keeping.seal.close_text(because, f"because:{first}"),
        "setting": "",
        "processed": True,
        "ended_at": keeping.row["received_date"],
    }
    connection.execute(over.values(**values))

"""Which conversation an arriving mail belongs to: by what it answers, and by who may know that.

A stranger who names a message of somebody else's begins a conversation of their own, and is
not told. Steps inside the transaction that keeps the mail.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Boolean, Connection, and_, bindparam, exists, or_, select

from handlers.letter import State
from handlers.store.models import ADDRESSEE, IS_OWED, MAIL
from handlers.store.preparing import Keeping

# How long a subject alone finds its conversation: longer, and "Question" would be another one.
_SUBJECT_LASTS = timedelta(days=14)
# Of one person's mails on one subject; a worked-on one is rarely as far back.
_LOOKED_AT = 100

# A mail we never worked on may be a forger's, with the Message-ID of a real one.
_WORKED_ON = or_(IS_OWED, MAIL.c.claim > 0)
# Others' mail is not even looked at: a stranger may name what a thousand of them have in common.
_NOT_OTHERS = or_(
    MAIL.c.person.in_(bindparam("persons", expanding=True)),
    exists().where(
        ADDRESSEE.c.email_id == MAIL.c.id,
        ADDRESSEE.c.person.in_(bindparam("persons", expanding=True)),
    ),
    bindparam("of_operator", type_=Boolean),
)
_KNOWN = select(
    MAIL.c.id,
    MAIL.c.person,
    MAIL.c.thread_id,
    MAIL.c.message_id_hash,
    MAIL.c.outgoing_hash,
    MAIL.c.relay_id_hash,
).where(_NOT_OTHERS)
_BY_REFERENCE = _KNOWN.where(
    or_(
        MAIL.c.message_id_hash.in_(bindparam("asked", expanding=True)),
        MAIL.c.outgoing_hash.in_(bindparam("asked", expanding=True)),
    ),
    _WORKED_ON,
)
_BY_RELAY_ID = _KNOWN.where(MAIL.c.relay_id_hash.in_(bindparam("asked", expanding=True)))
_BY_TAG = _KNOWN.where(MAIL.c.thread_id.in_(bindparam("asked", expanding=True)), _WORKED_ON)
# By an index, newest first: whoever writes thousands on one subject slows nobody's mail.
_ON_SUBJECT = (
    select(MAIL.c.thread_id, MAIL.c.received_date, _WORKED_ON.label("worked_on"))
    .where(MAIL.c.subject_hash == bindparam("subject"), MAIL.c.person == bindparam("who"))
    .where(MAIL.c.received_date > bindparam("since"))
    .order_by(MAIL.c.received_date.desc())
    .limit(_LOOKED_AT)
    .subquery()
)
_BY_SUBJECT = (
    select(_ON_SUBJECT.c.thread_id)
    .where(_ON_SUBJECT.c.worked_on)
    .order_by(_ON_SUBJECT.c.received_date.desc())
    .limit(1)
)
_MAY_SEE = select(ADDRESSEE.c.email_id, ADDRESSEE.c.person).where(
    and_(
        ADDRESSEE.c.email_id.in_(bindparam("mails", expanding=True)),
        ADDRESSEE.c.person.in_(bindparam("persons", expanding=True)),
    )
)


@dataclass(frozen=True, slots=True)
class Joined:
    """The conversation a mail found, how, and whether it is somebody else's."""

    thread_id: str
    by: str  # ours, relay, tag, theirs or subject
    of_others: bool


@dataclass(frozen=True, slots=True)
class _Message:
    """A message that is here, as one way of naming it finds it."""

    email_id: str
    person: str
    thread_id: str
    by: str


def joined(connection: Connection, items: Sequence[Keeping]) -> list[Joined | None]:
    """For each of the mails the conversation it belongs to, None where it begins one."""
    known = _named(connection, items)
    visible = _visible(connection, items, known)
    found: list[Joined | None] = []
    for one in items:
        thread = _by_name(one, known, visible)
        # A mail of the same batch is not in the database yet, and may be answered already.
        thread_id = thread.thread_id if thread else one.row["id"]
        if one.row["state"] == State.WAITING:
            itself = _Message(one.row["id"], one.row["person"], thread_id, "theirs")
            known.setdefault(one.row["message_id_hash"], []).append(itself)
        found.append(thread)
    return [
        _by_subject(connection, one) if thread is None and _goes_by_subject(one) else thread
        for one, thread in zip(items, found, strict=True)
    ]


def _goes_by_subject(keeping: Keeping) -> bool:
    return keeping.clues.answers_another and bool(keeping.row["subject_hash"])


def _named(connection: Connection, items: Sequence[Keeping]) -> dict[str, list[_Message]]:
    """The messages that are named in any way, by that name."""
    known: dict[str, list[_Message]] = {}
    whose = {
        "persons": list({one.row["person"] for one in items}),
        "of_operator": any(one.clues.of_operator for one in items),
    }
    for query, attribute in (
        (_BY_REFERENCE, "references"),
        (_BY_RELAY_ID, "relay_ids"),
        (_BY_TAG, "tags"),
    ):
        asked = {name for one in items for name in getattr(one.clues, attribute)}
        for row in connection.execute(query, {"asked": list(asked), **whose}) if asked else ():
            for by, name in (
                ("ours", row.outgoing_hash),
                ("theirs", row.message_id_hash),
                ("relay", row.relay_id_hash),
                ("tag", row.thread_id),
            ):
                if name in asked:
                    message = _Message(row.id, row.person, row.thread_id, by)
                    known.setdefault(name, []).append(message)
    return known


def _visible(
    connection: Connection, items: Sequence[Keeping], known: Mapping[str, Iterable[_Message]]
) -> set[tuple[str, str]]:
    """Who may see which of these messages though they did not write it: mail and person."""
    persons = {one.row["person"] for one in items}
    mails = {
        message.email_id
        for messages in known.values()
        for message in messages
        if persons - {message.person}
    }
    if not mails:
        return set()
    rows = connection.execute(_MAY_SEE, {"mails": list(mails), "persons": list(persons)})
    return {(row.email_id, row.person) for row in rows}


def _by_name(
    keeping: Keeping,
    known: Mapping[str, Sequence[_Message]],
    visible: set[tuple[str, str]],
) -> Joined | None:
    person, clues = keeping.row["person"], keeping.clues
    names = (*clues.tags, *reversed(clues.references), *reversed(clues.relay_ids))
    for name in names:
        # Their own before one that somebody sent them, perhaps under the same Message-ID.
        for message in sorted(known.get(name, ()), key=lambda one: one.person != person):
            own = message.person == person
            if own or (message.email_id, person) in visible or clues.of_operator:
                return Joined(message.thread_id, message.by, of_others=not own)
    return None


def _by_subject(connection: Connection, keeping: Keeping) -> Joined | None:
    row = keeping.row
    asked = {
        "subject": row["subject_hash"],
        "who": row["person"],
        "since": row["received_date"] - _SUBJECT_LASTS,
    }
    thread_id = connection.execute(_BY_SUBJECT, asked).scalar_one_or_none()
    return None if thread_id is None else Joined(thread_id, "subject", of_others=False)

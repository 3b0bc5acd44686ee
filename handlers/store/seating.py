"""Where an arriving mail takes its place: its conversation, its author's standing, the line.

What needs the database to be decided, and can be decided without reading the mail. Steps
inside the transaction that keeps it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Connection, bindparam, func, select

from handlers.letter import NoticeKind, State
from handlers.store import turns, users
from handlers.store.joining import Joined, joined
from handlers.store.leading import HAND_BACK, LED, lead
from handlers.store.models import IS_OWED, MAIL, TAKEN_OVER
from handlers.store.notices import of_sender, taken
from handlers.store.preparing import House, Keeping, Told
from handlers.store.users import Standing, Status
from smtpd.category import Category

_WAITING = (
    select(MAIL.c.correspondent, func.count().label("mails"))
    .where(MAIL.c.correspondent.in_(bindparam("senders", expanding=True)), IS_OWED)
    .group_by(MAIL.c.correspondent)
)
_OURS = select(MAIL.c.outgoing_hash).where(
    MAIL.c.outgoing_hash.in_(bindparam("asked", expanding=True))
)
_LED = select(TAKEN_OVER.c.thread_id).where(
    TAKEN_OVER.c.thread_id.in_(bindparam("threads", expanding=True))
)


def seated(connection: Connection, items: Sequence[Keeping], house: House) -> list[Keeping]:
    """The mails as they are written down: in their conversations, waiting, held or ended."""
    threads = joined(connection, items)
    seated = [_in_thread(one, thread) for one, thread in zip(items, threads, strict=True)]
    for step in (_our_own, _led_by_a_person, _by_standing):
        seated = step(connection, seated)
    return _in_line(connection, seated, house.waiting_max)


def _in_thread(keeping: Keeping, thread: Joined | None) -> Keeping:
    if thread is None:
        return keeping
    row = {"thread_id": thread.thread_id, "joined_by": thread.by}
    if keeping.clues.of_operator and thread.of_others:
        because = "a person of the house answered in this conversation"
        return keeping.ending(State.KEPT, because, **row)
    # Somebody is in a conversation with us, and waits.
    return replace(keeping, row={**keeping.row, **row, "urgent": True})


def _waiting(items: Sequence[Keeping]) -> list[Keeping]:
    return [one for one in items if one.row["state"] == State.WAITING]


def _our_own(connection: Connection, items: Sequence[Keeping]) -> list[Keeping]:
    """File what has a Message-ID of ours: it is an answer of ours come back."""
    asked = [one.row["message_id_hash"] for one in _waiting(items)]
    if not asked:
        return list(items)
    ours = set(connection.execute(_OURS, {"asked": asked}).scalars())
    return [
        one.ending(State.KEPT, "its Message-ID is one of ours", category=Category.OURS.value)
        if one.row["state"] == State.WAITING and one.row["message_id_hash"] in ours
        else one
        for one in items
    ]


def _led_by_a_person(connection: Connection, items: Sequence[Keeping]) -> list[Keeping]:
    """Where a person of the house answered, the AI is silent; where one does, from now on."""
    for one in items:
        if one.clues.of_operator and one.row["state"] == State.KEPT:
            lead(connection, one.row["thread_id"], one.row["received_date"])
    threads = [one.row["thread_id"] for one in _waiting(items) if one.row["joined_by"]]
    if not threads:
        return list(items)
    led = set(connection.execute(_LED, {"threads": threads}).scalars())
    return [
        _held_for_a_person(one)
        if one.row["state"] == State.WAITING and one.row["thread_id"] in led
        else one
        for one in items
    ]


def _held_for_a_person(keeping: Keeping) -> Keeping:
    ident = keeping.row["id"]
    held = keeping.ending(State.HELD, LED, HAND_BACK)
    return replace(held, told=Told(NoticeKind.TAKEN, ident, taken(ident)))


def _by_standing(connection: Connection, items: Sequence[Keeping]) -> list[Keeping]:
    """Let VIPs go first; end mail of those whom nobody answers."""
    waiting = _waiting(items)
    asked = {one.row[name] for one in waiting for name in ("person", "correspondent")}
    known = users.standing(connection, list(asked)) if asked else {}
    if not known:
        return list(items)
    return [
        _as_it_stands(one, known) if one.row["state"] == State.WAITING else one for one in items
    ]


def _as_it_stands(keeping: Keeping, known: dict[str, Standing]) -> Keeping:
    names = {keeping.row["person"], keeping.row["correspondent"]}
    standing = turns.together(known[name] for name in names if name in known)
    if ending := turns.refused(standing):
        return keeping.ending(ending.what, ending.because, ending.setting)
    if standing.status is Status.VIP:
        return replace(keeping, row={**keeping.row, "urgent": True})
    return keeping


def _in_line(connection: Connection, items: Sequence[Keeping], waiting_max: int) -> list[Keeping]:
    """Hold what comes from a sender of whom enough waits already."""
    senders = {one.row["correspondent"] for one in _waiting(items)}
    if not senders or not waiting_max:
        return list(items)
    rows = connection.execute(_WAITING, {"senders": list(senders)})
    waits = Counter({row.correspondent: row.mails for row in rows})
    placed = []
    for one in items:
        if one.row["state"] == State.WAITING:
            sender = one.row["correspondent"]
            waits[sender] += 1
            if waits[sender] > waiting_max:
                placed.append(_one_too_many(one, waiting_max))
                continue
        placed.append(one)
    return placed


def _one_too_many(keeping: Keeping, waiting_max: int) -> Keeping:
    row = keeping.row
    because = f"{waiting_max} mails of its sender wait for their answers already"
    told = Told(
        NoticeKind.CROWD,
        of_sender(row["correspondent"], row["received_date"]),
        f"{because}: mail {row['id']} is held, and so are the next ones of today",
    )
    return replace(keeping.ending(State.HELD, because, "SENDER_WAITING_MAX"), told=told)

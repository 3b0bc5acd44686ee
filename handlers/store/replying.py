"""A person's own answer: stored like the AI's, and from then on the conversation is theirs."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from handlers.letter import Outgoing, State
from handlers.store import story
from handlers.store.deciding import AGAIN, UNREADABLE, compare_and_set, stands
from handlers.store.leading import lead
from handlers.store.people import stored_seal
from handlers.store.recalling import pack_outgoing
from handlers.store.sealing import Hasher, Seal
from smtpd.errors import Permanent

# Not what has an answer, or one on its way: the reader would get two from one address.
ANSWERABLE = (State.HELD, State.FAILED, State.KEPT, State.UNANSWERED, State.WAITING)
_BECAUSE = "a person wrote the answer"


def answerable(connection: Connection, email_id: str) -> Any:
    """The mail's row. Raises Permanent, saying why, where a person's answer comes too late."""
    found = stands(connection, email_id)
    if found.state not in ANSWERABLE:
        what = "it is answered" if found.state == State.ANSWERED else "its answer is on its way out"
        raise Permanent(
            f"{what}; to add something, silence the AI with server.py mail take-over {email_id} "
            "and write from a mailbox of your own"
        )
    return found


def reply(
    connection: Connection,
    email_id: str,
    *,
    text: str,
    outgoing: Outgoing,
    master: Seal,
    hasher: Hasher,
    now: datetime,
) -> None:
    """Store a person's answer for a worker to send. Raises Permanent where it comes too late."""
    found = answerable(connection, email_id)
    seal = stored_seal(connection, found.person, master)
    if seal is None:
        raise Permanent(UNREADABLE)
    values = {
        **AGAIN,
        "lost": 0,
        "state": State.WRITTEN.value,
        "because": seal.close_text(_BECAUSE, f"because:{email_id}"),
        "approved": True,
        "decided_at": now,
        "by_person": True,
        "ai_response": seal.close_text(text, f"ai_response:{email_id}"),
        "outgoing": seal.close(pack_outgoing(outgoing), f"outgoing:{email_id}"),
        "outgoing_hash": hasher.message_id(outgoing.message_id),
    }
    compare_and_set(connection, email_id, ANSWERABLE, "answered by a person", values)
    lead(connection, found.thread_id, now)
    story.tell(connection, [story.line(email_id, "replied", _BECAUSE, seal, now)])

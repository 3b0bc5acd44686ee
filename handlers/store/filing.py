"""Filing a letter: its texts, its attachments, and the person who wrote it."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, bindparam, insert, update

from handlers.letter import Claim, Letter
from handlers.store import claiming
from handlers.store.models import MAIL, USER, Attachment
from handlers.store.opening import insert_into
from handlers.store.sealing import Seal

_FILE = claiming.ADVANCE.where(MAIL.c.new_text.is_(None))
_FILE_ALONG = update(MAIL).where(MAIL.c.id == bindparam("one"), MAIL.c.new_text.is_(None))


def file_letter(
    connection: Connection, *, claim: Claim, letter: Letter, seal: Seal, now: datetime
) -> None:
    """File what was read; a second reading of the same mail changes nothing."""
    texts = _sealed_texts(claim.id, letter, seal)
    if connection.execute(_FILE, {**claiming.named(claim), **texts}).rowcount == 1:
        _file_attachments(connection, claim.id, letter, seal)
        _note_author(connection, claim.person, letter, seal, now)


def file_along(
    connection: Connection, ident: str, person: str, letter: Letter, seal: Seal, now: datetime
) -> None:
    """The same for a mail without a claim, which an attempt of its own may have filed before."""
    texts = _sealed_texts(ident, letter, seal)
    if connection.execute(_FILE_ALONG, {"one": ident, **texts}).rowcount == 1:
        _file_attachments(connection, ident, letter, seal)
        _note_author(connection, person, letter, seal, now)


def _sealed_texts(ident: str, letter: Letter, seal: Seal) -> dict[str, bytes]:
    return {
        "body_text": seal.close_text(letter.body_text, f"body_text:{ident}"),
        "body_html": seal.close_text(letter.body_html, f"body_html:{ident}"),
        "new_text": seal.close_text(letter.new_text, f"new_text:{ident}"),
    }


def _file_attachments(connection: Connection, ident: str, letter: Letter, seal: Seal) -> None:
    rows = [
        {
            "email_id": ident,
            "seq": seq,
            "filename": seal.close_text(file.filename, f"attachment.filename:{ident}:{seq}"),
            "content_type": seal.close_text(file.content_type, f"attachment.type:{ident}:{seq}"),
            "size": file.size,
            "sha256": seal.close_text(file.sha256, f"attachment.sha256:{ident}:{seq}"),
            "text": seal.close_text(file.text, f"attachment.text:{ident}:{seq}"),
            "what_was_read": file.what_was_read,
            "because": seal.close_text(file.because, f"attachment.because:{ident}:{seq}"),
        }
        for seq, file in enumerate(letter.attachments)
    ]
    if rows:
        connection.execute(insert(Attachment), rows)


def _note_author(
    connection: Connection, person: str, letter: Letter, seal: Seal, now: datetime
) -> None:
    """Count the mail for the person who wrote it, whom we may not have met before."""
    connection.execute(
        _meet(insert_into(connection)),
        {
            "person": person,
            "address": seal.close_text(letter.sender, f"user.address:{person}"),
            "name": seal.close_text(letter.sender_name, f"user.name:{person}"),
            "language": "",
            "format": "",
            "status": "normal",
            "first_seen": now,
            "last_seen": now,
            "mails": 1,
            "answers": 0,
        },
    )


@cache
def _meet(insert_into_dialect: Any) -> Any:
    """The statement that notes a person's mail, the first one or another."""
    statement = insert_into_dialect(USER)
    return statement.on_conflict_do_update(
        index_elements=[USER.c.person],
        set_={"last_seen": statement.excluded.last_seen, "mails": USER.c.mails + 1},
    )

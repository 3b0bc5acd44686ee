"""A mail read for a person who waits: in a cell of its own, as a worker would read it."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial

from config.desk import Desk
from config.settings import Settings
from handlers.letter import Letter, Record
from handlers.reading import CellReader, ReadingCaps
from handlers.store import looking
from smtpd.cell import Cell
from smtpd.errors import Permanent, Runaway, Temporary


async def record_of(desk: Desk, email_id: str) -> Record:
    """The mail as it came. Raises Permanent where there is none, or its author is erased."""
    now = datetime.now(UTC)
    return await desk.see(partial(looking.record, email_id=email_id, master=desk.master, now=now))


async def letter_of(settings: Settings, record: Record) -> tuple[Letter, str]:
    """The letter, and why its text is missing; "" where it is not."""
    worker = settings.worker
    cell = Cell(1, worker.cell_timeout, worker.cell_memory_bytes, preload=("handlers.reading",))
    reader = CellReader(cell, ReadingCaps(attachment_bytes=worker.max_attachment_size))
    try:
        await cell.start()
        return await reader.read(record.arrival), ""
    except (Permanent, Runaway, Temporary) as error:
        # Just what nobody can read is what a person looks at.
        return _without_text(record), error.because
    finally:
        await cell.stop()


def _without_text(record: Record) -> Letter:
    known = record.arrival.facts
    return Letter(
        sender=known.author,
        sender_name=known.author_name,
        subject=known.subject,
        message_id=known.message_id,
        references=tuple(dict.fromkeys(known.references + known.in_reply_to)),
        body_text="",
        body_html="",
        new_text="",
    )

"""The story of a mail: what happened to it after its arrival, line by line, sealed as it is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert

from handlers.store.models import Story
from handlers.store.sealing import Seal

_TELL = insert(Story)


def line(email_id: str, event: str, because: str, seal: Seal, now: datetime) -> dict[str, Any]:
    """The row of one thing that happened, and why."""
    told = seal.close_text(because, f"story:{email_id}")
    return {"email_id": email_id, "at": now, "event": event, "because": told}


def tell(connection: Connection, lines: Sequence[dict[str, Any]]) -> None:
    """Add these lines, each to its mail's story."""
    connection.execute(_TELL, lines)

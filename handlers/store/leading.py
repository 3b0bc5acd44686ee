"""Conversations that a person of the house leads: the AI is silent in them."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, exists

from handlers.store.models import TAKEN_OVER
from handlers.store.opening import insert_into

LED = "a person of the house leads this conversation"
HAND_BACK = "mail hand-back"  # the command that ends it


def is_led(thread_id: ColumnElement[Any]) -> ColumnElement[bool]:
    """Whether somebody leads the conversation with this id."""
    return exists().where(TAKEN_OVER.c.thread_id == thread_id)


def lead(connection: Connection, thread_id: str, at: datetime) -> bool:
    """Have a person lead the conversation from now on; False where one does already."""
    row = {"thread_id": thread_id, "at": at}
    return connection.execute(_lead(insert_into(connection)), row).rowcount == 1


@cache
def _lead(insert_into_dialect: Any) -> Any:
    return insert_into_dialect(TAKEN_OVER).on_conflict_do_nothing()

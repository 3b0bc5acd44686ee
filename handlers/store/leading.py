"""Conversations that a person of the house leads: the AI is silent in them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, exists

from handlers.store.models import TAKEN_OVER

LED = "a person of the house leads this conversation"
HAND_BACK = "mail hand-back"  # the command that ends it


def is_led(thread_id: ColumnElement[Any]) -> ColumnElement[bool]:
    """Whether somebody leads the conversation with this id."""
    return exists().where(TAKEN_OVER.c.thread_id == thread_id)

"""Alembic's entry: it runs inside the transaction that handlers/store/opening.py holds."""

from __future__ import annotations

from alembic import context

from handlers.store.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,  # SQLite alters a table by copying it
)
context.run_migrations()

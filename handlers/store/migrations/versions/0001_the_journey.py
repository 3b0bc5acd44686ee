"""The tables of the journey: mail, people, keys, heartbeats, rates, stories.

Revision ID: 0001
Revises:
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_IN_LINE = sa.text("state IN ('waiting', 'written', 'sending') AND worker IS NULL")
_CLAIMED = sa.text("worker IS NOT NULL")
_HASHED = sa.text("delivery_hash IS NOT NULL")


def upgrade() -> None:
    op.create_table(
        "email_message",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("message_id", sa.LargeBinary, nullable=False),
        sa.Column("thread_id", sa.String(32), nullable=False),
        sa.Column("sender", sa.LargeBinary, nullable=False),
        sa.Column("recipient", sa.LargeBinary, nullable=False),
        sa.Column("subject", sa.LargeBinary, nullable=False),
        sa.Column("body_text", sa.LargeBinary),
        sa.Column("body_html", sa.LargeBinary),
        sa.Column("received_date", sa.Double, nullable=False),
        sa.Column("processed", sa.Boolean, nullable=False),
        sa.Column("ai_response", sa.LargeBinary),
        sa.Column("response_sent", sa.Boolean, nullable=False),
        sa.Column("person", sa.String(32), nullable=False),
        sa.Column("envelope", sa.LargeBinary, nullable=False),
        sa.Column("raw", sa.LargeBinary),
        sa.Column("raw_bytes", sa.Integer, nullable=False),
        sa.Column("evidence", sa.LargeBinary, nullable=False),
        sa.Column("new_text", sa.LargeBinary),
        sa.Column("delivery_hash", sa.String(32), unique=True),
        sa.Column("message_hash", sa.String(32), unique=True),
        sa.Column("message_id_hash", sa.String(32), nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("because", sa.LargeBinary, nullable=False),
        sa.Column("setting", sa.String(64), nullable=False),
        sa.Column("urgent", sa.Boolean, nullable=False),
        sa.Column("not_before", sa.Double),
        sa.Column("epoch", sa.String(32)),
        sa.Column("claim", sa.Integer, nullable=False),
        sa.Column("worker", sa.String(64)),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("last_attempt", sa.Double),
        sa.Column("lost", sa.Integer, nullable=False),
        sa.Column("uncertain", sa.Integer, nullable=False),
        sa.Column("reserved", sa.Boolean, nullable=False),
        sa.Column("ended_at", sa.Double),
        sa.Column("outgoing", sa.LargeBinary),
        sa.Column("outgoing_hash", sa.String(32)),
    )
    op.create_index(
        "ix_in_line",
        "email_message",
        ["epoch", "id"],
        sqlite_where=_IN_LINE,
        postgresql_where=_IN_LINE,
    )
    op.create_index(
        "ix_claimed",
        "email_message",
        ["worker"],
        sqlite_where=_CLAIMED,
        postgresql_where=_CLAIMED,
    )
    op.create_index(
        "ix_hashed",
        "email_message",
        ["received_date"],
        sqlite_where=_HASHED,
        postgresql_where=_HASHED,
    )
    for column in ("thread_id", "message_id_hash", "outgoing_hash", "person"):
        op.create_index(f"ix_{column}", "email_message", [column])
    op.create_table(
        "raw_chunk",
        sa.Column("email_id", sa.String(32), sa.ForeignKey("email_message.id"), primary_key=True),
        sa.Column("seq", sa.Integer, primary_key=True),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "attachment",
        sa.Column("email_id", sa.String(32), sa.ForeignKey("email_message.id"), primary_key=True),
        sa.Column("seq", sa.Integer, primary_key=True),
        sa.Column("filename", sa.LargeBinary, nullable=False),
        sa.Column("content_type", sa.LargeBinary, nullable=False),
        sa.Column("size", sa.Integer, nullable=False),
        sa.Column("sha256", sa.LargeBinary, nullable=False),
        sa.Column("text", sa.LargeBinary, nullable=False),
        sa.Column("what_was_read", sa.String(64), nullable=False),
        sa.Column("because", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "user_account",
        sa.Column("person", sa.String(32), primary_key=True),
        sa.Column("address", sa.LargeBinary, nullable=False),
        sa.Column("name", sa.LargeBinary, nullable=False),
        sa.Column("language", sa.String(16), nullable=False),
        sa.Column("format", sa.String(8), nullable=False),
        sa.Column("status", sa.String(8), nullable=False),
        sa.Column("answers_per_hour", sa.Integer),
        sa.Column("first_seen", sa.Double, nullable=False),
        sa.Column("last_seen", sa.Double, nullable=False),
        sa.Column("mails", sa.Integer, nullable=False),
        sa.Column("answers", sa.Integer, nullable=False),
    )
    for table, key in (("person_key", "person"), ("house_key", "name")):
        op.create_table(
            table,
            sa.Column(key, sa.String(32), primary_key=True),
            sa.Column("wrapped", sa.LargeBinary, nullable=False),
        )
    op.create_table(
        "heartbeat",
        sa.Column("worker", sa.String(64), primary_key=True),
        sa.Column("seen_at", sa.Double, nullable=False),
    )
    op.create_table(
        "rate",
        sa.Column("scope", sa.String(32), primary_key=True),
        sa.Column("minutes", sa.Text, nullable=False),
    )
    op.create_table(
        "story",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("email_id", sa.String(32), sa.ForeignKey("email_message.id"), nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("event", sa.String(16), nullable=False),
        sa.Column("because", sa.LargeBinary, nullable=False),
    )
    op.create_index("ix_story_email_id", "story", ["email_id"])


def downgrade() -> None:
    for table in (
        "story",
        "rate",
        "heartbeat",
        "house_key",
        "person_key",
        "user_account",
        "attachment",
        "raw_chunk",
        "email_message",
    ):
        op.drop_table(table)

"""When not to answer, who may see what, and whom to tell.

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_MAIL = "email_message"
_OWED = sa.text("state IN ('waiting', 'written', 'sending')")
_UNDECIDED = sa.text("state IN ('held', 'failed')")
_UNTOLD = sa.text("sent_at IS NULL")


def _added() -> tuple[sa.Column[object], ...]:
    """What a mail gains. Hashes of mail that is here already are not known: no rule needs them."""
    return (
        sa.Column("category", sa.String(16), nullable=False, server_default="person"),
        sa.Column("correspondent", sa.String(32), nullable=False, server_default=""),
        sa.Column("domain_hash", sa.String(32), nullable=False, server_default=""),
        sa.Column("subject_hash", sa.String(32), nullable=False, server_default=""),
        sa.Column("theme_hash", sa.String(32), nullable=False, server_default=""),
        sa.Column("joined_by", sa.String(8), nullable=False, server_default=""),
        sa.Column("approved", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("decided_at", sa.Double),
        sa.Column("relay_id_hash", sa.String(32)),
        sa.Column("by_person", sa.Boolean, nullable=False, server_default=sa.false()),
    )


def upgrade() -> None:
    for column in _added():
        op.add_column(_MAIL, column)
    op.create_index("ix_relay_id_hash", _MAIL, ["relay_id_hash"])
    op.create_index("ix_subject_hash", _MAIL, ["subject_hash", "person", "received_date"])
    for index, columns, where in (
        ("ix_waiting", ["correspondent"], _OWED),
        ("ix_undecided", ["ended_at"], _UNDECIDED),
    ):
        op.create_index(index, _MAIL, columns, sqlite_where=where, postgresql_where=where)
    op.execute("UPDATE email_message SET ended_at = received_date WHERE state = 'held'")
    op.create_table(
        "addressee",
        sa.Column("email_id", sa.String(32), sa.ForeignKey("email_message.id"), primary_key=True),
        sa.Column("person", sa.String(32), primary_key=True),
    )
    op.create_table(
        "turn",
        sa.Column("email_id", sa.String(32), primary_key=True),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("correspondent", sa.String(32), nullable=False),
        sa.Column("domain_hash", sa.String(32), nullable=False),
        sa.Column("thread_id", sa.String(32), nullable=False),
        sa.Column("subject_hash", sa.String(32), nullable=False),
        sa.Column("theme_hash", sa.String(32), nullable=False),
        sa.Column("person_seen", sa.Boolean, nullable=False),
    )
    op.create_index("ix_turn_at", "turn", ["at"])
    op.create_index("ix_turn_thread_id", "turn", ["thread_id"])
    op.create_index("ix_turn_correspondent", "turn", ["correspondent", "at"])
    op.create_index("ix_turn_domain_hash", "turn", ["domain_hash", "at"])
    for table, key in (("taken_over", "thread_id"), ("switch", "name")):
        op.create_table(
            table,
            sa.Column(key, sa.String(32), primary_key=True),
            sa.Column("at", sa.Double, nullable=False),
        )
    op.create_table(
        "notice",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("key", sa.String(100), nullable=False, unique=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("email_id", sa.String(32)),
        sa.Column("sent_at", sa.Double),
    )
    op.create_index("ix_untold", "notice", ["id"], sqlite_where=_UNTOLD, postgresql_where=_UNTOLD)


def downgrade() -> None:
    for table in ("notice", "switch", "taken_over", "turn", "addressee"):
        op.drop_table(table)
    for index in ("ix_undecided", "ix_waiting", "ix_subject_hash", "ix_relay_id_hash"):
        op.drop_index(index, _MAIL)
    for column in _added():
        op.drop_column(_MAIL, column.name)

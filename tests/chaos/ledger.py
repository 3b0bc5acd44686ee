"""What the database says, read behind the house's back: while it runs, and just after its death."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from config.database import SQLITE_FILE
from handlers.letter import OWED
from tests.end_to_end.house import House, until

_OWED = ", ".join(f"'{state}'" for state in OWED)
_SESSIONS = (
    "SELECT count(*) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
)
_SENDING = "SELECT id FROM email_message WHERE state = 'sending'"
_ENDINGS = (
    "SELECT email_id, count(*) FROM story "
    "WHERE event IN ('answered', 'unanswered', 'failed', 'held') GROUP BY email_id"
)


def sending_at_death(house: House) -> set[str]:
    """The tickets that the killed house left in `sending`."""
    if house.settings.get("DATABASE_URL"):
        # PostgreSQL ends the sessions of a dead client by and by, and with them what they began.
        until(lambda: house.sql(_SESSIONS)[0][0] == 0, what="no session", every_s=0.02)
        return {row[0] for row in house.sql(_SENDING)}
    # From a copy: whoever opens SQLite's file first repairs it, and that has to be the house.
    with tempfile.TemporaryDirectory() as folder:
        for name in (SQLITE_FILE, f"{SQLITE_FILE}-wal"):
            if (house.data_folder / name).exists():
                shutil.copy(house.data_folder / name, folder)
        with closing(sqlite3.connect(Path(folder) / SQLITE_FILE)) as database:
            return {row[0] for row in database.execute(_SENDING)}


def owed(house: House) -> int:
    """How many mails have no ending yet."""
    rows = house.sql(f"SELECT count(*) FROM email_message WHERE state IN ({_OWED})")  # noqa: S608
    return int(rows[0][0])


def endings(house: House) -> dict[str, int]:
    """How many endings each mail's story has, by its ticket."""
    return {str(ticket): int(count) for ticket, count in house.sql(_ENDINGS)}

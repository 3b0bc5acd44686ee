"""The stop switch: whether anything is sent at all. Mail is taken and kept all the same."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, func, literal_column, not_, select

from handlers.letter import NoticeKind, State
from handlers.store.models import IS_OWED, IS_UNDECIDED, MAIL, SWITCH
from handlers.store.notices import note
from handlers.store.opening import insert_into

# A file of this name in EMAIL_DATA_DIR does the same as the command: it needs no database.
STOP_FILE = "stop-sending"
STOPPED = "sending is stopped"

_SENDING = "sending"
# For the compare-and-set before DATA: one statement looks at the switch and takes the step.
SENDING_IS_STOPPED: ColumnElement[bool] = (
    select(SWITCH.c.name).where(SWITCH.c.name == literal_column(f"'{_SENDING}'")).exists()
)

_SINCE = select(SWITCH.c.at).where(SWITCH.c.name == _SENDING)
_RESUME = delete(SWITCH).where(SWITCH.c.name == _SENDING)
_COUNT = select(func.count()).select_from(MAIL)
_WAITING = _COUNT.where(IS_OWED, not_(MAIL.c.state == State.SENDING))
# Both conditions, so that the planner sees the partial index of what is undecided.
_HELD = _COUNT.where(IS_UNDECIDED, MAIL.c.state == State.HELD)
_FAILED = _COUNT.where(IS_UNDECIDED, MAIL.c.state == State.FAILED)
_LEAVING = _COUNT.where(IS_OWED, MAIL.c.state == State.SENDING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """How much is on its way out, and whether it may go."""

    stopped_since: datetime | None
    waiting: int  # mails that are owed an answer
    leaving: int  # mails whose reply the relay may be taking at this moment
    held: int  # mails that a person has to decide on
    failed: int  # mails that kept failing
    stopped_by_file: bool = False  # of the installation that looked

    @property
    def stopped(self) -> bool:
        return self.stopped_by_file or self.stopped_since is not None


def stop(connection: Connection, now: datetime) -> bool:
    """Stop sending until resume(); False where it was stopped already."""
    row = {"name": _SENDING, "at": now}
    if connection.execute(_stop(insert_into(connection)), row).rowcount != 1:
        return False
    text = "Sending was stopped. Mail is taken and kept as ever; nothing leaves until `resume`."
    note(connection, NoticeKind.STOP, f"stopped {now.isoformat()}", text, now)
    return True


def resume(connection: Connection, now: datetime) -> bool:
    """Let what waits leave again; False where sending was not stopped."""
    if connection.execute(_RESUME).rowcount != 1:
        return False
    text = "Sending goes on: what waited is sent."
    note(connection, NoticeKind.STOP, f"resumed {now.isoformat()}", text, now)
    return True


def remove_stop_file(file: Path) -> bool:
    """Remove the file that stops this installation; whether it was there. Raises OSError."""
    try:
        file.unlink()
    except FileNotFoundError:
        return False
    return True


def stopped_since(connection: Connection) -> datetime | None:
    """When sending was stopped, None where it is not."""
    since: datetime | None = connection.execute(_SINCE).scalar_one_or_none()
    return since


def traffic(connection: Connection) -> Traffic:
    """What waits, what leaves, and whether it may."""
    return Traffic(
        stopped_since=stopped_since(connection),
        waiting=connection.execute(_WAITING).scalar_one(),
        leaving=connection.execute(_LEAVING).scalar_one(),
        held=connection.execute(_HELD).scalar_one(),
        failed=connection.execute(_FAILED).scalar_one(),
    )


@cache
def _stop(insert_into_dialect: Any) -> Any:
    return insert_into_dialect(SWITCH).on_conflict_do_nothing()

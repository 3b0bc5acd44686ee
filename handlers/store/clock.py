"""The database's own clock, so that processes on several machines agree on who is alive."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Double
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import FunctionElement


class database_now(FunctionElement[float]):
    """Seconds since 1970 by the database's clock, as it is at this statement."""

    type = Double()
    inherit_cache = True


@compiles(database_now, "postgresql")
def _postgresql_now(_element: database_now, _compiler: Any, **_: Any) -> str:
    return "extract(epoch FROM clock_timestamp())"


@compiles(database_now, "sqlite")
def _sqlite_now(_element: database_now, _compiler: Any, **_: Any) -> str:
    # 2440587.5 is the Julian day of 1970-01-01.
    return "((julianday('now') - 2440587.5) * 86400.0)"

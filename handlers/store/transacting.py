"""Runs functions of a connection: on the event loop for PostgreSQL, in a thread for SQLite.

An asynchronous driver of SQLite goes to its thread and back several times for each
statement, which costs more than the statements do. Here a transaction goes there once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar, cast

import asyncpg
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from smtpd.errors import Temporary

Result = TypeVar("Result")

# A server that has gone without a word would be waited for as long as TCP goes on trying.
DEADLINE_S = 60.0

# The execution option under which an engine carries its twin for threads.
IN_THREAD = "answermx_in_thread"

# What a database's trouble comes as; asyncpg's own, where SQLAlchemy has not wrapped them:
# while it connects.
DATABASE_ERRORS = (SQLAlchemyError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError)


def in_our_words(error: BaseException) -> Temporary:
    """One of DATABASE_ERRORS, without its statement and parameters."""
    kind = type(getattr(error, "orig", None) or error).__name__
    return Temporary(f"the database could not: {kind}")


async def in_transaction(engine: AsyncEngine, work: Callable[[Connection], Result]) -> Result:
    """What the work gives, once its transaction is committed.

    Raises TimeoutError where PostgreSQL does not answer: it may be committed all the same.
    """
    twin = _twin(engine)
    if twin is not None:
        return await asyncio.to_thread(_commit, twin, work)
    async with asyncio.timeout(DEADLINE_S), engine.begin() as connection:
        return await connection.run_sync(work)


async def reading(engine: AsyncEngine, query: Callable[[Connection], Result]) -> Result:
    """What the query gives; each of its statements sees what is committed at that moment."""
    twin = _twin(engine)
    if twin is not None:
        return await asyncio.to_thread(_read, twin, query)
    async with asyncio.timeout(DEADLINE_S), engine.connect() as connection:
        statements = await connection.execution_options(isolation_level="AUTOCOMMIT")
        return await statements.run_sync(query)


def _twin(engine: AsyncEngine) -> Engine | None:
    return cast("Engine | None", engine.get_execution_options().get(IN_THREAD))


def _commit(twin: Engine, work: Callable[[Connection], Result]) -> Result:
    with twin.begin() as connection:
        return work(connection)


def _read(twin: Engine, query: Callable[[Connection], Result]) -> Result:
    with twin.connect() as connection:
        return query(connection.execution_options(isolation_level="AUTOCOMMIT"))

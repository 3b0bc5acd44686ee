"""Opens the database: engine, migrations, durability, and the house's own keys."""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import URL, Connection, Dialect, create_engine, event, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from handlers.store.models import HouseKey
from handlers.store.sealing import KEY_BYTES, Seal, derived
from handlers.store.transacting import DATABASE_ERRORS, IN_THREAD
from smtpd.errors import Permanent, Temporary

_MIGRATIONS = Path(__file__).parent / "migrations"
# Any constant will do, as long as every process of this house uses the same one.
_MIGRATION_LOCK = 0x416E737765724D58
_REACHED_WITHIN_S = 20.0
# So long a connection rests before it is tried again.
_RESTED_S = 1.0
_RESTING_SINCE = "resting since"
_DURABILITY = ("fsync", "synchronous_commit", "full_page_writes")


@dataclass(frozen=True, slots=True)
class HouseKeys:
    """What this house encrypts and recognises with; never changes once made."""

    master: Seal  # wraps person keys
    hashing: bytes
    return_path: bytes
    api: bytes  # hashes the keys to the HTTP API


def insert_into(connection: Connection) -> Any:  # the two dialects share no base class with it
    """The dialect's INSERT, which knows ON CONFLICT."""
    return postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert


def engine_for(url: URL, connect_args: Mapping[str, Any]) -> AsyncEngine:
    """An engine whose transactions are durable when committed."""
    if url.get_backend_name() == "sqlite":
        return _sqlite_engine(url, connect_args)
    engine = create_async_engine(url, connect_args=dict(connect_args))
    event.listen(engine.sync_engine, "checkin", _note_rest)
    event.listen(engine.sync_engine, "checkout", partial(_wake, engine.sync_engine.dialect))
    return engine


def _sqlite_engine(url: URL, connect_args: Mapping[str, Any]) -> AsyncEngine:
    twin = create_engine(url.set(drivername="sqlite"), connect_args=dict(connect_args))
    engine = create_async_engine(
        url, connect_args=dict(connect_args), execution_options={IN_THREAD: twin}
    )
    for one in (twin, engine.sync_engine):
        event.listen(one, "connect", _prepare_sqlite)
        event.listen(one, "begin", _begin_immediate)
    event.listen(engine.sync_engine, "engine_disposed", lambda _: twin.dispose())
    return engine


def _note_rest(_connection: object, record: ConnectionPoolEntry) -> None:
    record.info[_RESTING_SINCE] = time.monotonic()


def _wake(dialect: Dialect, connection: Any, record: ConnectionPoolEntry, _proxy: object) -> None:
    """Try a connection that rested: a restarted PostgreSQL costs one query, not one failed mail."""
    # Not each time, as pool_pre_ping does: that is three round trips before every query.
    if time.monotonic() - record.info.pop(_RESTING_SINCE, math.inf) < _RESTED_S:
        return
    try:
        dialect.do_ping(connection)
    except dialect.loaded_dbapi.Error:
        raise DisconnectionError from None  # the pool opens another one


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # The driver's own idea of when a transaction begins would let two writers
    # read first and then fail to upgrade: we say BEGIN ourselves.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "busy_timeout=5000",
        "foreign_keys=ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_immediate(connection: Connection) -> None:
    # A reader tells of a beginning too, and would wait there for the writer.
    if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
        connection.exec_driver_sql("BEGIN IMMEDIATE")


async def open_database(engine: AsyncEngine, secret_key: str, *, unsafe: bool) -> HouseKeys:
    """Bring the schema up to date and give the house's keys.

    Raises Temporary, one sentence, when the database cannot be reached, and Permanent
    when it would not be durable or was made with another SECRET_KEY.
    """
    await _reach(engine)
    async with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            await connection.execute(
                text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK}
            )
            if not unsafe:
                await _check_durability(connection)
        await connection.run_sync(_migrate)
        return await connection.run_sync(_house_keys, secret_key)


async def _reach(engine: AsyncEngine) -> None:
    try:
        async with asyncio.timeout(_REACHED_WITHIN_S), engine.connect():
            pass
    except DATABASE_ERRORS as error:
        kind = type(getattr(error, "orig", None) or error).__name__
        raise Temporary(
            f"The database cannot be reached ({kind}): start it, or correct DATABASE_URL, "
            "DB_USER, DB_PASSWORD or EMAIL_DATA_DIR."
        ) from None


async def _check_durability(connection: AsyncConnection) -> None:
    for switch in _DURABILITY:
        value = (await connection.execute(text(f"SHOW {switch}"))).scalar_one()
        if value == "off":
            raise Permanent(
                f"PostgreSQL runs with {switch}=off and would lose mail we said 250 to: "
                f"set {switch}=on in postgresql.conf"
            )


def _migrate(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _house_keys(connection: Connection, secret_key: str) -> HouseKeys:
    master = Seal.of(derived(secret_key.encode(), "answermx master key"))
    root = _house_key(connection, master, "root")
    return HouseKeys(
        master=master,
        hashing=derived(root, "answermx look-up hashes"),
        return_path=derived(root, "answermx return paths"),
        api=derived(root, "answermx api keys"),
    )


def _house_key(connection: Connection, master: Seal, name: str) -> bytes:
    query = select(HouseKey.wrapped).where(HouseKey.name == name)
    place = f"house_key:{name}"
    wrapped = connection.execute(query).scalar_one_or_none()
    if wrapped is None:
        # Under the migration lock (SQLite: the write lock), so it is made once.
        key = os.urandom(KEY_BYTES)
        connection.execute(
            insert_into(connection)(HouseKey).values(name=name, wrapped=master.close(key, place))
        )
        return key
    try:
        return master.open(wrapped, place)
    except Permanent:
        raise Permanent(
            "SECRET_KEY is not the one this database was made with: put the old one back"
        ) from None

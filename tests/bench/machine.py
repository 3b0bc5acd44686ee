"""Where a measurement was made: without this line no figure means anything."""

from __future__ import annotations

import os
import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import asyncpg
import psutil

from tests.servers.postgres import PostgresServer, postgres_program
from tests.servers.process import find_program, run

_SWITCHES = ("fsync", "synchronous_commit", "full_page_writes", "wal_sync_method")
_LIBRARIES = ("sqlalchemy", "asyncpg", "aiosqlite", "redis", "uvloop", "aiohttp", "cryptography")


def describe() -> list[str]:
    """Date, processor, memory, filesystem and versions."""
    libraries = ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
    postfix = run([find_program("postconf"), "-h", "mail_version"]).strip()
    postgres = run([postgres_program("postgres"), "--version"]).split()[2]
    redis = run([find_program("redis-server"), "--version"]).split()[2].removeprefix("v=")
    return [
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        f"{_processor()}, {os.cpu_count()} cores, "
        f"{psutil.virtual_memory().total / 2**30:.0f} GiB, Linux {platform.release()}, "
        f"{_filesystem('/tmp')} under all queues and databases",  # noqa: S108 (only looked at)
        f"load average when it began: {os.getloadavg()[0]:.1f}",
        f"Python {sys.version.split()[0]}, {libraries}",
        f"Postfix {postfix}, PostgreSQL {postgres}, Redis {redis}",
    ]


async def durability(postgres: PostgresServer) -> str:
    """What the databases are told about syncing; PostgreSQL says it itself."""
    connection = await asyncpg.connect(postgres.url(), timeout=10)
    try:
        shown = [f"{name}={await connection.fetchval(f'SHOW {name}')}" for name in _SWITCHES]
    finally:
        await connection.close(timeout=10)
    return f"PostgreSQL {', '.join(shown)}; SQLite journal_mode=WAL, synchronous=FULL"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _filesystem(path: str) -> str:
    mounted = {part.mountpoint: part.fstype for part in psutil.disk_partitions(all=True)}
    here = Path(path)
    while str(here) not in mounted and here != here.parent:
        here = here.parent
    return str(mounted.get(str(here), "unknown filesystem"))

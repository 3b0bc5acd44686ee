"""PostgreSQL with a fresh database for every test."""

from __future__ import annotations

import glob
import itertools
import os
import re
import signal
import subprocess
from pathlib import Path

import asyncpg

from tests.servers.process import (
    HOST,
    NotInstalled,
    Server,
    as_user,
    find_program,
    free_port,
    run,
    running_as_root,
)

SUPERUSER = "postgres"


class PostgresServer(Server):
    """One PostgreSQL on loopback; its databases trust every connection from there.

    fsync is off for functional tests. Benchmarks and kill campaigns start it with
    `fsync=True`, for a commit that is not durable costs nothing and proves nothing.
    """

    name = "postgres"
    user = SUPERUSER
    stop_signal = signal.SIGINT  # fast shutdown: open sessions are ended, not waited for

    def __init__(self, *, fsync: bool = False) -> None:
        super().__init__()
        self.port = free_port()
        self.fsync = fsync
        self._numbers = itertools.count(1)

    @classmethod
    def check_installed(cls) -> None:
        postgres_program("postgres")
        if running_as_root():
            find_program("setpriv")

    def prepare(self) -> None:
        if running_as_root():
            run(["chown", SUPERUSER, str(self.folder)])
        initdb = [postgres_program("initdb"), "-D", str(self._data), "-U", SUPERUSER]
        options = ["-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]
        run([*as_user(self.user), *initdb, *options])

    def command(self) -> list[str]:
        switch = "on" if self.fsync else "off"
        settings = {
            "listen_addresses": HOST,
            "unix_socket_directories": "",
            "max_connections": "200",
            "fsync": switch,
            "synchronous_commit": switch,
            "full_page_writes": switch,
        }
        options = [word for item in settings.items() for word in ("-c", "=".join(item))]
        return [postgres_program("postgres"), "-D", str(self._data), "-p", str(self.port), *options]

    def answers(self) -> bool:
        ready = [postgres_program("pg_isready"), "-q", "-h", HOST, "-p", str(self.port)]
        return subprocess.run(ready, check=False).returncode == 0

    def url(self, database: str = "postgres") -> str:
        """The address of a database, as DATABASE_URL takes it."""
        return f"postgresql://{SUPERUSER}@{HOST}:{self.port}/{database}"

    async def new_database(self, *, template: str = "template1") -> str:
        """Copy a database nobody is connected to; the URL of the copy."""
        name = f"test_{next(self._numbers)}"
        await self._execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return self.url(name)

    async def drop_database(self, url: str) -> None:
        """Remove a database that new_database() made, ending its sessions."""
        await self._execute(f'DROP DATABASE IF EXISTS "{database_name(url)}" WITH (FORCE)')

    async def _execute(self, statement: str) -> None:
        connection = await asyncpg.connect(self.url(), timeout=10)
        try:
            await connection.execute(statement, timeout=30)
        finally:
            await connection.close(timeout=10)

    @property
    def _data(self) -> Path:
        return self.folder / "data"


def database_name(url: str) -> str:
    """The last part of a database URL, for `template=`."""
    return url.rsplit("/", 1)[1]


def postgres_program(name: str) -> str:
    """A program of the newest PostgreSQL here; Debian keeps them out of PATH."""
    found = glob.glob(f"/usr/lib/postgresql/*/bin/{name}")
    if found:
        return max(found, key=lambda path: int(re.findall(r"/(\d+)/bin/", path)[0]))
    try:
        return os.path.realpath(find_program(name))
    except NotInstalled:
        raise NotInstalled("PostgreSQL is not installed") from None

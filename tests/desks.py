"""An administrator's desk for tests: a folder with settings, a database, and command lines."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest
from sqlalchemy import URL, Connection, select

import server
from handlers.store.models import Base
from handlers.store.store import SqlStore
from tests.stores import SECRET, opened, step

Result = TypeVar("Result")

SETTINGS = {
    "AI_API_URL": "http://127.0.0.1:9",
    "EMAIL_ADDRESS": "ai@us.example",
    "EMAIL_ALIASES": "help@else.example",
    "SMTP_HOST": "127.0.0.1",
    "SMTP_SSL": "false",
    "SECRET_KEY": SECRET,
    "DKIM_SIGN": "relay",
}


@dataclass(frozen=True, slots=True)
class Said:
    """What a command gave."""

    code: int
    out: str
    err: str


class DeskForTests:
    """Runs commands as `server.py` would, in this process: one takes no second then."""

    def __init__(
        self,
        url: URL,
        folder: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        self.url = url
        self.folder = folder
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        (folder / "email_data").mkdir()
        monkeypatch.chdir(folder)
        for name in os.environ:
            if name != "PATH":
                monkeypatch.delenv(name)
        told = url.set(drivername=url.get_backend_name()).render_as_string(hide_password=False)
        self.set(**SETTINGS, DATABASE_URL=told, COLUMNS="100")

    def set(self, **settings: str) -> None:
        """Settings for the commands that follow."""
        for name, value in settings.items():
            self._monkeypatch.setenv(name, value)

    def run(self, *arguments: str, typed: bytes = b"") -> Said:
        """One command; `typed` is its standard input."""
        self._monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(typed)))
        self._capsys.readouterr()
        try:
            code = server.main(arguments)
        except SystemExit as ending:  # argparse's own
            code = int(str(ending.code))
        said = self._capsys.readouterr()
        return Said(code, said.out, said.err)

    def store(self, work: Callable[[SqlStore], Awaitable[Result]]) -> Result:
        """What the server's own store does meanwhile."""

        async def doing() -> Result:
            async with opened(self.url) as store:
                return await work(store)

        return asyncio.run(doing())

    def everything(self) -> dict[str, list[object]]:
        """All rows of all tables, to see that nothing has changed."""

        async def read(store: SqlStore) -> dict[str, list[object]]:
            def rows(connection: Connection) -> dict[str, list[object]]:
                return {
                    name: sorted(map(tuple, connection.execute(select(table))), key=repr)
                    for name, table in Base.metadata.tables.items()
                    if name != "heartbeat"
                }

            return await step(store, rows)

        return self.store(read)

"""The house as the administrator starts it: `server.py run` in a folder of its own, with a `.env`.

    with House(settings(relay_port=…, ai_url=…)) as house:      # until it says "listening"
        house.kill(); house.start()                             # the same data, the same port

Needs no pytest. Its folder holds `.env`, `email_data/`, `dkim.pem` and `log` (standard
error, one JSON object a line), and goes with the object.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import asyncpg

from config.database import SQLITE_FILE
from handlers.signing import load_key
from tests.keys import new_key_file, published
from tests.servers.no_names import no_names
from tests.servers.process import HOST, Server, ServerTrouble, find_program, free_port

ROOT = Path(__file__).parents[2]
ADDRESS = "ai@us.example"
END_TIMEOUT_S = 60.0
_MOMENTS = {
    "email_message": ("received_date", "ended_at"),
    "turn": ("at",),
    "user_account": ("first_seen", "last_seen"),
}

Event = dict[str, Any]


def settings(*, relay_port: object, ai_url: object, **more: object) -> dict[str, str]:
    """The settings of a house on loopback; `more` by their names in lower case.

    All caps keep their defaults. Without `smtp_ca_file` the relay is spoken to in the clear.
    """
    named: dict[str, object] = {
        "ai_api_url": ai_url,
        "ai_timeout": 10,
        "email_address": ADDRESS,
        # Without DNS nobody's identity can be proven.
        "testing_answer_unproven": "true",
        "dns_servers": no_names(),
        "listen_host": HOST,
        "listen_port": free_port(),
        # Houses run side by side.
        "api_port": 0,
        "smtp_host": HOST,
        "smtp_port": relay_port,
        "smtp_ssl": str("smtp_ca_file" in more).lower(),
        "dkim_key_file": "dkim.pem",
        "secret_key": secrets.token_urlsafe(48),
        "drain_timeout": 5,
        **more,
    }
    return {name.upper(): str(value) for name, value in named.items()}


class House(Server):
    """One installation: its settings, its data and its process.

    `stop()` drains by SIGTERM, `kill()` is SIGKILL to it and its children; `exit_code` is
    that of the last end. `start()` again serves the same data on the same port.
    `wrapper` stands before the command, e.g. strace's words; it must keep the process id
    (`strace -D`).
    """

    name = "house"

    def __init__(self, settings: Mapping[str, str]) -> None:
        super().__init__()
        self.settings = dict(settings)
        self.wrapper: tuple[str, ...] = ()
        self.exit_code: int | None = None
        self._heard_from = 0
        new_key_file(self.folder / "dkim.pem")

    @classmethod
    def check_installed(cls) -> None:
        """Python is here."""

    @property
    def port(self) -> int:
        return int(self.settings["LISTEN_PORT"])

    @property
    def data_folder(self) -> Path:
        return self.folder / self.settings.get("EMAIL_DATA_DIR", "email_data")

    def prepare(self) -> None:
        """Write `.env`."""
        lines = [f"{name}={value}" for name, value in self.settings.items()]
        env_file = self.folder / ".env"
        env_file.touch(mode=0o600)
        env_file.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def change(self, **changes: object) -> None:
        """Change settings, from the next start on."""
        self.settings |= {name.upper(): str(value) for name, value in changes.items()}
        self.prepare()

    def command(self) -> list[str]:
        words = [sys.executable, str(ROOT / "server.py"), "run"]
        if self.wrapper:
            words = [find_program(self.wrapper[0]), *self.wrapper[1:], *words]
        self._heard_from = len(self.log_text())
        return words

    def answers(self) -> bool:
        return any(event["event"] == "listening" for event in self.events())

    def _end(self) -> None:
        process = self._process
        super()._end()
        if process is not None:
            self.exit_code = process.returncode

    def wait_for_the_end(self, timeout_s: float = END_TIMEOUT_S) -> int:
        """Wait until it ends by itself; its exit code. Raises ServerTrouble."""
        if self._process is None:
            raise ServerTrouble("the house does not run")
        try:
            code = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise ServerTrouble(f"the house still runs\n{self.log_tail()}") from None
        self._end()
        return code

    def refuses(self, **changes: object) -> tuple[int, str]:
        """One start that is expected to fail: exit code, and what it said.

        `changes` are settings of this one start alone.
        """
        self.prepare()
        return self.command_line("run", **changes)

    def command_line(self, *arguments: str, **changes: object) -> tuple[int, str]:
        """One run of `server.py` in its folder: exit code, and what it printed.

        `changes` are settings of this one run alone.
        """
        environ = {"PATH": os.environ["PATH"]}
        environ |= {name.upper(): str(value) for name, value in changes.items()}
        done = subprocess.run(
            [sys.executable, str(ROOT / "server.py"), *arguments],
            cwd=self.folder,
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=END_TIMEOUT_S,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    # What it wrote down.

    def log_text(self) -> str:
        """All it ever wrote to standard error."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def events(self, *, of_all_runs: bool = False) -> list[Event]:
        """The events on its log, of the newest run or of all."""
        said = self.log_text()[0 if of_all_runs else self._heard_from :]
        return [json.loads(line) for line in said.splitlines() if line.startswith("{")]

    def explain(self, email_id: str) -> dict[str, Any]:
        """What `server.py explain ID --json` prints. Raises ServerTrouble."""
        code, said = self.command_line("explain", email_id, "--json")
        if code != 0:
            raise ServerTrouble(f"explain ended with {code}: {said}")
        told: dict[str, Any] = json.loads(said)
        return told

    def dkim_record(self) -> str:
        """Our DKIM key's TXT record, as DNS would give it."""
        return published(load_key(self.folder / "dkim.pem"))

    # Its database, behind its back.

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        """Run one SQL statement on its database; the rows."""
        url = self.settings.get("DATABASE_URL", "")
        if url:
            return asyncio.run(_postgres(url, statement))
        with closing(sqlite3.connect(self.data_folder / SQLITE_FILE, timeout=10)) as database:
            rows = database.execute(statement).fetchall()
            database.commit()
            return rows

    def states(self) -> Counter[str]:
        """How many mails stand in which state."""
        rows = self.sql("SELECT state, count(*) FROM email_message GROUP BY state")
        return Counter(dict(rows))

    def mails(self) -> dict[str, str]:
        """Every mail's state by its ticket's id."""
        return dict(self.sql("SELECT id, state FROM email_message"))

    def notices(self, kind: str) -> list[str]:
        """What the operator is to be told of this kind."""
        rows = self.sql(f"SELECT text FROM notice WHERE kind = '{kind}' ORDER BY id")  # noqa: S608 (a word of ours)
        return [str(row[0]) for row in rows]

    def only(self, state: str) -> dict[str, Any]:
        """What `server.py explain` prints of the one mail in this state."""
        [email_id] = [one for one, found in self.mails().items() if found == state]
        return self.explain(email_id)

    def wait_for(self, *, timeout_s: float = END_TIMEOUT_S, **counts: int) -> None:
        """Wait until so many mails stand in these states. Raises ServerTrouble."""

        def there() -> bool:
            found = self.states()
            return all(found[state] >= count for state, count in counts.items())

        until(there, what=f"{counts} in {self.states()}", timeout_s=timeout_s)

    def forget_delays(self) -> None:
        """Let everything that is owed be due now; the queue hears of it at the next start."""
        self.sql("UPDATE email_message SET not_before = NULL, epoch = NULL WHERE worker IS NULL")

    def age(self, hours: float) -> None:
        """As if all that is here had happened so many hours earlier."""
        for table, columns in _MOMENTS.items():
            earlier = ", ".join(f"{column} = {column} - {hours * 3600}" for column in columns)
            self.sql(f"UPDATE {table} SET {earlier}")  # noqa: S608 (no stranger's words)
        self.sql("DELETE FROM rate")


async def _postgres(url: str, statement: str) -> list[tuple[Any, ...]]:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        return [tuple(row) for row in await connection.fetch(statement, timeout=30)]
    finally:
        await connection.close(timeout=10)


def until(
    probe: Callable[[], bool],
    *,
    what: str,
    timeout_s: float = END_TIMEOUT_S,
    every_s: float = 0.1,
) -> None:
    """Ask until the probe says yes, seldom enough to leave the processor to the house.

    Raises ServerTrouble after the time is up.
    """
    ends_at = time.monotonic() + timeout_s
    while not probe():
        if time.monotonic() > ends_at:
            raise ServerTrouble(f"not within {timeout_s:g} s: {what}")
        time.sleep(every_s)

"""What a claim and a round of the sweeper cost while few or very many mails wait in line."""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median

from sqlalchemy import Connection, make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine

from handlers.fuses import FuseLimits
from handlers.letter import Claim
from handlers.line import Line
from handlers.queue.memory import MemoryQueue
from handlers.store.opening import engine_for, open_database
from handlers.store.store import SqlStore, Ways
from handlers.store.turns import Pace
from handlers.store.writer import Writer
from handlers.sweeping import Sweeper
from smtpd.evidence import Evidence
from smtpd.headers import scan
from smtpd.mail import Action, Arrival, Verdict
from smtpd.replies import QUEUED
from tests.bench.houses import POSTGRESQL, SQLITE, Neighbours
from tests.bench.table import table

_CLAIMS = 200
_SWEEPS = 20
_SECRET = "the secret of a database that lives for a minute"
_COLUMNS = (
    "message_id, sender, recipient, subject, received_date, processed, response_sent, person, "
    "envelope, raw, raw_bytes, evidence, message_id_hash, state, because, setting, urgent, "
    "claim, attempts, lost, uncertain, reserved"
)
_MAIL = b"From: Ada <ada@example.org>\r\nMessage-ID: <one@example.org>\r\n\r\nHello.\r\n"


@dataclass(frozen=True, slots=True)
class Cost:
    """Medians, in milliseconds."""

    claim_ms: float
    sweep_ms: float


def run(neighbours: Neighbours, depths: Sequence[int]) -> str:
    """The table; the last column is the deepest line against the shallowest."""
    rows = []
    for database in (SQLITE, POSTGRESQL):
        costs = [asyncio.run(_measure(neighbours, database, depth)) for depth in depths]
        for what in ("claim", "sweep"):
            figures = [getattr(cost, f"{what}_ms") for cost in costs]
            name = f"{database}: a {what}"
            rows.append([name, *(f"{ms:.2f}" for ms in figures), f"{figures[-1] / figures[0]:.2f}"])
    return table(
        f"Milliseconds with so many mails in line; medians of {_CLAIMS} claims, {_SWEEPS} sweeps",
        ["", *(f"{depth:,}" for depth in depths), "ratio"],
        rows,
    )


async def _measure(neighbours: Neighbours, database: str, depth: int) -> Cost:
    async with _opened(neighbours, database) as (store, engine):
        queue = MemoryQueue(history=10)
        sweeper = Sweeper(store, queue, Line(queue, store))
        first = await store.keep(_arrival(), Evidence(), _ANSWER)
        epoch = await queue.current_epoch() or ""
        async with engine.begin() as connection:
            ids = await connection.run_sync(_copy_rows, first.id, depth, epoch)
            # As the autovacuum daemon would have done while so many mails came in.
            await connection.execute(text("ANALYZE"))
        claims_ms = []
        for email_id in random.choices(ids, k=_CLAIMS):  # noqa: S311 (no secret)
            began_at = time.perf_counter()
            claim = await store.claim(email_id)
            claims_ms.append(1000 * (time.perf_counter() - began_at))
            assert isinstance(claim, Claim)
            await store.hand_back(
                claim, not_before=datetime.now(UTC), because="measured", counts=False, certain=True
            )
            await store.mark_queued([email_id], epoch)
        sweeps_ms = []
        for _ in range(_SWEEPS):
            began_at = time.perf_counter()
            await sweeper.sweep()
            await store.tidy()
            sweeps_ms.append(1000 * (time.perf_counter() - began_at))
        return Cost(median(claims_ms), median(sweeps_ms))


@asynccontextmanager
async def _opened(
    neighbours: Neighbours, database: str
) -> AsyncIterator[tuple[SqlStore, AsyncEngine]]:
    """A store on an empty database, its writer running."""
    with tempfile.TemporaryDirectory() as folder:
        url = make_url(f"sqlite+aiosqlite:///{folder}/mail.sqlite3")
        if database == POSTGRESQL:
            made = make_url(await neighbours.postgres.new_database())
            url = made.set(drivername="postgresql+asyncpg")
        engine = engine_for(url, {})
        try:
            keys = await open_database(engine, _SECRET, unsafe=False)
            writer = Writer(engine)
            ways = Ways(pace=Pace(to_all=1, to_one=1, fuses=FuseLimits()))
            store = SqlStore(engine, writer, keys, worker="bench:1", ways=ways, relay_timeout_s=60)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(writer.run(), name="writer")
                await store.beat()
                yield store, engine
                writer.finish()
        finally:
            await engine.dispose()


_ANSWER = Verdict(action=Action.ANSWER, reply=QUEUED, because="no rule objected")


def _arrival() -> Arrival:
    return Arrival(
        id="t" * 26,
        peer=None,
        mail_from="ada@example.org",
        rcpt_to=("ai@us.example",),
        raw=_MAIL,
        headers=scan(_MAIL),
        received_at=datetime.now(UTC),
    )


def _copy_rows(connection: Connection, original: str, depth: int, epoch: str) -> list[str]:
    """So many mails in line, each in a thread of its own; their ids."""
    numbers = (
        "SELECT value AS n FROM generate_series(1, :depth) AS g(value)"
        if connection.dialect.name == "postgresql"
        else "WITH RECURSIVE g(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM g WHERE n < :depth) "
        "SELECT n FROM g"
    )
    ident = "'m' || (1000000000 + n)"
    values = {"depth": depth, "epoch": epoch, "original": original}
    connection.execute(
        text(
            f"INSERT INTO email_message (id, thread_id, epoch, delivery_hash, {_COLUMNS}) "  # noqa: S608
            f"SELECT {ident}, {ident}, :epoch, {ident}, {_COLUMNS} "
            f"FROM email_message, ({numbers}) AS numbers WHERE id = :original"
        ),
        values,
    )
    connection.execute(text("UPDATE email_message SET epoch = :epoch"), {"epoch": epoch})
    return [f"m{1000000000 + number}" for number in range(1, depth + 1)]

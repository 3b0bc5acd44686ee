"""How fast kept mail is answered, and what an answer costs, with an AI that takes no time."""

from __future__ import annotations

import time
from collections import defaultdict
from statistics import median

from tests.bench import source
from tests.bench.houses import POSTGRESQL, SQLITE, Neighbours, build
from tests.bench.instant_ai import InstantAi
from tests.bench.processes import cpu_s
from tests.bench.source import Load, Taken
from tests.bench.table import table
from tests.chaos.loop_thread import LoopThread
from tests.end_to_end.house import House, until

BUDGET_MS = 6.0


def run(
    neighbours: Neighbours, outside: LoopThread, core: InstantAi, rounds: int, *, mails: int = 1000
) -> str:
    """The table, from a backlog of so many mails of 4 kB."""
    measured: dict[str, list[Taken]] = defaultdict(list)
    for _ in range(rounds):
        for database in (SQLITE, POSTGRESQL):
            with build(neighbours, database, ai_timeout=3600) as house:
                measured[database].append(_measure(house, outside, core, mails))
    return table(
        f"Answers from {mails} kept mails, a round each; median of {rounds}",
        ["database", "answers/s", "CPU ms an answer", f"budget {BUDGET_MS:g} ms"],
        [_row(database, runs) for database, runs in measured.items()],
    )


def _measure(house: House, outside: LoopThread, core: InstantAi, mails: int) -> Taken:
    # A few go through first: imports, templates, the connections to the AI and the relay.
    source.send(house.port, Load(sessions=4, kept=True, mails=20))
    _wait_until_answered(house, 20)
    outside.run(core.shut())
    source.send(house.port, Load(sessions=20, kept=True, mails=mails))
    workers = int(house.settings.get("WORKER_CONCURRENCY", "8"))
    until(lambda: core.waiting >= workers, what="every worker waits for the AI", every_s=0.02)
    cpu_before, began_at = cpu_s(house.pid), time.monotonic()
    outside.run(core.open())
    _wait_until_answered(house, mails + 20)
    seconds = time.monotonic() - began_at
    cpu_ms = 1000 * (cpu_s(house.pid) - cpu_before) / mails
    return Taken(per_s=mails / seconds, cpu_ms=cpu_ms)


def _wait_until_answered(house: House, mails: int) -> None:
    until(
        lambda: house.states()["answered"] == mails,
        what=f"{mails} answers",
        timeout_s=300,
        every_s=0.1,
    )


def _row(database: str, runs: list[Taken]) -> list[str]:
    cpu_ms = median(one.cpu_ms for one in runs)
    verdict = "kept" if cpu_ms <= BUDGET_MS else "missed"
    return [database, f"{median(one.per_s for one in runs):.0f}", f"{cpu_ms:.2f}", verdict]

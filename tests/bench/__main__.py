"""`python -m tests.bench`: all measurements, printed and kept in results/."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from tests.bench import (
    accepting,
    answering,
    cell,
    checking,
    checks,
    courtesy,
    machine,
    memory,
    spam,
    waiting,
)
from tests.bench.houses import Neighbours
from tests.bench.instant_ai import InstantAi
from tests.chaos.loop_thread import LoopThread
from tests.chaos.relay import CountingRelay
from tests.servers.postgres import PostgresServer
from tests.servers.redis import RedisServer

RESULTS = Path(__file__).parent / "results"
PARTS = (
    *("accepting", "queueing", "cell", "checks", "spam", "courtesy", "checking"),
    *("answering", "memory", "waiting"),
)
DEPTHS = (10, 100_000)
DEPTHS_LONG = (10, 100_000, 1_000_000)


def _measurements(
    arguments: argparse.Namespace, neighbours: Neighbours, outside: LoopThread, core: InstantAi
) -> dict[str, Callable[[], str]]:
    rounds = arguments.rounds

    def queueing() -> str:
        outside.run(core.shut())
        try:
            return accepting.run(neighbours, rounds, answer=True)
        finally:
            outside.run(core.open())

    return {
        "accepting": lambda: accepting.run(neighbours, rounds, answer=False),
        "queueing": queueing,
        "cell": cell.run,
        "checks": checks.run,
        "spam": spam.run,
        "courtesy": courtesy.run,
        "checking": lambda: checking.run_checked(neighbours, rounds),
        "answering": lambda: answering.run(neighbours, outside, core, rounds),
        "memory": lambda: memory.run(neighbours),
        "waiting": lambda: waiting.run(neighbours, DEPTHS_LONG if arguments.long else DEPTHS),
    }


def main() -> int:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all")
    parser.add_argument("--rounds", type=int, default=3, help="medians are of so many (3)")
    parser.add_argument("--long", action="store_true", help="up to a million mails in line")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    with (
        PostgresServer(fsync=True) as postgres,
        RedisServer() as redis,
        LoopThread("bench") as outside,
    ):
        relay, core = CountingRelay(), InstantAi()
        neighbours = Neighbours(
            postgres=postgres,
            redis=redis,
            relay_port=outside.run(relay.start()),
            ai_url=outside.run(core.start()),
        )
        said = ["\n".join([*machine.describe(), asyncio.run(machine.durability(postgres)), ""])]
        _say(said[0])
        for name, measure in _measurements(arguments, neighbours, outside, core).items():
            if name in arguments.parts or not arguments.parts:
                said.append(measure())
                _say(said[-1])
    RESULTS.mkdir(exist_ok=True)
    kept = RESULTS / f"{datetime.now(UTC):%Y-%m-%d-%H%M}.txt"
    kept.write_text("\n".join(said))
    _say(f"kept as {kept.relative_to(Path.cwd()) if kept.is_relative_to(Path.cwd()) else kept}")
    return 0


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())

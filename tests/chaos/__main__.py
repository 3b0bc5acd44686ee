"""`python -m tests.chaos`: the long form of the campaign. Exit code 1 when a promise broke."""

from __future__ import annotations

import argparse
import asyncio
import secrets
import sys

from tests.chaos import campaign, frozen
from tests.servers.postgres import PostgresServer
from tests.servers.redis import RedisServer

DATABASES = ("sqlite", "postgresql")


def _on_postgresql(seed: int, kills: int) -> campaign.Report:
    with PostgresServer(fsync=True) as postgres, RedisServer() as redis:
        url = asyncio.run(postgres.new_database())
        return campaign.run(seed=seed, kills=kills, database_url=url, redis_url=redis.url)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    """Run what was asked for, print the accounts."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=30, help="on each database (30)")
    parser.add_argument("--seed", type=int, default=None, help="repeats the moments of a run")
    parser.add_argument("--database", choices=DATABASES, help="only this one")
    arguments = parser.parse_args()
    seed = secrets.randbits(32) if arguments.seed is None else arguments.seed
    _say(f"seed {seed}")
    faults: list[str] = []
    for database in [arguments.database] if arguments.database else DATABASES:
        if database == "sqlite":
            report = campaign.run(seed=seed, kills=arguments.kills)
        else:
            report = _on_postgresql(seed, arguments.kills)
        _say(str(report))
        faults += report.faults()
    if arguments.database != "sqlite":
        guarded, unguarded = frozen.both()
        _say(
            f"a worker frozen while the AI thought, and taken over: copies {guarded}; without the "
            f"compare-and-set {unguarded}, so the count can fail"
        )
        faults += [f"{guarded} copies after a takeover"] * (guarded != 1)
        faults += ["the frozen worker found no gap"] * (unguarded != 2)
    for fault in faults:
        _say(f"BROKEN: {fault}")
    _say("no promise was broken" if not faults else f"{len(faults)} broken promises")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

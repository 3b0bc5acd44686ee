"""Houses to measure: one on SQLite, one on PostgreSQL with Redis."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from dataclasses import dataclass

from tests.end_to_end.house import House, settings
from tests.servers.postgres import PostgresServer
from tests.servers.redis import RedisServer

SQLITE = "SQLite"
POSTGRESQL = "PostgreSQL+Redis"
# Nobody is paced while we measure, and no fuse blows though one sender sends it all.
_NO_PACE = {
    "max_emails_per_hour": 10_000_000,
    "answers_per_sender_per_hour": 10_000_000,
    "sender_waiting_max": 0,
    "fuse_per_sender_per_day": 10_000_000,
    "fuse_per_domain": 100_000,
    "fuse_first_contact": 0,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbours:
    """The servers that all measurements share."""

    postgres: PostgresServer
    redis: RedisServer
    relay_port: int
    ai_url: str


def build(neighbours: Neighbours, database: str, **more: object) -> House:
    """A house that does not run yet, on a database of its own."""
    named: dict[str, object] = {**_NO_PACE, **more}
    if database == POSTGRESQL:
        neighbours.redis.say("FLUSHALL")
        named["database_url"] = asyncio.run(neighbours.postgres.new_database())
        named["redis_url"] = neighbours.redis.url
    return House(settings(relay_port=neighbours.relay_port, ai_url=neighbours.ai_url, **named))


def taking(neighbours: Neighbours, stack: ExitStack, *, answer: bool) -> dict[str, House]:
    """A running house on each database; where they may not `answer`, they hold all mail."""
    return {
        database: stack.enter_context(
            build(
                neighbours,
                database,
                testing_answer_unproven=str(answer).lower(),
                unproven_sender="hold",
            )
        )
        for database in (SQLITE, POSTGRESQL)
    }

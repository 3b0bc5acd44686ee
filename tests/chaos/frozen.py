"""A worker frozen in the middle of an answer, taken over by another house, and thawed.

Both houses share PostgreSQL and Redis. The first asks the AI and is frozen (SIGSTOP),
as a laptop's lid or a hypervisor does it. The second takes the mail over and answers.
Then the first goes on, with the AI's answer in its hands.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from tests.chaos.loop_thread import LoopThread
from tests.chaos.relay import CountingRelay
from tests.end_to_end import writers
from tests.end_to_end.core import Core
from tests.end_to_end.house import ROOT, House, settings, until
from tests.servers.postgres import PostgresServer
from tests.servers.process import find_program
from tests.servers.redis import RedisServer

# Longer than it takes to see the request and to freeze the house that made it.
_THOUGHT_S = 3.0
# Three missed heartbeats, two rounds of the sweeper, and a slow machine.
_TAKEOVER_S = 60.0


class UnguardedHouse(House):
    """A house without the compare-and-set."""

    def command(self) -> list[str]:
        python, _program, verb = super().command()
        path = f"PYTHONPATH={ROOT}"
        return [find_program("env"), path, python, "-m", "tests.chaos.unguarded", verb]


def copies(house_class: type[House], database_url: str, redis_url: str) -> int:
    """How many copies of the reply come over the wire when the first worker is thawed."""
    relay = CountingRelay()
    with LoopThread("frozen") as outside, Core(delay_s=_THOUGHT_S) as core:
        outside.run(relay.start())
        shared = settings(
            relay_port=relay.port,
            ai_url=core.url,
            # The thawed worker must find the answer there, not that its time is up.
            ai_timeout=120,
            database_url=database_url,
            redis_url=redis_url,
        )
        first = house_class(shared)
        second = house_class({**shared, "LISTEN_PORT": "0"})
        with first:
            [sent] = writers.send(first.port, [writers.write(1)])
            until(lambda: core.count == 1, what="the AI is asked", every_s=0.01)
            first.pause()
            core.behave(delay_s=0)
            with second:
                second.wait_for(answered=1, timeout_s=_TAKEOVER_S)
                first.resume()
                # It drains: whatever it was about to do has been done when it ends.
                first.stop()
                assert second.mails() == {sent.ticket: "answered"}
        outside.run(relay.stop())
        return relay.copies.total()


def both() -> tuple[int, int]:
    """Copies with the compare-and-set, and without it."""
    with PostgresServer(fsync=True) as postgres, RedisServer() as one, RedisServer() as two:
        urls = [asyncio.run(postgres.new_database()) for _ in range(2)]
        with ThreadPoolExecutor(2) as pool:
            guarded = pool.submit(copies, House, urls[0], one.url)
            unguarded = pool.submit(copies, UnguardedHouse, urls[1], two.url)
            return guarded.result(), unguarded.result()

"""Redis at arm's length: deadlines on every call, its errors in our words, and a breaker.

The only module that knows the client library.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisClusterException, RedisError

from handlers.queue.contract import QueueAway

CALL_TIMEOUT_S = 1.0
# Beyond the wait Redis was asked for, before its silence counts as an answer.
_WAIT_SLACK_S = 1.0
# After a failure nobody who is in a hurry knocks again for this long.
_AWAY_FOR_S = 1.0
# More than any installation runs at one time; the library would rather fail than wait.
_CONNECTIONS_MAX = 1000


class Connection:
    """One Redis, or one cluster of them. Every call may raise QueueAway."""

    def __init__(self, url: str, *, cluster: bool = False) -> None:
        options: dict[str, Any] = {
            "decode_responses": True,
            # One more try at once: a pooled connection may belong to a Redis that restarted.
            "retry": Retry(NoBackoff(), 1),
            # The deadline of each call is set where it is made.
            "socket_timeout": None,
            "socket_connect_timeout": CALL_TIMEOUT_S,
            "max_connections": _CONNECTIONS_MAX,
        }
        self._client: Redis | RedisCluster = (
            RedisCluster.from_url(url, **options) if cluster else Redis.from_url(url, **options)
        )
        self._away_until = 0.0  # on the monotonic clock

    @property
    def lately_away(self) -> bool:
        """Did it fail a moment ago? Then a call is likely to cost its deadline."""
        return time.monotonic() < self._away_until

    def seems_away(self) -> None:
        """Its answer is late: until it comes, take it for away."""
        self._away_until = time.monotonic() + _AWAY_FOR_S

    def script(self, text: str) -> Script:
        """A script to run here."""
        return Script(self, self._client.register_script(text))

    async def read_list(self, key: str) -> list[str]:
        """The whole of a list."""
        with self.reaching():
            async with asyncio.timeout(CALL_TIMEOUT_S):
                return cast(
                    "list[str]", await cast("Awaitable[Any]", self._client.lrange(key, 0, -1))
                )

    async def wait_for(self, key: str, wait_s: float) -> None:
        """Return when somebody puts an element into the list, or after the time."""
        with self.reaching():
            async with asyncio.timeout(wait_s + _WAIT_SLACK_S):
                await cast("Awaitable[Any]", self._client.blpop([key], timeout=wait_s))

    async def close(self) -> None:
        """Close all connections."""
        with self.reaching():
            async with asyncio.timeout(CALL_TIMEOUT_S):
                await self._client.aclose()

    @contextmanager
    def reaching(self) -> Iterator[None]:
        """Say what went wrong in our words, and remember that it did."""
        try:
            yield
        # OSError: a name that does not resolve; TimeoutError, one of its kind: our deadline.
        except (RedisError, RedisClusterException, OSError) as error:
            self.seems_away()
            raise QueueAway(f"Redis: {type(error).__name__}: {error}".rstrip(": ")) from error
        self._away_until = 0.0


class Script:
    """One Lua script on one connection."""

    def __init__(self, connection: Connection, call: Any) -> None:
        self._connection = connection
        self._call = call

    async def __call__(self, keys: Sequence[str], args: Sequence[str | int]) -> Any:
        """Run it; what it gives. Raises QueueAway."""
        with self._connection.reaching():
            async with asyncio.timeout(CALL_TIMEOUT_S):
                return await self._call(keys=keys, args=args)

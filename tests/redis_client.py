"""A plain client, to look into a Redis from outside."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import Redis


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Any]:
    """A client of one server, also of one that is a cluster's only member.

    Untyped on purpose: the library's types speak of both its clients at once.
    """
    client = Redis.from_url(url, decode_responses=True)
    try:
        yield client
    finally:
        await client.aclose()


async def until(probe: Callable[[], Awaitable[object]], *, timeout_s: float = 10) -> None:
    """Ask until the answer is yes."""
    async with asyncio.timeout(timeout_s):
        while not await probe():  # noqa: ASYNC110 (it asks another process)
            await asyncio.sleep(0.01)


async def taker_asleep(client: Any) -> None:
    """Return once a taker is blocked in Redis."""

    async def blocked() -> bool:
        return bool((await client.info("clients"))["blocked_clients"])

    await until(blocked)

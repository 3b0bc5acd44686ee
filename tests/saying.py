"""Servers of few words: one that says one thing and hangs up, one that is deaf."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.servers.process import HOST, free_port


@asynccontextmanager
async def saying(answer: bytes, *, after: bytes) -> AsyncIterator[int]:
    """Its port; it answers once `after` was heard, or the client says no more."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard = b""
        while after not in heard and (block := await reader.read(65536)):
            heard = heard[-len(after) :] + block
        writer.write(answer)
        writer.close()

    port = free_port()
    server = await asyncio.start_server(serve, HOST, port)
    yield port
    server.close()
    await server.wait_closed()


@asynccontextmanager
async def deaf() -> AsyncIterator[int]:
    """The port of a server that takes connections, and neither reads nor says anything."""
    silent = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await silent.wait()
        writer.close()

    port = free_port()
    server = await asyncio.start_server(serve, HOST, port, limit=1)
    yield port
    silent.set()
    server.close()
    await server.wait_closed()

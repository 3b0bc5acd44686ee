"""A server that hears its client out, says one thing, and hangs up."""

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

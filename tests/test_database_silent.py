"""A database server that goes without a word, as behind a broken network."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import URL, make_url

from smtpd.errors import Temporary
from smtpd.evidence import Evidence
from tests.arrivals import ANSWER, arrival
from tests.servers.postgres import PostgresServer
from tests.stores import opened


class Wire:
    """A way to the server that can fall silent: nothing passes, nothing is closed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._passes = asyncio.Event()
        self._passes.set()
        self.port = 0

    @asynccontextmanager
    async def laid(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()

    def fall_silent(self) -> None:
        self._passes.clear()

    def speak_again(self) -> None:
        self._passes.set()

    async def _connect(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        far, onward = await asyncio.open_connection("127.0.0.1", self._port)
        await asyncio.gather(self._pass(near, onward), self._pass(far, back))

    async def _pass(self, source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
        while block := await source.read(65536):
            await self._passes.wait()
            to.write(block)
        to.close()


async def through(wire: Wire, server: PostgresServer) -> URL:
    url = make_url(await server.new_database())
    return url.set(drivername="postgresql+asyncpg", port=wire.port)


async def test_a_silent_database_is_not_waited_for_without_end(
    postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    wire = Wire(postgres_server.port)
    async with wire.laid(), opened(await through(wire, postgres_server)) as store:
        monkeypatch.setattr("handlers.store.transacting.DEADLINE_S", 0.5)
        came = arrival()
        wire.fall_silent()
        async with asyncio.timeout(20):
            with pytest.raises(Temporary):
                await store.keep(came, Evidence(), ANSWER)
            with pytest.raises(Temporary):
                await store.waiting(10)
        wire.speak_again()
        monkeypatch.setattr("handlers.store.transacting.DEADLINE_S", 20)
        assert (await store.keep(came, Evidence(), ANSWER)).owed

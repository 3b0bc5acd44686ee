"""The HTTP API on its port: bounded connections, one server after the other, an orderly end."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from structlog.testing import capture_logs

from config.settings import BRANCHES
from handlers.web import serving
from handlers.web.problems import CLOSING
from handlers.web.serving import ApiServer, Connection
from smtpd.events import Event, tally
from tests.doors import until
from tests.servers.process import HOST, free_port
from tests.webs import READER, Web

SENDING = f"GET /api/v1/sending HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {READER}\r\n\r\n"


class Client:
    """A connection to the API."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def say(self, text: str) -> None:
        self.writer.write(text.encode())
        await self.writer.drain()

    async def hear(self) -> tuple[int, dict[str, str], Any]:
        """One response: its status, its header fields, its JSON."""
        first, *fields = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[:-2]
        headers = {name.lower(): text for name, text in (one.split(": ", 1) for one in fields)}
        body = await self.reader.readexactly(int(headers["content-length"]))
        return int(first.split()[1]), headers, json.loads(body)

    async def is_closed(self) -> bool:
        """Wait until the server has closed the connection; it says nothing more."""
        async with asyncio.timeout(10):
            try:
                return await self.reader.read() == b""
            except ConnectionResetError:
                return True


Connect = Callable[[int], Awaitable[Client]]


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Connects to a port; the connections go with the test."""
    clients: list[Client] = []

    async def connect(port: int) -> Client:
        clients.append(Client(*await asyncio.open_connection(HOST, port)))
        return clients[-1]

    yield connect
    for client in clients:
        client.writer.close()
        with suppress(ConnectionError):
            await client.writer.wait_closed()


def server(web: Web, port: int, connection: type[Connection] = Connection) -> ApiServer:
    settings = BRANCHES["api"].model_validate({"api_host": HOST, "api_port": port})
    return ApiServer(web.app, settings, connection=connection, pause_first_s=0.01)  # type: ignore[arg-type]


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


@asynccontextmanager
async def served(
    web: Web | None = None, connection: type[Connection] = Connection
) -> AsyncIterator[int]:
    """The port of an API at work."""
    port = free_port()
    running = asyncio.create_task(server(web or Web(), port, connection).run())
    try:
        await until(lambda: answers(port))
        yield port
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


def refused(kind: str) -> int:
    return tally().get((Event.API_REFUSED, kind), 0)


async def test_a_connection_serves_one_request_after_the_other(connect: Connect) -> None:
    async with served() as port:
        client = await connect(port)
        for _ in range(2):
            await client.say(SENDING)
            status, headers, told = await client.hear()
            assert (status, told["waiting"]) == (200, 2)
            assert "server" not in headers
        await client.say(SENDING * 3)
        assert [(await client.hear())[0] for _ in range(3)] == [200, 200, 200]


async def test_what_is_no_http_hears_so_in_the_form_of_every_problem(connect: Connect) -> None:
    before = refused("no http")
    async with served() as port:
        client = await connect(port)
        await client.say("EHLO mail.example.org\r\n\r\n")
        status, headers, told = await client.hear()
        assert (status, list(told)) == (400, ["detail"])
        assert headers["cache-control"] == "no-store"
        assert await client.is_closed()
        client = await connect(port)
        await client.say("GET / HTTP/1.1\r\nHost: x\r\nX: " + "x" * 70000)
        assert (await client.hear())[0] == 400
    assert refused("no http") == before + 2


async def test_what_nobody_foresaw_is_one_sentence_for_the_client(connect: Connect) -> None:
    web = Web()
    web.switch.trouble = RuntimeError("password=hunter2 in /srv/house.py")
    with capture_logs():
        async with served(web) as port:
            client = await connect(port)
            await client.say(SENDING)
            assert (await client.hear())[::2] == (500, {"detail": "Something went wrong here."})


@pytest.mark.parametrize(
    "begun", ["", "GET / HTTP/1.1\r\nHost:", SENDING + "GET", "POST / HTTP/1.1\r\nHost: x\r\n"
     "Content-Length: 9\r\n\r\nx"]
)  # fmt: skip
async def test_a_request_that_does_not_arrive_is_not_waited_for(
    begun: str, connect: Connect
) -> None:
    class Impatient(Connection):
        arrives_within_s = 0.05

    before = refused("too slow")
    async with served(connection=Impatient) as port:
        client = await connect(port)
        await client.say(begun)
        if begun.startswith((SENDING, "POST")):
            await client.hear()
        assert await client.is_closed()
    assert refused("too slow") >= before + 1


async def test_an_idle_connection_is_not_a_slow_one(connect: Connect) -> None:
    class Impatient(Connection):
        arrives_within_s = 0.05

    async with served(connection=Impatient) as port:
        client = await connect(port)
        await client.say(SENDING)
        await client.hear()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await client.reader.read()
        await client.say(SENDING)
        assert (await client.hear())[0] == 200


async def test_who_does_not_read_the_answers_is_cut_off(connect: Connect) -> None:
    class Impatient(Connection):
        arrives_within_s = 0.2

    before = refused("too slow")
    async with served(Web(requests_per_minute=100_000), Impatient) as port:
        client = await connect(port)
        client.writer.write(SENDING.replace("/api/v1/sending", "/openapi.json").encode() * 3000)
        await until(lambda: refused("too slow") > before)


async def test_no_more_connections_are_held_than_the_limit(connect: Connect) -> None:
    class Few(Connection):
        connections_max = 2

    async with served(connection=Few) as port:
        inside: list[Client] = []
        while len(inside) < 2:  # the one that asked whether it answers may not have left yet
            client = await connect(port)
            await client.say(SENDING)
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                assert (await client.hear())[0] == 200
                inside.append(client)
        before = refused("connections")
        assert await (await connect(port)).is_closed()
        assert refused("connections") == before + 1
        inside[0].writer.close()
        await until(lambda: True)
        await inside[1].say(SENDING)
        assert (await inside[1].hear())[0] == 200


async def test_a_taken_port_is_tried_again_and_told_once() -> None:
    port = free_port()
    with capture_logs() as lines:
        with socket.create_server((HOST, port)):
            running = asyncio.create_task(server(Web(), port).run())
            # Longer than several pauses: the second of them comes from the same outage.
            await until(lambda: bool(lines))
            await asyncio.sleep(0.1)
        await until(lambda: lines[-1]["event"] == "api_listening")
        running.cancel()
        await asyncio.wait({running})
    assert [line["event"] for line in lines] == ["api_away", "api_listening"]
    assert "cannot be bound" in lines[0]["because"]
    assert lines[1]["port"] == port


async def test_after_a_server_that_failed_comes_another_one(
    monkeypatch: pytest.MonkeyPatch, connect: Connect
) -> None:
    main_loop = serving._Server.main_loop
    ends = [RuntimeError("secret")]

    async def failing_once(self: serving._Server) -> None:
        if ends:
            raise ends.pop()
        await main_loop(self)

    monkeypatch.setattr(serving._Server, "main_loop", failing_once)
    with capture_logs() as lines:
        async with served() as port:
            await until(lambda: len(lines) >= 3)
            client = await connect(port)
            await client.say(SENDING)
            assert (await client.hear())[0] == 200
    told = [line["event"] for line in lines]
    assert told[:3] == ["api_listening", "api_away", "api_listening"]
    assert lines[1]["because"] == "it ended with RuntimeError"


async def test_it_ends_at_once_though_a_connection_is_idle(connect: Connect) -> None:
    async with served() as port:
        client = await connect(port)
        await client.say(SENDING)
        await client.hear()
    assert await client.is_closed()
    assert not answers(port)


async def test_what_still_runs_at_the_end_is_told_so(connect: Connect) -> None:
    web = Web()
    web.switch.hangs = True
    async with served(web) as port:
        client = await connect(port)
        await client.say(SENDING)
        await until(lambda: web.keys.asked > 0)
    assert (await client.hear())[::2] == (503, {"detail": CLOSING})
    assert await client.is_closed()
    assert not answers(port)

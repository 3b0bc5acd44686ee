"""A running listener, and callers who say to it what a test tells them to."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from config.settings import DoorSettings
from smtpd import replies
from smtpd.limits import Patience
from smtpd.listener import Listener
from smtpd.mail import Arrival
from smtpd.policy import RecipientClass
from smtpd.replies import Reply

TO_DATA = (
    "EHLO client.example.org",
    "MAIL FROM:<ada@example.org>",
    "RCPT TO:<ai@house.test>",
    "DATA",
)
MESSAGE = b"Subject: one\r\n\r\nbody\r\n.\r\n"


async def take(arrival: Arrival) -> Reply:
    return replies.QUEUED


@dataclass
class Gate:
    """A receive() that waits until the test lets it go on."""

    opened: asyncio.Event = field(default_factory=asyncio.Event)
    entered: asyncio.Event = field(default_factory=asyncio.Event)
    kept: list[Arrival] = field(default_factory=list)

    async def receive(self, arrival: Arrival) -> Reply:
        self.entered.set()
        await self.opened.wait()
        self.kept.append(arrival)
        return replies.QUEUED


async def until(reached: Callable[[], bool]) -> None:
    """Wait for a state of the server, which raises no event for its tests."""
    async with asyncio.timeout(10):
        while not reached():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


class Caller:
    """A peer that says what it is told to."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.reader: asyncio.StreamReader
        self.writer: asyncio.StreamWriter

    async def begin(self) -> Caller:
        self.reader, self.writer = await asyncio.open_connection(sock=self.connection)
        return self

    async def hear(self) -> str:
        """The next line; "" when the connection ended."""
        async with asyncio.timeout(10):
            return (await self.reader.readline()).decode("ascii").rstrip()

    async def ended(self) -> bool:
        """Whether the next it hears is the end, however the connection ended."""
        try:
            return await self.hear() == ""
        except ConnectionError:
            return True

    async def say(self, line: str) -> str:
        """Send a command and hear the last line of its reply."""
        self.writer.write(line.encode("ascii") + b"\r\n")
        while "-" in (answer := await self.hear())[3:4]:
            pass
        return answer

    async def begin_data(self) -> None:
        assert (await self.hear()).startswith("220 ")
        for command in TO_DATA:
            answer = await self.say(command)
        assert answer.startswith("354 ")

    async def send_mail(self) -> str:
        await self.begin_data()
        self.writer.write(MESSAGE)
        return await self.hear()


@dataclass
class Door:
    """A running listener and how to reach it."""

    listener: Listener
    ports: tuple[int, ...]  # the ordinary one first, then the proxy's
    asked: list[str]  # the recipients that were asked about
    callers: list[Caller] = field(default_factory=list)

    @property
    def port(self) -> int:
        return self.ports[0]

    async def call(self, source: str = "127.0.0.1", port: int = 0) -> Caller:
        """Connect from this loopback address, to the ordinary port where none is named."""
        connection = socket.create_connection(
            ("127.0.0.1", port or self.port), source_address=(source, 0)
        )
        connection.setblocking(False)
        caller = await Caller(connection).begin()
        self.callers.append(caller)
        return caller


@asynccontextmanager
async def door(
    receive: Callable[[Arrival], Awaitable[Reply]] = take,
    patience: Patience | None = None,
    objection: Callable[[], Reply | None] = lambda: None,
    tls: Callable[[], ssl.SSLContext] | None = None,
    **settings: object,
) -> AsyncIterator[Door]:
    asked: list[str] = []

    def classify(address: str) -> RecipientClass:
        asked.append(address)
        unknown = address.startswith("nobody")
        return RecipientClass.UNKNOWN if unknown else RecipientClass.ANSWERING

    listener = Listener(
        DoorSettings.model_validate({"listen_host": "127.0.0.1", "listen_port": 0, **settings}),
        classify=classify,
        hostname="mx.house.test",
        receive=receive,
        objection=objection,
        tls=tls,
        patience=patience,
    )
    ports = tuple(port for _, port in await listener.start())
    open_door = Door(listener, ports, asked)
    try:
        yield open_door
    finally:
        for caller in open_door.callers:
            caller.writer.transport.abort()
        await listener.stop(drain_s=5)
        assert listener.connections == 0
        assert listener.held_bytes == 0

"""Mail servers that never give up: what is not taken is sent again, as it was."""

from __future__ import annotations

import asyncio
import itertools
import random
from dataclasses import dataclass, field

from tests.end_to_end import writers
from tests.end_to_end.house import ADDRESS
from tests.servers.process import HOST

_REPLY_TIMEOUT_S = 30.0
_AGAIN_S = 0.05
# Beyond what the store keeps in one row: such mails take the other way through it.
_LARGE_BODY = ("A long letter. " * 5 + "\n") * 4000
_LARGE_EVERY = 40


class Refused(Exception):
    """The house said no for good, to mail that it has to take."""


@dataclass(slots=True)
class Posted:
    """One mail, and what its peer knows of it."""

    mail: writers.Mail
    ticket: str = ""  # "" until 250 was heard
    tries: int = 0


@dataclass(slots=True)
class _Line:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def say(self, words: bytes) -> str:
        """Send, and hear the last line of the reply. Raises ConnectionError."""
        self.writer.write(words)
        return await self.hear()

    async def hear(self) -> str:
        while True:
            line = await self.reader.readline()
            if not line.endswith(b"\r\n"):
                raise ConnectionResetError
            if line[3:4] != b"-":
                return line.decode().strip()


@dataclass(slots=True)
class Peers:
    """Some sessions that send mail after mail, each from a person of its own."""

    port: int
    seed: int
    sessions: int = 6
    pause_s: float = 0.25  # the longest, between two mails of one session
    posted: list[Posted] = field(default_factory=list)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _stopping: bool = False

    async def begin(self) -> None:
        """Start sending."""
        self._tasks = [
            asyncio.create_task(self._session(f"{self.seed} {number}"))
            for number in range(self.sessions)
        ]

    async def finish(self) -> None:
        """Begin no further mail; return once all that were begun got their 250."""
        self._stopping = True
        await asyncio.gather(*self._tasks)

    async def _session(self, seed: str) -> None:
        chance = random.Random(seed)  # noqa: S311 (no secret)
        line: _Line | None = None
        while not self._stopping:
            number = next(self._numbers)
            body = _LARGE_BODY if number % _LARGE_EVERY == 0 else ""
            one = Posted(writers.write(number, body=body))
            self.posted.append(one)
            while not one.ticket:
                line = await self._attempt(one, line)
                if line is None:
                    await asyncio.sleep(_AGAIN_S)
            await asyncio.sleep(chance.uniform(0, self.pause_s))
        if line is not None:
            line.writer.close()

    async def _attempt(self, one: Posted, line: _Line | None) -> _Line | None:
        """One try; the connection while it is good."""
        one.tries += 1
        try:
            async with asyncio.timeout(_REPLY_TIMEOUT_S):
                line = line or await self._connect()
                said = await self._send(line, one.mail)
        except (OSError, TimeoutError):
            said = ""
        if said.startswith("250"):
            one.ticket = said.rpartition(" ")[2]
            return line
        if said.startswith("5"):
            raise Refused(said)
        if line is not None:
            line.writer.close()
        return None

    async def _connect(self) -> _Line:
        line = _Line(*await asyncio.open_connection(HOST, self.port))
        try:
            await line.hear()
            await line.say(b"EHLO people.example\r\n")
        except BaseException:
            line.writer.close()
            raise
        return line

    async def _send(self, line: _Line, mail: writers.Mail) -> str:
        commands = (f"MAIL FROM:<{mail.sender}>", f"RCPT TO:<{ADDRESS}>", "DATA")
        for command in commands:
            said = await line.say(f"{command}\r\n".encode())
            if said[0] not in "23":
                return said
        return await line.say(mail.raw + b".\r\n")

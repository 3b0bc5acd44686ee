"""A relay for tests, which says at each step what its script says; and our client at it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from handlers.letter import Outgoing
from handlers.relay import SmtpRelay, Upstream

RAW = (
    b"From: ai@us.example\r\nTo: c@client.example\r\nSubject: x\r\nMessage-ID: <a@us.example>\r\n"
    b"Date: Mon, 23 Nov 2026 10:00:00 +0000\r\n\r\n.\r\n..a\r\nend\r\n"
)
DROP, HANG, DRIP = "drop", "hang", "drip"
POLITE = {
    "banner": "220 relay.test ESMTP",
    "EHLO": "250-relay.test\r\n250-SIZE 10000\r\n250 PIPELINING",
    "AUTH": "235 2.7.0 Ok",
    "MAIL": "250 2.1.0 Ok",
    "RCPT": "250 2.1.5 Ok",
    "DATA": "354 go on",
    "message": "250 2.0.0 Ok: queued as 4Fz",
    "RSET": "250 2.0.0 Ok",
    "QUIT": "221 2.0.0 Bye",
}


def outgoing(raw: bytes = RAW, **changes: Any) -> Outgoing:
    envelope = {"mail_from": "bounces+1.x@us.example", "rcpt_to": "c@client.example"}
    return Outgoing(message_id="<a@us.example>", raw=raw, **{**envelope, **changes})


class ScriptedRelay:
    """An SMTP server that says at each step what its script says, or does worse."""

    def __init__(self, **script: str) -> None:
        self.script = POLITE | script
        self.commands: list[str] = []
        self.messages: list[bytes] = []
        self.connections = self.open = self.most_open = 0
        self.hung = asyncio.Event()  # set at a step that hangs
        self.closed = asyncio.Event()  # set when a peer has gone
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            await self._talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open -= 1
            self.closed.set()
            writer.transport.abort()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        step = "banner"
        while True:
            await self._say(step, reader, writer)
            if step == "DATA" and self.script[step].startswith("354"):
                step = "message"
                self.messages.append(await reader.readuntil(b"\r\n.\r\n"))
                continue
            if step == "QUIT" or not (line := await reader.readline()):
                return
            self.commands.append(line.decode().strip())
            step = line.decode().split()[0].upper()

    async def _say(
        self, step: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        words = self.script.get(step, "235 2.7.0 Ok")  # a line of a login is no command
        if words == DROP:
            raise ConnectionResetError
        if words == HANG:
            self.hung.set()
            await reader.read()
            raise ConnectionResetError
        if words == DRIP:
            while True:
                writer.write(b"2")
                await writer.drain()
                await asyncio.sleep(0.01)
        writer.write(words.encode() + b"\r\n")
        await writer.drain()


@asynccontextmanager
async def scripted(
    tls: ssl.SSLContext | None = None, **script: str
) -> AsyncIterator[ScriptedRelay]:
    server = ScriptedRelay(**script)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()


@asynccontextmanager
async def relaying(port: int, **options: Any) -> AsyncIterator[SmtpRelay]:
    upstream = {"host": "127.0.0.1", "helo": "mx.us.example", "tls": False, **options}
    relay = SmtpRelay(Upstream(port=port, **upstream))
    try:
        yield relay
    finally:
        await relay.close()


async def send(server: ScriptedRelay, **options: Any) -> str:
    async with relaying(server.port, **options) as relay:
        return await relay.send(outgoing())

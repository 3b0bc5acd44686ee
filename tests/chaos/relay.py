"""A relay that counts: how many copies of the reply to each mail came over the wire.

A copy counts at its last dot, whatever becomes of our final reply: from then on a real
relay has it and may deliver it.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Callable
from typing import cast

from tests.servers.process import HOST

_IN_REPLY_TO = re.compile(rb"^In-Reply-To:\s*(<[^>]+>)", re.IGNORECASE | re.MULTILINE)
_END = b"\r\n.\r\n"


class CountingRelay:
    """Takes everything. `delay_s` says, mail by mail, how late its final reply is."""

    def __init__(self, delay_s: Callable[[], float] = lambda: 0.0) -> None:
        self.delay_s = delay_s
        self.copies: Counter[str] = Counter()  # by the Message-ID they answer
        self.cut_off: Counter[str] = Counter()  # the house was gone before our final reply
        self.connections = 0
        self.port = 0
        self._server: asyncio.Server | None = None

    async def start(self) -> int:
        """Bind a free port of loopback and give it."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Transaction(self), HOST, 0)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self.port

    async def stop(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()


class _Transaction(asyncio.Protocol):
    """One connection of the house."""

    def __init__(self, relay: CountingRelay) -> None:
        self._relay = relay
        self._buffer = b""
        self._in_data = False
        self._unanswered = ""  # the mail whose last dot we have and whose reply we owe
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._relay.connections += 1
        self._say("220 relay.test ESMTP")

    def connection_lost(self, error: Exception | None) -> None:
        self._relay.connections -= 1
        if self._unanswered:
            self._relay.cut_off[self._unanswered] += 1
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while not self._unanswered:
            line, end, rest = self._buffer.partition(_END if self._in_data else b"\r\n")
            if not end:
                return
            self._buffer = rest
            if self._in_data:
                self._take(line)
            else:
                self._obey(line.upper())

    def _obey(self, command: bytes) -> None:
        if command.startswith((b"EHLO", b"HELO")):
            self._say("250-relay.test\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES")
        elif command == b"DATA":
            self._in_data = True
            self._say("354 Go ahead")
        elif command == b"QUIT":
            self._say("221 2.0.0 Bye")
            self._transport.close()
        else:
            self._say("250 2.0.0 Ok")

    def _take(self, message: bytes) -> None:
        found = _IN_REPLY_TO.search(message)
        self._in_data = False
        self._unanswered = found[1].decode() if found else "no In-Reply-To"
        self._relay.copies[self._unanswered] += 1
        delay_s = self._relay.delay_s()
        if delay_s <= 0:
            self._reply()
        else:
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._reply)

    def _reply(self) -> None:
        self._unanswered = ""
        self._say("250 2.0.0 Ok: queued")
        if self._buffer:
            self.data_received(b"")

    def _say(self, text: str) -> None:
        self._transport.write(text.encode() + b"\r\n")

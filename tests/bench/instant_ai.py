"""An AI core that answers at once, or not before it is let: what is measured is the house."""

from __future__ import annotations

import asyncio
import json
import re
from typing import cast

from tests.servers.process import HOST

_LENGTH = re.compile(rb"^content-length:\s*(\d+)", re.IGNORECASE | re.MULTILINE)
_ANSWER = """\
On your question, **in short**:

- less than six months of service: the collective agreement or custom decides;
- six months to less than two years: one month's notice;
- two years and more: two months' notice (article L1234-1 of the Labour Code).

Please read your contract first. The labour inspectorate gives information free of charge.
"""
_BODY = json.dumps(
    {
        "response": _ANSWER,
        "model": "instant",
        "tokens_used": 100,
        "processing_time": 0.0,
        "suggested_subject": "",
    }
).encode()
_RESPONSE = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
    + f"Content-Length: {len(_BODY)}\r\n\r\n".encode()
    + _BODY
)


class InstantAi:
    """HTTP on a free port of loopback. Shut, it lets every request wait; open, it answers."""

    def __init__(self) -> None:
        self.waiting = 0  # requests, while it is shut
        self.url = ""
        self._open = True
        self._opened: asyncio.Future[None] | None = None
        self._server: asyncio.Server | None = None

    async def start(self) -> str:
        """Bind; the base address for AI_API_URL."""
        loop = asyncio.get_running_loop()
        self._opened = loop.create_future()
        self._server = await loop.create_server(lambda: _Requests(self), HOST, 0)
        self.url = f"http://{HOST}:{self._server.sockets[0].getsockname()[1]}"
        return self.url

    async def stop(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()

    async def shut(self) -> None:
        """Let requests wait from now on."""
        self._open = False
        self._opened = asyncio.get_running_loop().create_future()

    async def open(self) -> None:
        """Answer what waits, and everything after it."""
        self._open = True
        self.waiting = 0
        if self._opened is not None and not self._opened.done():
            self._opened.set_result(None)

    def when_open(self, answer: asyncio.Protocol) -> None:
        """Have `answer` write its response, now or when it is open."""
        requests = cast(_Requests, answer)
        if self._open or self._opened is None:
            requests.respond()
        else:
            self.waiting += 1
            self._opened.add_done_callback(lambda _: requests.respond())


class _Requests(asyncio.Protocol):
    """One kept connection of the house."""

    def __init__(self, core: InstantAi) -> None:
        self._core = core
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, end, body = self._buffer.partition(b"\r\n\r\n")
        found = _LENGTH.search(head)
        if end and found and len(body) >= int(found[1]):
            self._buffer = b""  # the client sends one request at a time
            self._core.when_open(self)

    def respond(self) -> None:
        """Write the answer, should the house still be there."""
        if not self._transport.is_closing():
            self._transport.write(_RESPONSE)

"""Serves the API on its port, in the house's own event loop; never takes the house with it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import Iterator
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from config.api_settings import ApiSettings
from handlers.web.problems import SENTENCES
from smtpd.events import Event, count, log

_CONNECTIONS_MAX = 100
_HEADERS_MAX_BYTES = 16384
_ARRIVES_WITHIN_S = 10.0  # a whole request
_KEEP_ALIVE_S = 15
_LEAVES_WITHIN_S = 2
_PAUSE_FIRST_S = 1.0
_PAUSE_MAX_S = 60.0


class Connection(H11Protocol):
    """One client, within limits that uvicorn does not have."""

    connections_max = _CONNECTIONS_MAX
    arrives_within_s = _ARRIVES_WITHIN_S
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.connections_max:
            count(Event.API_REFUSED, "connections")
            transport.abort()
            return
        self._watch(busy=True)

    def connection_lost(self, exc: Exception | None) -> None:
        self._watch(busy=False)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch(busy=self._owes_more())

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch(busy=False)  # the next request has a time of its own
        self._watch(busy=self._owes_more())

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch(busy=True)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._watch(busy=self._owes_more())

    def send_400_response(self, msg: str) -> None:
        """Say in our form that this is no HTTP; where something was said already, just leave."""
        count(Event.API_REFUSED, "no http")
        if self.conn.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
            self.transport.abort()
            return
        body = json.dumps({"detail": SENTENCES[400]}).encode()
        headers = [
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(body))),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
            ("Connection", "close"),
        ]
        for event in (
            h11.Response(status_code=400, headers=headers),
            h11.Data(data=body),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _owes_more(self) -> bool:
        """Whether a request has begun to arrive and has not ended, or answers are not read."""
        if self.flow.write_paused:
            return True
        if self.conn.their_state is h11.IDLE:
            return bool(self.conn.trailing_data[0])
        return self.conn.their_state is h11.SEND_BODY

    def _watch(self, *, busy: bool) -> None:
        if not busy and self._deadline:
            self._deadline.cancel()
            self._deadline = None
        elif busy and not self._deadline:
            self._deadline = self.loop.call_later(self.arrives_within_s, self._cut)

    def _cut(self) -> None:
        count(Event.API_REFUSED, "too slow")
        self.transport.abort()


class _Server(uvicorn.Server):
    """One that leaves the signals to config/running.py, and sleeps until it has to go."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._leaving = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def main_loop(self) -> None:
        while not self._leaving.is_set():
            await self.on_tick(0)  # the Date header's value
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._leaving.wait(), 1)

    def leave(self) -> None:
        self._leaving.set()

    def abandon(self) -> None:
        """Let go of what an end that nobody foresaw has left."""
        for one in getattr(self, "servers", ()):  # it has none before it has started
            one.close()
        for connection in tuple(self.server_state.connections):
            connection.transport.abort()


class ApiServer:
    """`run` is its one task."""

    def __init__(
        self,
        app: ASGIApp,
        settings: ApiSettings,
        *,
        connection: type[Connection] = Connection,
        pause_first_s: float = _PAUSE_FIRST_S,
    ) -> None:
        self._app = app
        self._settings = settings
        self._connection = connection
        self._pause_first_s = pause_first_s
        self._told = ""

    async def run(self) -> None:
        """Serve for as long as it runs; what ends a server begins another one, a little later."""
        pause_s = self._pause_first_s
        while True:
            try:
                listening = await self._bind()
            except OSError as error:
                # What asyncio appends in brackets is the address, which is known.
                because = str(error.strerror).partition(" (")[0]
                self._tell(f"API_HOST and API_PORT cannot be bound: {because}")
            else:
                pause_s = self._pause_first_s
                self._tell(await self._serve(listening))
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _PAUSE_MAX_S)

    def _tell(self, because: str) -> None:
        """Once an outage."""
        if because != self._told:
            log(Event.API_AWAY, because=because)
        self._told = because

    async def _bind(self) -> socket.socket:
        """The listening socket. Raises OSError."""
        host, port = self._settings.api_host, self._settings.api_port
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        family, _, _, _, address = found[0]
        return socket.create_server(address[:2], family=family, backlog=_CONNECTIONS_MAX)

    async def _serve(self, listening: socket.socket) -> str:
        """Serve until the server ends, or we are cancelled; why it ended."""
        server = _Server(self._config())
        host, port = listening.getsockname()[:2]
        log(Event.API_LISTENING, host=host, port=port)
        self._told = ""
        serving = asyncio.create_task(server.serve(sockets=[listening]), name="api server")
        try:
            # Waited for, and looked at: what it raises is its own end and nobody else's.
            await asyncio.wait({serving})
        finally:
            server.leave()
            await asyncio.wait({serving}, timeout=2 * _LEAVES_WITHIN_S)
            serving.cancel()
            server.abandon()
            listening.close()
        error = serving.exception()
        return f"it ended with {type(error).__name__}" if error else "it ended"

    def _config(self) -> uvicorn.Config:
        options: dict[str, Any] = {
            # A proxy's word on the client's address is nobody's yet.
            "proxy_headers": False,
            "server_header": False,
            "access_log": False,
            "log_config": None,
            "lifespan": "off",
            "ws": "none",
            "timeout_keep_alive": _KEEP_ALIVE_S,
            "timeout_graceful_shutdown": _LEAVES_WITHIN_S,
            "h11_max_incomplete_event_size": _HEADERS_MAX_BYTES,
        }
        return uvicorn.Config(self._app, http=self._connection, **options)

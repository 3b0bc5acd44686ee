"""What every request passes, whatever it asks for: strangers' pace, size, time; then the log.

An ASGI application around another one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Hashable

from fastapi import HTTPException
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from handlers.web.problems import CLOSING, SENTENCES, problem, response_to, too_many
from handlers.web.rates import Rates
from smtpd.admission import origin_of
from smtpd.events import Event, log
from smtpd.tally import Sparing

BODY_MAX_BYTES = 65536
# Longer than a busy database keeps a query waiting, shorter than a client's own patience.
ANSWER_S = 30.0


class Front:
    """Requests with a right key have a pace of their own (handlers/web/keys.py)."""

    def __init__(self, app: ASGIApp, strangers: Rates, *, answer_s: float = ANSWER_S) -> None:
        self._app = app
        self._strangers = strangers
        self._answer_s = answer_s
        self._sparing = Sparing()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        visit = _Visit(scope, receive, send)
        try:
            await self._answer(visit)
        finally:
            self._tell(visit)

    async def _answer(self, visit: _Visit) -> None:
        app: ASGIApp = self._app
        # Before anything is asked of the database, which a flood of wrong keys would keep busy.
        if wait_s := self._strangers.wait_s(visit.client):
            app = response_to(too_many(wait_s))
        elif visit.announces_too_much():
            app = problem(413, Connection="close")
        try:
            async with asyncio.timeout(self._answer_s):
                await app(visit.scope, visit.receive, visit.send)
        except TimeoutError:
            if visit.status:
                raise
            await problem(503, Retry_After="5")(visit.scope, visit.receive, visit.send)
        except asyncio.CancelledError:
            if not visit.status:
                await problem(503, CLOSING)(visit.scope, visit.receive, visit.send)
            raise

    def _tell(self, visit: _Visit) -> None:
        if not visit.status:  # the client or the house has gone
            return
        took_s = round(time.monotonic() - visit.began_at, 3)
        told = {"method": visit.scope["method"], "route": visit.route, "status": visit.status}
        if visit.key:
            log(Event.API_USED, key=visit.key, took_s=took_s, **told)
        else:
            self._strangers.take(visit.client)
            self._sparing.log(Event.API_REFUSED, kind=f"status {visit.status}", took_s=took_s)


class _Visit:
    """One request, and what became of it."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self.status = 0
        self.began_at = time.monotonic()
        self._receive = receive
        self._send = send
        self._state = scope.setdefault("state", {})
        self._body_bytes = 0

    @property
    def client(self) -> Hashable:
        """Whom a stranger's requests are counted for: all of an IPv6 /64 is one."""
        peer = self.scope.get("client")
        return origin_of(peer[0])[0] if peer else None

    @property
    def key(self) -> str:
        """The id of the key it came with, "" without a right one."""
        return str(self._state.get("api_key", ""))

    @property
    def route(self) -> str:
        """The resource as the schema has it: a path could hold anything."""
        return str(getattr(self.scope.get("route"), "path", ""))

    def announces_too_much(self) -> bool:
        announced = Headers(scope=self.scope).get("content-length", "0")
        return int(announced) > BODY_MAX_BYTES  # h11 takes digits alone, and not many

    async def receive(self) -> Message:
        """A piece of the request. Raises HTTPException where it becomes too much."""
        message = await self._receive()
        self._body_bytes += len(message.get("body", b""))
        if self._body_bytes > BODY_MAX_BYTES:
            raise HTTPException(413, SENTENCES[413], {"Connection": "close"})
        return message

    async def send(self, message: Message) -> None:
        """A piece of the response."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers.setdefault("Cache-Control", "no-store")
            headers.setdefault("X-Content-Type-Options", "nosniff")
        await self._send(message)

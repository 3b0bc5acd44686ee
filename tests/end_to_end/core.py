"""The demonstration AI core in a thread of its own, so that tests may block."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self

from aiohttp import web

from config.demo.ai_core import AiCore, Behaviour, JsonObject, Seen
from tests.servers.process import free_port

# What is asked; what to answer, and the subject to suggest.
Says = Callable[[JsonObject], tuple[str, str]]


class _Directed(AiCore):
    """A demonstration core that says what a test wants, when a test wants it."""

    def __init__(self, behaviour: Behaviour, says: Says | None) -> None:
        super().__init__(behaviour)
        self.says = says
        self.free_to_answer = asyncio.Event()
        self.free_to_answer.set()

    def _generate(self, body: JsonObject) -> JsonObject:
        generated = super()._generate(body)
        if self.says is None:
            return generated
        text, subject = self.says(body)
        return {**generated, "response": text, "suggested_subject": subject}

    async def _fail(self, request: web.Request) -> web.StreamResponse | None:
        await self.free_to_answer.wait()
        return await super()._fail(request)


class Core:
    """An AI core on loopback, between `with` and its end; `behave()` takes effect at once.

    `says` takes the place of the demonstration's words.
    """

    def __init__(self, *, says: Says | None = None, **behaviour: Any) -> None:
        self._core = _Directed(Behaviour(**behaviour), says)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="AI core", daemon=True)
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"

    @property
    def count(self) -> int:
        """Requests so far, faulty ones included."""
        return self._core.count

    @property
    def requests(self) -> list[Seen]:
        """The requests so far, where `keeps_requests` was set."""
        return list(self._core.requests)

    def behave(self, **changes: Any) -> None:
        """As AiCore.behave: delay_s, fault, faulty_requests, retry_after, keeps_requests."""
        self._core.behave(**changes)

    def say(self, says: Says) -> None:
        """Answer so from the next request on."""
        self._core.says = says

    @contextmanager
    def thinking(self) -> Iterator[None]:
        """Every request waits for its answer until the block ends."""
        self._loop.call_soon_threadsafe(self._core.free_to_answer.clear)
        try:
            yield
        finally:
            self._loop.call_soon_threadsafe(self._core.free_to_answer.set)

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._core.start(self._port), self._loop).result(10)
        return self

    def __exit__(self, *_exc: object) -> None:
        asyncio.run_coroutine_threadsafe(self._core.stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

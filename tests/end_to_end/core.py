"""The demonstration AI core in a thread of its own, so that tests may block."""

from __future__ import annotations

import asyncio
import threading
from typing import Any, Self

from config.demo.ai_core import AiCore, Behaviour
from tests.servers.process import free_port


class Core:
    """An AI core on loopback, between `with` and its end; `behave()` takes effect at once."""

    def __init__(self, **behaviour: Any) -> None:
        self._core = AiCore(Behaviour(**behaviour))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="AI core", daemon=True)
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"

    @property
    def count(self) -> int:
        """Requests so far, faulty ones included."""
        return self._core.count

    def behave(self, **changes: Any) -> None:
        """As AiCore.behave: delay_s, fault, faulty_requests, retry_after."""
        self._core.behave(**changes)

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._core.start(self._port), self._loop).result(10)
        return self

    def __exit__(self, *_exc: object) -> None:
        asyncio.run_coroutine_threadsafe(self._core.stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

"""Whether mail may be worked on now: the stop switch, and the hour's answers to all.

Workers wait here with what they took from the queue. Behind the gate the database asks once
more, with the step that lets the relay have a reply (handlers/store/claiming.py).
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Protocol

from smtpd.errors import Temporary
from smtpd.events import Event, log

_EVERY_S = 1.0
_PAUSE_MAX_S = 3600.0  # an hour that is full now has room then


class Switch(Protocol):
    """The part of the store that knows the stop switch."""

    async def stopped(self) -> bool: ...


class Gate:
    """One for all workers of a process. Closed until `look` was first called."""

    def __init__(self, switch: Switch) -> None:
        self._switch = switch
        self._open = asyncio.Event()
        self._told_stopped = False
        self._paused_until = 0.0

    async def run(self) -> None:
        """Look at the switch for as long as it runs."""
        while True:
            await asyncio.sleep(_EVERY_S)
            await self.look()

    async def look(self) -> None:
        """Look once. What cannot be seen at the moment is taken to be as it was."""
        with suppress(Temporary):
            self._set(stopped=await self._switch.stopped())

    async def passage(self) -> None:
        """Wait until mail may be worked on."""
        loop = asyncio.get_running_loop()
        while not self._open.is_set() or loop.time() < self._paused_until:
            await self._open.wait()
            await asyncio.sleep(max(0.0, self._paused_until - loop.time()))

    def pause(self, seconds: float, because: str = "") -> None:
        """Nobody's turn comes before this."""
        now = asyncio.get_running_loop().time()
        if now >= self._paused_until:
            log(Event.PACED, pause_s=round(seconds, 1), because=because)
        self._paused_until = max(self._paused_until, now + min(seconds, _PAUSE_MAX_S))

    def _set(self, *, stopped: bool) -> None:
        if stopped:
            self._open.clear()
        else:
            self._open.set()
        if stopped is not self._told_stopped:
            log(Event.SENDING_STOPPED if stopped else Event.SENDING_RESUMED)
        self._told_stopped = stopped

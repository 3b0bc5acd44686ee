"""Whether there is room for more mail: free space on the disk, and the length of the line."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from config.settings import DoorSettings
from smtpd import replies
from smtpd.errors import Temporary
from smtpd.events import Event, log
from smtpd.replies import Reply, kind_of

_EVERY_S = 2.0
# Looking takes at most this part of the time, however long the line is.
_SHARE = 0.02


class Backlog(Protocol):
    """The part of the store that knows how long the line is."""

    async def in_line(self, limit: int) -> int: ...


class Capacity:
    """Looks every two seconds; the door asks for each mail what was seen last."""

    def __init__(self, backlog: Backlog, folder: Path, settings: DoorSettings) -> None:
        self._backlog = backlog
        self._folder = folder
        self._free_min_bytes = settings.disk_free_min_bytes
        self._queue_max = settings.queue_max
        self._sees_disk = True
        self._no_space = False
        self._line_too_long = False
        self._told: Reply | None = None

    def objection(self) -> Reply | None:
        """Why no mail is taken for now, None where there is room."""
        if self._no_space:
            return replies.NO_ROOM
        return replies.TOO_MUCH_WAITS if self._line_too_long else None

    async def run(self) -> None:
        """Look for as long as it runs."""
        while True:
            began = time.monotonic()
            await self.look()
            await asyncio.sleep(max(_EVERY_S, (time.monotonic() - began) / _SHARE))

    async def look(self) -> None:
        """Look once. What cannot be seen at the moment is taken to be as it was."""
        await self._look_at_the_disk()
        # That the database is away is told by those who need it more.
        with suppress(Temporary):
            count = await self._backlog.in_line(self._queue_max + 1)
            self._line_too_long = count > self._queue_max
        self._tell()

    async def _look_at_the_disk(self) -> None:
        try:
            # In a thread: a disk that hangs shall not take the door with it.
            space = await asyncio.to_thread(os.statvfs, self._folder)
        except OSError as error:
            if self._sees_disk:
                log(Event.AWAY, neighbour="disk", because=error.strerror or "it tells no space")
            self._sees_disk = False
            return
        self._sees_disk = True
        self._no_space = space.f_bavail * space.f_frsize < self._free_min_bytes

    def _tell(self) -> None:
        objection = self.objection()
        if objection is self._told:
            return
        if objection is None:
            log(Event.ROOM)
        else:
            log(Event.FULL, kind=kind_of(objection), because=objection.text)
        self._told = objection

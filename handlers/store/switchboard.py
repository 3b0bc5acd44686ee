"""The HTTP API's way to the stop switch, and to the file that does the same."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncEngine

from handlers.store import switching
from handlers.store.switching import Traffic
from handlers.store.transacting import DATABASE_ERRORS, in_our_words, reading
from handlers.store.writer import Writer
from smtpd.errors import Permanent


class Switchboard:
    """Does what `server.py stop-sending` and `resume` do. Every method raises Temporary."""

    def __init__(self, engine: AsyncEngine, writer: Writer, stop_file: Path) -> None:
        self._engine = engine
        self._writer = writer
        self._stop_file = stop_file

    async def traffic(self) -> Traffic:
        """What waits, what leaves, and whether it may."""
        try:
            found = await reading(self._engine, switching.traffic)
        except DATABASE_ERRORS as error:
            raise in_our_words(error) from error
        by_file = await asyncio.to_thread(self._stop_file.exists)
        return replace(found, stopped_by_file=by_file)

    async def stop(self) -> bool:
        """Stop sending; False where the switch was there already."""
        return await self._writer.write(partial(switching.stop, now=datetime.now(UTC)))

    async def resume(self) -> bool:
        """Send again; False where nothing stood in the way.

        Raises Permanent, and resumes nothing, where the file cannot be removed.
        """
        try:
            removed = await asyncio.to_thread(switching.remove_stop_file, self._stop_file)
        except OSError:
            raise Permanent("the file that stops this server cannot be removed") from None
        changed = await self._writer.write(partial(switching.resume, now=datetime.now(UTC)))
        return changed or removed

"""Listens to the house's own log events, so that the demonstration can tell a mail's journey."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from config.demo.telling import Moment
from smtpd.events import EVENTS_LOGGER, Event

# Fields that a moment tells by itself.
UNTOLD = frozenset({"event", "ticket", "because"})
ENDINGS = frozenset({Event.ANSWERED, Event.UNANSWERED, Event.HELD, Event.KEPT, Event.GIVEN_UP})


class Ears(logging.Handler):
    """A handler of the events' logger; `heard` is told each moment and its ticket, "" for none."""

    def __init__(
        self, heard: Callable[[str, Moment], None] = lambda _ticket, _moment: None
    ) -> None:
        super().__init__(logging.DEBUG)
        self._heard = heard
        self._moments: dict[str, list[Moment]] = defaultdict(list)
        self._ended: dict[str, asyncio.Event] = defaultdict(asyncio.Event)

    def emit(self, record: logging.LogRecord) -> None:
        # structlog hands the whole line over as a mapping; other loggers send text.
        line = record.msg
        if not isinstance(line, dict):
            return
        ticket = str(line.get("ticket", ""))
        if not ticket and record.levelno < logging.INFO:
            return
        moment = Moment(
            at=datetime.fromtimestamp(record.created, UTC),
            event=str(line["event"]),
            because=_told(line),
        )
        self._moments[ticket].append(moment)
        self._heard(ticket, moment)
        if moment.event in ENDINGS:
            self._ended[ticket].set()

    def so_far(self, ticket: str) -> list[Moment]:
        """The ticket's moments up to now."""
        return list(self._moments[ticket])

    async def journey(self, ticket: str, timeout_s: float) -> list[Moment]:
        """The ticket's moments, once its story has ended. Raises TimeoutError."""
        async with asyncio.timeout(timeout_s):
            await self._ended[ticket].wait()
        return self.so_far(ticket)


@contextmanager
def listening(ears: Ears) -> Iterator[None]:
    """Hear every event of the house, DEBUG included; the log's own output stays as it is."""
    logger = logging.getLogger(EVENTS_LOGGER)
    shown = {handler: handler.level for handler in logging.getLogger().handlers}
    level = logger.level
    for handler in shown:
        handler.setLevel(max(handler.level, level))
    logger.addHandler(ears)
    logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        logger.removeHandler(ears)
        logger.setLevel(level)
        for handler, before in shown.items():
            handler.setLevel(before)


def _told(line: dict[str, object]) -> str:
    details = [
        f"{name}={value:.3f}" if isinstance(value, float) else f"{name}={value}"
        for name, value in line.items()
        if name not in UNTOLD and not name.startswith("_")
    ]
    because = str(line.get("because") or "")
    return ", ".join([because] * bool(because) + details)

"""How log lines look, and the last net for what must not stand in them.

Colour on a terminal, one JSON object a line elsewhere, on standard error. All
loggers, also those of libraries, pass through here: a mail address becomes its
keyed hash, a secret of ours is cut out, an exception is told by its type and
its frames. The events themselves are smtpd/events.py's.
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from collections.abc import Collection, Iterator
from typing import Any, TextIO

import structlog
from structlog.types import EventDict, Processor

from config.redaction import Redaction
from config.settings import LogSettings, SettingsError
from smtpd.errors import Trouble
from smtpd.events import EVENTS_LOGGER, Event, set_hash_key

# Libraries are heard from WARNING on, whatever LOG_LEVEL says: below it aiosmtpd prints
# each line of DATA, aiosqlite and SQLAlchemy each statement with its values.
LIBRARY_LEVEL = logging.WARNING

# What aiosmtpd warns of ("unrecognised: …") quotes the peer's line, and after a refused DATA
# that can be a line of the message. What uvicorn tells, handlers/web/ tells in our words.
QUIETER = {
    "mail.log": logging.ERROR,
    "aiohttp.access": logging.ERROR,
    "uvicorn.error": logging.CRITICAL,
}

# Texts of other exceptions may quote what they failed on: a mail, a statement's values.
TELLING = (Trouble, OSError, SettingsError)

FRAMES = 30  # of one exception; a recursion's other thousand say the same
LINKS = 10  # exceptions behind one exception


def configure(settings: LogSettings, hash_key: bytes, secrets: Collection[str] = ()) -> None:
    """Send every logger's lines through the net to standard error.

    `hash_key` makes address hashes last over restarts; `secrets` are values that are cut
    out wherever they appear (config.redaction.secret_values(settings)).
    """
    set_hash_key(hash_key)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,  # events.py asks once, before this ran
    )
    output = Output(sys.stderr)
    output.setFormatter(_formatter(settings, Redaction(secrets), colour=sys.stderr.isatty()))
    output.addFilter(_worth_a_line)
    root = logging.getLogger()
    root.handlers[:] = [output]
    root.setLevel(LIBRARY_LEVEL)
    logging.getLogger(EVENTS_LOGGER).setLevel(settings.level)
    for name, level in QUIETER.items():
        logging.getLogger(name).setLevel(level)
    logging.captureWarnings(True)
    sys.excepthook = _last_words
    threading.excepthook = lambda end: _last_words(end.exc_type, end.exc_value, None)
    sys.unraisablehook = _unheard


class Output(logging.StreamHandler[TextIO]):
    """Standard error, without the inherited way of telling its own troubles."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Say that a line is missing; the inherited one prints its arguments past the net."""
        if record.args:
            plain = {"name": record.name, "levelno": record.levelno, "levelname": record.levelname}
            self.emit(logging.makeLogRecord({**plain, "msg": "a line that cannot be formatted"}))


def _worth_a_line(record: logging.LogRecord) -> bool:
    # A library may have given its own logger a lower level.
    return record.name == EVENTS_LOGGER or record.levelno >= LIBRARY_LEVEL


def _formatter(
    settings: LogSettings, redaction: Redaction, *, colour: bool
) -> structlog.stdlib.ProcessorFormatter:
    renderer: Processor = (
        structlog.dev.ConsoleRenderer(colors=True)
        if colour
        else structlog.processors.JSONRenderer()
    )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[_as_library_event],
        processors=[
            redaction,
            _Exceptions(redaction, with_frames=settings.level == logging.DEBUG),
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _in_reading_order,
            renderer,
        ],
    )


def _as_library_event(_logger: object, _method: str, line: EventDict) -> EventDict:
    record: logging.LogRecord = line["_record"]
    line["logger"] = record.name
    # asyncio's further lines are the repr of a task, with the text of its exception.
    line["message"] = str(line["event"]).partition("\n")[0]
    line["event"] = Event.LIBRARY.value
    line.pop("stack_info", None)
    return line


def _in_reading_order(_logger: object, _method: str, line: EventDict) -> EventDict:
    first = {name: line.pop(name) for name in ("timestamp", "level", "event")}
    return {**first, **line}


class _Exceptions:
    """Replaces exc_info by the exception's type, and under DEBUG by its frames."""

    def __init__(self, redaction: Redaction, *, with_frames: bool) -> None:
        self._redaction = redaction
        self._with_frames = with_frames

    def __call__(self, _logger: object, _method: str, line: EventDict) -> EventDict:
        error = _exception_in(line.pop("exc_info", None))
        if error is None:
            return line
        line["error"] = self._redaction.text(_told(error))
        if self._with_frames:
            told = (self._redaction.text(part) for part in _story(error, LINKS))
            line["exception"] = "\n".join(told)
        return line


def _exception_in(exc_info: Any) -> BaseException | None:
    if isinstance(exc_info, tuple):
        exc_info = exc_info[1]
    elif exc_info and not isinstance(exc_info, BaseException):
        exc_info = sys.exc_info()[1]
    return exc_info if isinstance(exc_info, BaseException) else None


def _told(error: BaseException) -> str:
    kind = type(error).__qualname__
    return f"{kind}: {error}" if isinstance(error, TELLING) else kind


def _story(error: BaseException, links: int) -> Iterator[str]:
    """The exception, its frames, and what stands behind it; innermost frame last."""
    yield _told(error)
    for frame in traceback.extract_tb(error.__traceback__, limit=-FRAMES):
        yield f"  {frame.filename}:{frame.lineno} {frame.name}"
    if links == 0:
        return
    if isinstance(error, BaseExceptionGroup):
        for member in error.exceptions[:links]:
            yield "which holds"
            yield from _story(member, links - 1)
    behind = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if behind is not None:
        yield "behind it"
        yield from _story(behind, links - 1)


def _last_words(kind: type[BaseException], error: BaseException | None, _trace: object) -> None:
    """What ends the process or a thread is told like everything else, not with its text."""
    if issubclass(kind, KeyboardInterrupt | SystemExit):
        return
    structlog.stdlib.get_logger(EVENTS_LOGGER).critical(Event.TROUBLE.value, exc_info=error)


def _unheard(end: sys.UnraisableHookArgs) -> None:
    """What nobody could be told, from a callback or a destructor; Python prints its text.

    A peer whose TLS name is no ASCII makes the ssl module do so, and chooses that text.
    """
    structlog.stdlib.get_logger(EVENTS_LOGGER).warning(Event.LIBRARY.value, exc_info=end.exc_value)

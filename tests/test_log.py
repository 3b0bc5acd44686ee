"""The log: a closed list of events, and a net that no address, secret or mail passes."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any, cast

import pytest
import structlog
from aiosmtpd.smtp import SMTP

from config.log import QUIETER, Output, configure
from config.settings import LogSettings, StoreSettings
from smtpd import events
from smtpd.errors import Temporary
from smtpd.events import Event, address_hash, log, set_hash_key

ROOT = Path(__file__).parent.parent
KEY = b"a key of this test and no other."
SECRET = "hunter2hunter2"

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def stderr() -> Iterator[io.StringIO]:
    """What start() takes for standard error; afterwards logging is as it was."""
    root = logging.getLogger()
    level = root.level
    hooks, key = (sys.excepthook, threading.excepthook), events._hash_key
    yield io.StringIO()
    root.handlers[:] = [handler for handler in root.handlers if not isinstance(handler, Output)]
    root.setLevel(level)
    sys.excepthook, threading.excepthook = hooks
    for name in (*QUIETER, events.EVENTS_LOGGER):
        logging.getLogger(name).setLevel(logging.NOTSET)
    logging.captureWarnings(False)
    structlog.reset_defaults()
    set_hash_key(key)


def start(stream: io.StringIO, settings: LogSettings) -> None:
    with redirect_stderr(stream):
        configure(settings, KEY, {SECRET})


def read(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.fixture
def lines(stderr: io.StringIO) -> Lines:
    """Everything logged so far under DEBUG, each line read as JSON."""
    start(stderr, LogSettings(debug=True))
    return lambda: read(stderr)


def test_an_event_is_one_json_line_with_its_fields(lines: Lines) -> None:
    log(Event.QUEUED, ticket="t1", because="proven", seconds_s=0.25)
    (line,) = lines()
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "level": "info",
        "event": "queued",
        "ticket": "t1",
        "because": "proven",
        "seconds_s": 0.25,
    }


def test_an_event_outside_the_closed_list_is_refused(lines: Lines) -> None:
    with pytest.raises(TypeError, match="not an event"):
        log(cast(Event, "queued"))
    assert lines() == []


@pytest.mark.parametrize("event", Event)
def test_every_event_says_what_it_means(event: Event) -> None:
    assert event.sentence.endswith(".")
    assert event.level in {logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR}


def test_an_event_below_the_level_is_not_logged(stderr: io.StringIO) -> None:
    start(stderr, LogSettings(log_level="WARNING"))
    log(Event.QUEUED, ticket="t1")
    log(Event.RETRY, ticket="t1")
    assert [line["event"] for line in read(stderr)] == ["retry"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_colour_and_no_json(stderr: io.StringIO) -> None:
    screen = Terminal()
    start(screen, LogSettings())
    log(Event.QUEUED, ticket="t1", because="from bob@x.example")
    assert "queued" in screen.getvalue()
    assert "\x1b[" in screen.getvalue()
    assert "bob" not in screen.getvalue()


def test_a_hash_stands_for_an_address_whatever_its_case_and_changes_with_the_key(
    stderr: io.StringIO,
) -> None:
    set_hash_key(KEY)
    first = address_hash("Bob@X.example")
    assert first == address_hash("bob@x.example")
    assert len(first) == 12
    assert int(first, 16) >= 0
    set_hash_key(KEY[::-1])
    assert address_hash("bob@x.example") != first


def test_redaction_reaches_into_lists_mappings_and_unknown_objects(lines: Lines) -> None:
    class Mail:
        def __repr__(self) -> str:
            return "the whole mail"

    log(Event.KEPT, rcpt=("bob@x.example", {"bob@x.example": 1}), mail=Mail(), raw=b"x", size=b"xy")
    (line,) = lines()
    hashed = address_hash("bob@x.example")
    assert line["rcpt"] == [hashed, {hashed: 1}]
    assert "whole mail" not in line["mail"]
    assert "raw" not in line
    assert line["size"] == "(2 bytes)"


@pytest.mark.parametrize("name", ["subject", "body_text", "prompt", "answer"])
def test_a_field_that_holds_content_is_dropped(lines: Lines, name: str) -> None:
    log(Event.ASKED, **{name: "what she wrote"})
    assert name not in lines()[0]


def test_a_known_secret_is_cut_out_wherever_it_appears(lines: Lines) -> None:
    log(Event.AWAY, because=f"login with {SECRET} failed")
    logging.getLogger("redis").warning("url redis://:%s@host", SECRET)
    assert lines()[0]["because"] == "login with [secret] failed"
    assert lines()[1]["message"] == "url redis://:[secret]@host"


def test_a_stranger_s_text_forges_no_line_and_drives_no_terminal(lines: Lines) -> None:
    log(Event.REJECTED, helo='x\n{"event": "answered"}\x1b[2J\u202e\ud800')
    (line,) = lines()
    assert line["helo"] == 'x\\n{"event": "answered"}\\x1b[2J\\u202e\\ud800'


def test_a_long_text_is_cut(lines: Lines) -> None:
    log(Event.REJECTED, because="x" * 100_000)
    assert len(lines()[0]["because"]) < 3000


def fail_with(error: Exception) -> None:
    try:
        Event["what she wrote"]
    except KeyError as cause:
        raise error from cause


def test_debug_shows_frames_and_types_but_no_text_of_a_foreign_exception(lines: Lines) -> None:
    try:
        fail_with(ValueError("what she wrote to bob@x.example"))
    except ValueError as error:
        log(Event.TROUBLE, exc_info=error)
    (line,) = lines()
    assert line["error"] == "ValueError"
    assert "test_log.py:" in line["exception"]
    assert "fail_with" in line["exception"]
    assert "KeyError" in line["exception"]
    assert "she wrote" not in json.dumps(line)


def test_our_own_exceptions_and_the_system_s_say_why_without_addresses(lines: Lines) -> None:
    for error in (Temporary("relay said no to bob@x.example"), ConnectionError("bob@x.example")):
        try:
            fail_with(error)
        except (Temporary, OSError):
            log(Event.RETRY, exc_info=True)
    told = lines()
    assert told[0]["error"] == f"Temporary: relay said no to {address_hash('bob@x.example')}"
    assert told[1]["error"] == f"ConnectionError: {address_hash('bob@x.example')}"
    assert "bob" not in json.dumps(told)


def test_the_members_of_a_group_are_told(lines: Lines) -> None:
    log(Event.TROUBLE, exc_info=ExceptionGroup("tasks", [Temporary("gone"), ValueError("mail")]))
    (line,) = lines()
    assert "Temporary: gone" in line["exception"]
    assert "ValueError" in line["exception"]
    assert "mail" not in line["exception"]


def test_an_endless_recursion_is_told_in_a_few_lines(lines: Lines) -> None:
    def again() -> None:
        again()

    try:
        again()
    except RecursionError as error:
        log(Event.TROUBLE, exc_info=error)
    assert len(lines()[0]["exception"].splitlines()) < 50


def test_without_debug_an_exception_is_told_without_frames(stderr: io.StringIO) -> None:
    start(stderr, LogSettings())
    log(Event.TROUBLE, exc_info=ValueError("what she wrote"))
    (line,) = read(stderr)
    assert line["error"] == "ValueError"
    assert "exception" not in line


def test_a_library_s_warning_is_one_event_with_its_logger(lines: Lines) -> None:
    logging.getLogger("alembic").warning("to %s", "bob@x.example")
    (line,) = lines()
    assert line["event"] == "library"
    assert line["logger"] == "alembic"
    assert line["message"] == f"to {address_hash('bob@x.example')}"


@pytest.mark.parametrize("name", ["mail.log", "sqlalchemy.engine", "asyncio", "aiosqlite"])
def test_a_library_s_debug_lines_are_never_heard(lines: Lines, name: str) -> None:
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.DEBUG)  # what `echo=True` or a debug switch does
    try:
        logger.debug("DATA readline: what she wrote")
        logger.info("INSERT INTO mail VALUES ('what she wrote')")
    finally:
        logger.setLevel(before)
    assert lines() == []


def test_a_line_of_the_library_that_cannot_be_formatted_shows_no_arguments(
    lines: Lines,
) -> None:
    output = next(one for one in logging.getLogger().handlers if isinstance(one, Output))
    record = ("some.library", logging.WARNING, __file__, 1, "%d parts", ("what she wrote",), None)
    output.handle(logging.LogRecord(*record))
    (line,) = lines()
    assert "cannot be formatted" in line["message"]
    assert "she wrote" not in json.dumps(line)


async def test_a_lost_task_s_exception_text_stays_out(lines: Lines) -> None:
    async def lost() -> None:
        raise ValueError("what she wrote")

    task = asyncio.create_task(lost())
    await asyncio.wait([task])
    asyncio.get_running_loop().call_exception_handler(
        {
            "message": "Task exception was never retrieved",
            "task": task,
            "exception": task.exception(),
        }
    )
    (line,) = lines()
    assert line["message"] == "Task exception was never retrieved"
    assert line["error"] == "ValueError"
    assert "she wrote" not in json.dumps(line)


async def test_an_smtp_session_s_data_is_never_printed(lines: Lines) -> None:
    """aiosmtpd prints each line of DATA at DEBUG, and unknown commands as warnings."""

    class Taker:
        async def handle_DATA(self, server: object, session: object, envelope: object) -> str:
            return "250 ok"

    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(Taker(), loop=loop, hostname="mx.test", ident="x"), "127.0.0.1", 0
    )
    async with server, asyncio.timeout(10):
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        await reader.readline()
        for said in (
            b"EHLO me.test\r\n",
            b"MAIL FROM:<bob@x.example>\r\n",
            b"RCPT TO:<ai@x.example>\r\n",
            b"DATA\r\n",
            b"Subject: she wrote\r\n\r\nshe wrote\r\n.\r\n",
            b"she wrote this after the dot\r\n",
            b"QUIT\r\n",
        ):
            writer.write(said)
            reply = await reader.readline()
            while reply[3:4] == b"-":
                reply = await reader.readline()
        writer.close()
        await writer.wait_closed()
    assert reply.startswith(b"221")
    assert lines() == []


def test_a_warning_of_python_passes_the_net(stderr: io.StringIO) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        start(stderr, LogSettings())
        warnings.warn("deprecated for bob@x.example", stacklevel=1)
    (line,) = read(stderr)
    assert "UserWarning: deprecated" in line["message"]
    assert "bob" not in line["message"]


@pytest.mark.parametrize("where", ["main", "thread"])
def test_an_exception_nobody_caught_shows_its_type_and_not_its_text(where: str) -> None:
    program = f"""
import threading
from config.log import QUIETER, Output, configure
from config.settings import LogSettings
configure(LogSettings(), b"k" * 32)
def fail():
    raise ValueError("what she wrote")
if {where == "thread"}:
    thread = threading.Thread(target=fail); thread.start(); thread.join()
else:
    fail()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    line = json.loads(done.stderr)
    assert line["event"] == "trouble"
    assert line["error"] == "ValueError"


def test_a_field_named_like_the_log_s_own_is_redacted_too(lines: Lines) -> None:
    log(Event.TROUBLE, exception="bob@x.example", error="bob@x.example", exc_info=ValueError("x"))
    log(Event.TROUBLE, exception="bob@x.example")
    assert [line["event"] for line in lines()] == ["trouble", "trouble"]
    assert "bob@" not in json.dumps(lines())


def test_settings_hide_their_secrets_from_the_log(lines: Lines) -> None:
    log(Event.STARTING, store=StoreSettings.model_construct())
    assert lines()[0]["store"] == "(StoreSettings)"


def test_every_event_is_logged_by_somebody() -> None:
    said = "\n".join(
        path.read_text()
        for room in ("smtpd", "handlers", "config")
        for path in (ROOT / room).rglob("*.py")
        if path.name != "events.py"
    )
    assert [event.name for event in Event if f"Event.{event.name}" not in said] == []

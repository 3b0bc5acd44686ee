"""Runs the house: opens in order, supervises, drains in order, and closes.

The listener opens last and closes first, the database the other way round: what
was promised can be written down until the end.
"""

from __future__ import annotations

import asyncio
import faulthandler
import fcntl
import resource
import secrets
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path

import uvloop

from config.log import configure
from config.ourselves import refuse_ourselves_as_relay
from config.redaction import secret_values
from config.settings import Settings, SettingsError
from config.wiring import Parts, wire
from handlers.store.sealing import derived
from smtpd.errors import Temporary
from smtpd.events import Event, log
from smtpd.tally import tell_tally

_INSTALLATION_FILE = "installation"
_LOCK_FILE = "lock"
_WATCHED_EVERY_S = 1.0
# What failed begins again after a pause, doubled each time.
_AGAIN_S = 1.0
_AGAIN_MAX_S = 60.0


@contextmanager
def installation(folder: Path) -> Iterator[str]:
    """Hold the folder of this installation alone; its name, made once.

    Raises SettingsError when another run holds it, or it cannot be written.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock_file = (folder / _LOCK_FILE).open("a")
    except OSError as error:
        raise SettingsError(
            f"EMAIL_DATA_DIR cannot be used as a folder ({error.strerror}); name one that this "
            "server may write to."
        ) from None
    with lock_file as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise SettingsError(
                "EMAIL_DATA_DIR is in use by another run of this server: stop that one first, "
                "or give this one a folder of its own."
            ) from None
        try:
            name = _name(folder / _INSTALLATION_FILE)
        except OSError as error:
            raise SettingsError(
                f"EMAIL_DATA_DIR cannot be written ({error.strerror}); make room, or name a folder "
                "that this server may write to."
            ) from None
        yield name


def _name(file: Path) -> str:
    """What the file says, made where it says nothing: a full disk may have left it empty.

    Two installations without a name would take each other's mail for their own.
    """
    name = file.read_text().strip() if file.exists() else ""
    if not name:
        name = secrets.token_hex(8)
        file.write_text(name)
    return name


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Parts]:
    """The whole house at work, until the block ends; then it drains and closes.

    Raises SettingsError or Trouble, one sentence, when it cannot start. When the
    store or the listener fails later, the block is cancelled and the failure raised.
    """
    log(Event.STARTING)
    if settings.house.testing_answer_unproven:
        log(Event.UNPROVEN)
    await refuse_ourselves_as_relay(settings)
    async with AsyncExitStack() as stack:
        name = stack.enter_context(installation(settings.store.email_data_dir))
        house = await wire(settings, name, stack)
        try:
            async with asyncio.TaskGroup() as tasks:
                background = await _open(house, name, tasks)
                yield house
                await _drain(house, background)
        except BaseExceptionGroup as failures:
            # What fails after the first fails because of it.
            raise failures.exceptions[0] from None
    log(Event.STOPPED)


async def _open(
    house: Parts, name: str, tasks: asyncio.TaskGroup
) -> tuple[asyncio.Task[None], ...]:
    """Start everything; the tasks that would run for ever."""
    tasks.create_task(house.writer.run(), name="writer")
    await asyncio.gather(house.reading.start(), house.checking.start())
    if because := house.reading.confinement or house.checking.confinement:
        log(Event.UNCONFINED, because=because)
    await house.capacity.look()
    await house.store.release_installation(name)
    await house.store.beat()
    await house.gate.look()
    with suppress(Temporary):  # what waits already goes before what comes now
        await house.sweeper.sweep()
    tasks.create_task(house.worker.run(), name="workers")
    endless = (
        house.worker.beat,
        house.line.keep_notes,
        house.sweeper.run,
        house.capacity.run,
        house.gate.run,
        tell_tally,
        *((house.api.run,) if house.api else ()),
    )
    background = (
        *(tasks.create_task(work(), name=work.__qualname__) for work in endless),
        tasks.create_task(kept_up(house.operator.run), name="operator"),
    )
    try:
        await house.listener.start()
    except OSError as error:
        raise SettingsError(
            f"LISTEN_HOST and LISTEN_PORT cannot be bound ({error.strerror}); stop what uses "
            "them, choose others, or give this process the right to bind them."
        ) from None
    return background


async def kept_up(work: Callable[[], Awaitable[None]], pause_s: float = _AGAIN_S) -> None:
    """Begin the work again when it fails: mail does not stop for what only tells about it."""
    while True:
        # Whatever went wrong there belongs to the log, not to the house.
        [error] = await asyncio.gather(work(), return_exceptions=True)
        log(Event.TROUBLE, exc_info=error)
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, _AGAIN_MAX_S)


async def _drain(house: Parts, background: tuple[asyncio.Task[None], ...]) -> None:
    log(Event.DRAINING)
    await house.listener.stop(house.drain_timeout_s)
    await house.worker.stop()
    for task in background:
        task.cancel()
    house.writer.finish()


def run(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT; the exit code."""
    secret_key = settings.store.secret_key.get_secret_value()
    configure(
        settings.log, derived(secret_key.encode(), "answermx log hashes"), secret_values(settings)
    )
    _allow_many_sockets()
    uvloop.run(_run(settings))
    return 0


def _allow_many_sockets() -> None:
    """Raise the usual 1024 open files as far as this user may: each connection is one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def _run(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with running(settings):
        watchdog = asyncio.create_task(
            _watch_the_loop(settings.worker.processing_timeout), name="watchdog"
        )
        try:
            await stop.wait()
        finally:
            watchdog.cancel()
            faulthandler.cancel_dump_traceback_later()


async def _watch_the_loop(timeout_s: float) -> None:
    """End the process when the event loop stands still for PROCESSING_TIMEOUT.

    No deadline of ours can act then; faulthandler's thread needs no interpreter. The
    frames go to stderr, and the mail's lost claim counts against it at the restart.
    """
    while True:
        faulthandler.dump_traceback_later(timeout_s, exit=True)
        await asyncio.sleep(min(_WATCHED_EVERY_S, timeout_s / 10))

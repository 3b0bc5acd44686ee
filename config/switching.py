"""`server.py stop-sending`, `resume` and `queue`: whether replies leave, and what waits.

Mail is taken all the same.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from config import picturing
from config.desk import DONE, NotDone, done, opened
from config.settings import Settings, SettingsError
from handlers.store import switching
from handlers.store.switching import STOP_FILE, Traffic


def stop(settings: Settings, arguments: argparse.Namespace) -> int:
    """Stop sending, and say what is so now; the exit code."""
    return done(_stop(settings, arguments))


def resume(settings: Settings, arguments: argparse.Namespace) -> int:
    """Send again, and say what is so now; the exit code."""
    return done(_resume(settings, arguments))


def show(settings: Settings, arguments: argparse.Namespace) -> int:
    """Say how much waits, and whether anything leaves; the exit code."""
    return done(_show(settings, arguments))


async def _show(settings: Settings, arguments: argparse.Namespace) -> int:
    async with opened(settings) as desk:
        traffic = await desk.see(switching.traffic)
    file = settings.store.email_data_dir / STOP_FILE
    by_file = file.exists()
    if arguments.json:
        picturing.write_json({**asdict(traffic), "stopped_by_file": by_file})
        return DONE
    stopped = "Sending is stopped" if traffic.stopped_since or by_file else "Replies are sent"
    _tell_people(traffic, f"{stopped} (the file {file} is there)" if by_file else stopped)
    held = _mails(traffic.held, "is", "are")
    failed = _mails(traffic.failed, "has", "have")
    sys.stdout.write(f"{held} held, {failed} failed: server.py mail list shows them.\n")
    return DONE


async def _stop(settings: Settings, arguments: argparse.Namespace) -> int:
    try:
        async with opened(settings) as desk:
            changed = await desk.step(partial(switching.stop, now=datetime.now(UTC)))
            traffic = await desk.see(switching.traffic)
    except SettingsError as error:
        # Whoever has to stop a house now may not be able to mend its database first.
        file = settings.store.email_data_dir / STOP_FILE
        raise SettingsError(f"{error} An empty file {file} stops this server, too.") from None
    was = "Sending is stopped" if changed else "Sending was stopped already"
    _tell(traffic, was, changed=changed, as_json=arguments.json)
    return DONE


async def _resume(settings: Settings, arguments: argparse.Namespace) -> int:
    async with opened(settings) as desk:
        # The file first: where it cannot be removed, nothing is resumed in part.
        removed = _remove(settings.store.email_data_dir / STOP_FILE)
        changed = await desk.step(partial(switching.resume, now=datetime.now(UTC)))
        traffic = await desk.see(switching.traffic)
    changed = changed or removed
    _tell(
        traffic,
        "Sending goes on" if changed else "Sending was not stopped",
        changed=changed,
        as_json=arguments.json,
    )
    return DONE


def _remove(file: Path) -> bool:
    """Remove the file that stops this installation; whether it was there."""
    try:
        return switching.remove_stop_file(file)
    except OSError as error:
        raise NotDone(f"{file} stops this server and cannot be removed: {error.strerror}") from None


def _tell(traffic: Traffic, what: str, *, changed: bool, as_json: bool) -> None:
    if as_json:
        picturing.write_json(
            {
                "stopped_since": traffic.stopped_since,
                "changed": changed,
                "waiting": traffic.waiting,
                "leaving": traffic.leaving,
            }
        )
    else:
        _tell_people(traffic, what)


def _tell_people(traffic: Traffic, what: str) -> None:
    since = f" since {picturing.told(traffic.stopped_since)}" if traffic.stopped_since else ""
    sys.stdout.write(
        f"{what}{since}. {_mails(traffic.waiting, 'waits', 'wait')}, "
        f"{_mails(traffic.leaving, 'is', 'are')} being handed over to the relay.\n"
    )


def _mails(number: int, one: str, many: str) -> str:
    return f"1 mail {one}" if number == 1 else f"{number} mails {many}"

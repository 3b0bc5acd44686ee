"""`server.py user …`: who writes to us, and how they are treated."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial

from sqlalchemy import Connection

from config import picturing
from config.desk import (
    DONE,
    Desk,
    NotDone,
    WrongUsage,
    address,
    done,
    one_of,
    opened,
    whole_number,
)
from config.settings import Settings
from handlers.store import users
from handlers.store.users import Account, Status
from handlers.writing import TEMPLATES

ANSWERS_MAX = 10_000  # an hour; more than any house gives
_DEFAULT = "default"  # as the settings say


def main(settings: Settings, arguments: argparse.Namespace) -> int:
    """Do what was asked; the exit code."""
    return done(_VERBS[arguments.verb](settings, arguments))


async def _list(settings: Settings, arguments: argparse.Namespace) -> int:
    limit = whole_number("--limit", arguments.limit, most=picturing.LIST_MAX)
    status = None if arguments.status is None else _status(arguments.status)
    async with opened(settings) as desk:
        query = partial(users.accounts, master=desk.master, status=status, limit=limit + 1)
        found = await desk.see(query)
    none = "There is nobody."
    picturing.show_list(found, limit, picturing.accounts, as_json=arguments.json, none=none)
    return DONE


async def _show(settings: Settings, arguments: argparse.Namespace) -> int:
    asked = address(arguments.address)
    async with opened(settings) as desk:
        found = await _account(desk, asked)
    if found is None:
        raise NotDone(f"{asked} has not written to this house")
    if arguments.json:
        picturing.write_json(asdict(found))
    else:
        picturing.show(picturing.account(found))
    return DONE


async def _set(settings: Settings, arguments: argparse.Namespace) -> int:
    who = address(arguments.address)
    changes = _changes(arguments)
    if not changes:
        raise WrongUsage("Say what to change: --status, --language, --format or --answers-per-hour")
    async with opened(settings) as desk:
        person = desk.hasher.address(who)

        def work(connection: Connection) -> bool:
            if arguments.create:
                users.create(connection, person, who, desk.master, datetime.now(UTC))
            return users.change(connection, person, changes)

        if not await desk.step(work):
            raise NotDone(f"{who} has not written to this house; --create makes the account now")
        found = await _account(desk, who)
    if found is not None:
        picturing.show(picturing.account(found))
    return DONE


async def _account(desk: Desk, who: str) -> Account | None:
    person = desk.hasher.address(who)
    return await desk.see(partial(users.account, person=person, master=desk.master))


def _changes(arguments: argparse.Namespace) -> dict[str, object]:
    """What is to become of which column. Raises WrongUsage for what cannot be meant."""
    changes: dict[str, object] = {}
    if arguments.status is not None:
        changes["status"] = _status(arguments.status).value
    if arguments.language is not None:
        changes["language"] = _word("--language", arguments.language, _languages())
    if arguments.format is not None:
        changes["format"] = _word("--format", arguments.format, ("text",))
    if (rate := arguments.answers_per_hour) is not None:
        changes["answers_per_hour"] = (
            None
            if rate == _DEFAULT
            else whole_number("--answers-per-hour", rate, most=ANSWERS_MAX, or_else=_DEFAULT)
        )
    return changes


def _status(word: str) -> Status:
    return Status(one_of("--status", word, tuple(Status)))


def _word(name: str, word: str, words: tuple[str, ...]) -> str:
    """The word, or "" where the default is asked for."""
    if not word:
        return ""
    chosen = one_of(name, word, (*words, _DEFAULT))
    return "" if chosen == _DEFAULT else chosen


def _languages() -> tuple[str, ...]:
    return tuple(sorted(folder.name for folder in TEMPLATES.iterdir() if folder.is_dir()))


_VERBS = {"list": _list, "show": _show, "set": _set}

"""The desk: where a person works on the house's mail, beside the running server.

A command opens the database, takes a step or two in short transactions, and is gone. What
it puts in line again a server finds by itself. Neighbours: config/mailing.py, replying.py,
userbook.py, switching.py and explaining.py work here.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncEngine

from config.database import database
from config.settings import Settings, SettingsError
from handlers.store.opening import HouseKeys, engine_for, open_database
from handlers.store.sealing import Hasher, Seal
from handlers.store.transacting import DATABASE_ERRORS, in_our_words, in_transaction, reading
from smtpd.addresses import normal
from smtpd.decoding import one_line
from smtpd.errors import Trouble

Result = TypeVar("Result")

DONE, NOT_DONE, WRONG_USAGE = 0, 1, 2  # exit codes
_ID_MAX = 32  # characters of a mail's id, as its column has them


class NotDone(Exception):
    """What was asked for cannot be done; one sentence says why."""


class WrongUsage(Exception):
    """A value on the command line cannot be meant; one sentence says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """The database and its keys, for one command."""

    engine: AsyncEngine
    keys: HouseKeys
    hasher: Hasher

    @property
    def master(self) -> Seal:
        return self.keys.master

    async def step(self, work: Callable[[Connection], Result]) -> Result:
        """What the work gives, committed. Raises Trouble."""
        try:
            return await in_transaction(self.engine, work)
        except DATABASE_ERRORS as error:
            raise in_our_words(error) from error

    async def see(self, query: Callable[[Connection], Result]) -> Result:
        """What the query gives. Raises Trouble."""
        try:
            return await reading(self.engine, query)
        except DATABASE_ERRORS as error:
            raise in_our_words(error) from error


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Desk]:
    """The desk, for as long as the block lasts.

    Raises SettingsError where the settings do not lead to the database, Trouble where it
    is busy for too long.
    """
    where = database(settings.store)
    engine = engine_for(where.url, where.connect_args)
    try:
        secret_key = settings.store.secret_key.get_secret_value()
        try:
            # What a command writes, the server's own durability check has passed already.
            keys = await open_database(engine, secret_key, unsafe=True)
        except Trouble as error:
            raise SettingsError(f"{error.because.rstrip('.')}.") from None
        except DATABASE_ERRORS as error:
            raise in_our_words(error) from error
        yield Desk(engine=engine, keys=keys, hasher=Hasher(keys.hashing))
    finally:
        await engine.dispose()


def done(command: Coroutine[Any, Any, int]) -> int:
    """Run the command; its exit code, or one sentence and the exit code of what went wrong."""
    try:
        return asyncio.run(command)
    except Trouble as error:
        complain(error.because[:1].upper() + error.because[1:])
        return NOT_DONE
    except NotDone as error:
        complain(str(error))
        return NOT_DONE
    except WrongUsage as error:
        complain(str(error))
        return WRONG_USAGE


def complain(sentence: str) -> None:
    """Say on standard error what is wrong."""
    sys.stderr.write(f"{one_line(sentence, 500).rstrip('.')}.\n")


def known_id(text: str) -> str:
    """A mail's id as the database has it; "" for what no mail can be called."""
    return text.lower() if text.isascii() and text.isalnum() and len(text) <= _ID_MAX else ""


def address(text: str) -> str:
    """The mail address. Raises WrongUsage for what is none."""
    if found := normal(text.strip()):
        return found
    shown = one_line(text, 80) or "An empty text"
    raise WrongUsage(f"{shown} is no mail address; write it like name@example.org")


def whole_number(name: str, text: str, *, most: int, or_else: str = "") -> int:
    """The number from 1 to `most`. Raises WrongUsage for what is none."""
    if text.isascii() and text.isdigit() and len(text) <= len(str(most)) and 1 <= int(text) <= most:
        return int(text)
    another = f", or {or_else}" if or_else else ""
    raise WrongUsage(f"{name} must be a whole number from 1 to {most}{another}")


def one_of(name: str, text: str, words: Sequence[str]) -> str:
    """The word, one of these. Raises WrongUsage for another."""
    if text in words:
        return text
    *others, last = words
    raise WrongUsage(f"{name} must be {', '.join(others)} or {last}")

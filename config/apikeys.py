"""`server.py api-key …`: who may use the HTTP API, and for what."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial

from config import picturing
from config.desk import DONE, NotDone, WrongUsage, done, known_id, one_of, opened
from config.settings import Settings
from handlers.store import apikeys
from handlers.store.apikeys import NAME_MAX, Scope
from smtpd.decoding import one_line


def main(settings: Settings, arguments: argparse.Namespace) -> int:
    """Do what was asked; the exit code."""
    return done(_VERBS[arguments.verb](settings, arguments))


async def _make(settings: Settings, arguments: argparse.Namespace) -> int:
    name, scopes = _name(arguments.name), _scopes(arguments.scopes)
    async with opened(settings) as desk:
        making = partial(
            apikeys.make,
            name=name,
            scopes=scopes,
            house_key=desk.keys.api,
            now=datetime.now(UTC),
        )
        text = await desk.step(making)
    # The key alone on standard output, so that a script can take it from there.
    sys.stdout.write(f"{text}\n")
    sys.stderr.write("Keep this key now: it is not shown again.\n")
    return DONE


async def _list(settings: Settings, arguments: argparse.Namespace) -> int:
    async with opened(settings) as desk:
        found = await desk.see(apikeys.keys)
    if arguments.json:
        picturing.write_json([asdict(one) for one in found])
    elif found:
        picturing.show(picturing.api_keys(found))
    else:
        sys.stdout.write("There is no key.\n")
    return DONE


async def _revoke(settings: Settings, arguments: argparse.Namespace) -> int:
    key_id = known_id(arguments.id)
    async with opened(settings) as desk:
        revoking = partial(apikeys.revoke, key_id=key_id, now=datetime.now(UTC))
        before = await desk.step(revoking)
    if before is None:
        raise NotDone("There is no key of this id; `api-key list` shows them")
    was = "was revoked already" if before.revoked_at else "opens nothing from now on"
    sys.stdout.write(f"{before.id} {was}.\n")
    return DONE


def _name(text: str) -> str:
    """The name. Raises WrongUsage for what is none."""
    name = text.strip()
    if not name or len(name) > NAME_MAX or name != one_line(name, NAME_MAX):
        raise WrongUsage(f"NAME must be one line of 1 to {NAME_MAX} characters")
    return name


def _scopes(words: Sequence[str]) -> frozenset[Scope]:
    """What the key opens. Raises WrongUsage where that is nothing."""
    if not words:
        raise WrongUsage("Say what the key opens: --scope read, --scope operate, --scope privacy")
    return frozenset(Scope(one_of("--scope", word, tuple(Scope))) for word in words)


_VERBS = {"make": _make, "list": _list, "revoke": _revoke}

"""What the process environment and .env say, as text, and which of it is no setting.

Neighbours: config/loading.py turns the text into the tree; `server.py settings`
shows it. The environment stands above .env; an empty value counts as not set.
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from dotenv.parser import Binding, parse_stream

from config.settings import NAMES

# Docker Compose reads the same .env; names of its own may stand there.
COMPOSE_PREFIX = "COMPOSE_"

# One wrong letter in a name of nine (REDIS_URI) gives 0.889; another program's
# EMAIL_HOST_PASSWORD against our EMAIL_PASSWORD gives 0.848.
NEAR = 0.88


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The values by name, and one sentence for each fault in how they were given."""

    values: Mapping[str, str]
    faults: tuple[str, ...]


def find(environ: Mapping[str, str], env_file: Path | None) -> Found:
    """Read both sources. Faults are told, not raised: `server.py settings` goes on."""
    faults: list[str] = []
    values = _read(env_file, faults) if env_file else {}
    for name in sorted(environ):
        if name in NAMES:
            if environ[name].strip():
                values[name] = environ[name]
        elif nearest := _near_miss(name):
            faults.append(f"{name} in the environment is no setting; rename it to {nearest}.")
    faults.extend(
        f"{name} holds a line break or another control character; write it without."
        for name, value in values.items()
        if any(unicodedata.category(character) in {"Cc", "Cs"} for character in value)
    )
    return Found(values=values, faults=tuple(faults))


def _read(env_file: Path, faults: list[str]) -> dict[str, str]:
    values: dict[str, str] = {}
    for binding in _bindings(env_file, faults):
        where = f"{env_file.name} line {binding.original.line}"
        name = binding.key
        if binding.error or (name and binding.value is None):
            faults.append(f"{where} cannot be read; write NAME=value, or # before a comment.")
        elif name is None or name.startswith(COMPOSE_PREFIX):
            continue
        elif name not in NAMES:
            faults.append(f"{where}: {name} is no setting; {_suggestion(name)}.")
        elif name in values:
            faults.append(f"{where}: {name} is set a second time; remove one of the two.")
        else:
            values[name] = binding.value or ""
    return {name: value for name, value in values.items() if value.strip()}


def _bindings(env_file: Path, faults: list[str]) -> Iterator[Binding]:
    try:
        with env_file.open(encoding="utf-8-sig") as stream:
            yield from parse_stream(stream)
    except OSError as error:
        faults.append(f"{env_file.name} cannot be read ({error.strerror}); correct or remove it.")
    except UnicodeDecodeError:
        faults.append(f"{env_file.name} is not UTF-8 text; save it as UTF-8.")


def _suggestion(name: str) -> str:
    close = difflib.get_close_matches(name.upper(), NAMES, n=1)
    return f"rename it to {close[0]}" if close else "remove it, or see .env.example for all names"


def _near_miss(name: str) -> str | None:
    """The setting somebody meant by `name`; None for what is not ours.

    The first letter must agree: XAI_API_KEY and MAIL_PASSWORD belong to others. A
    name cut off inside its last word (SMTP_PASS) counts; EMAIL and SMTP do not.
    """
    upper = name.upper()
    if upper in NAMES:
        return upper
    if "_" in upper:
        for known in NAMES:
            if known.startswith(upper) and known[len(upper)] != "_":
                return known
    close = difflib.get_close_matches(upper, NAMES, n=1, cutoff=NEAR)
    return close[0] if close and close[0][0] == upper[0] else None

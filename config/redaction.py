"""The last net: addresses and secrets that reached a log line in spite of everybody's care."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import datetime
from pathlib import PurePath
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr
from structlog.types import EventDict

from config.settings import BRANCHES, Settings
from smtpd.events import address_hash

CUT = "[secret]"
SHORTEST_SECRET = 4  # cutting out "a" would leave no readable line
LONGEST_TEXT = 2000  # characters of one field

# The logging machinery's own; config/log.py tells the exception and drops the rest.
UNTOUCHED = frozenset({"_record", "_from_structlog", "exc_info"})

# Fields that would hold the content of a mail; no event has them.
CONTENT_FIELDS = frozenset(
    {"answer", "body", "body_html", "body_text", "content", "html", "prompt", "raw", "subject"}
)

# What looks like an address: local part, @ (also as %40), domain. A word is tried at its first
# character only (the look-behind), so that a long line without @ costs one pass. Too much is
# hashed rather than too little: in "rcpt=a@b.example" it is all of it, since local parts of
# bounce addresses hold a = and a second address.
_WORD = r"[^\s<>()\[\],;:\"\\@]"
_ADDRESS = re.compile(
    rf"""(?: "(?:[^"\\]|\\.){{1,64}}" | (?<!{_WORD}) {_WORD}+ )
    (?: @ | %40 )
    (?: \[[^\]\s]*\] | [\w.-]+ )""",
    re.VERBOSE,
)


def _hashed(found: re.Match[str]) -> str:
    address = found[0].lstrip("'")  # of a repr
    return "'" * (len(found[0]) - len(address)) + address_hash(address.replace("%40", "@"))


class Redaction:
    """A structlog processor; also usable on one text."""

    def __init__(self, secrets: Collection[str]) -> None:
        known = sorted((s for s in secrets if len(s) >= SHORTEST_SECRET), key=len, reverse=True)
        self._secrets = re.compile("|".join(map(re.escape, known))) if known else None

    def __call__(self, _logger: object, _method: str, line: EventDict) -> EventDict:
        return {
            name: value if name in UNTOUCHED else self.value(value)
            for name, value in line.items()
            if name not in CONTENT_FIELDS
        }

    def value(self, value: object) -> object:
        """`value` with every text in it redacted; an object that is none by its type only."""
        if isinstance(value, bool | int | float | None):
            return value
        if isinstance(value, Mapping):
            return {self.text(str(name)): self.value(part) for name, part in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.value(part) for part in value]
        return self.text(_scalar(value))

    def text(self, text: str) -> str:
        """`text` on one line, without addresses and known secrets."""
        if self._secrets is not None:
            text = self._secrets.sub(CUT, text)
        if "@" in text or "%40" in text:
            text = _ADDRESS.sub(_hashed, text)
        if len(text) > LONGEST_TEXT:
            text = f"{text[:LONGEST_TEXT]}… ({len(text)} characters)"
        return text if text.isprintable() else "".join(map(_visible, text))


def _scalar(value: object) -> str:
    """A text for what is none. The repr of an unknown object could hold a mail's bytes."""
    if isinstance(value, str | PurePath):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes | bytearray):
        return f"({len(value)} bytes)"
    return f"({type(value).__qualname__})"


def _visible(character: str) -> str:
    # A line break would forge a line; an escape sequence would drive the terminal.
    return character if character.isprintable() else repr(character)[1:-1]


def secret_values(settings: Settings) -> frozenset[str]:
    """Every secret of the settings, and the passwords within the URLs among them."""
    values = set()
    for attribute, branch in BRANCHES.items():
        for field in branch.model_fields:
            secret = getattr(getattr(settings, attribute), field)
            if isinstance(secret, SecretStr):
                values.add(secret.get_secret_value())
                values |= _password_within(secret.get_secret_value())
    return frozenset(values - {""})


def _password_within(url: str) -> set[str]:
    if "://" not in url:
        return set()
    try:
        password = urlsplit(url).password or ""
    except ValueError:
        return set()
    return {password, unquote(password)}

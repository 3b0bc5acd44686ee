"""The macros of SPF records (RFC 7208 section 7), read strictly, in one pass.

pyspf's own reading grows with the square of what it reads, and takes wrong macros for
right ones. Neighbour: smtpd/checks/spf_evaluator.py, which knows what they stand for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import NamedTuple
from urllib.parse import quote

NAME_MAX = 253  # characters of a name in DNS
DIGITS_MAX = 3  # a name has 127 labels at most

_MACRO = re.compile(
    r"%(?:(?P<sign>[%_-])|\{(?P<letter>[a-z])(?P<most>[0-9]*)(?P<turned>r?)"
    r"(?P<delimiters>[-.+,/_=]*)\})",
    re.IGNORECASE,
)
_SIGNS = {"%": "%", "_": " ", "-": "%20"}
_IN_NAMES = "slodipvh"
_TOP_LABEL = re.compile(r"(?![0-9]+\Z)[0-9a-z](?:[0-9a-z-]*[0-9a-z])?", re.IGNORECASE)


class Malformed(ValueError):
    """The record is no right one: SPF's permerror."""


class Macro(NamedTuple):
    """What a macro stands for, and what to make of it."""

    letter: str
    most: int  # labels from the right, 0 for all of them
    turned: bool
    delimiters: str
    escaped: bool

    def of(self, value: str) -> str:
        """The value in the macro's form."""
        first = self.delimiters[:1] or "."
        for other in frozenset(self.delimiters):
            value = value.replace(other, first)
        labels = value.split(first)
        if self.turned:
            labels.reverse()
        text = ".".join(labels[-self.most :])
        return quote(text, safe="~", errors="replace") if self.escaped else text


Parts = tuple[str | Macro, ...]


def read(text: str) -> Parts:
    """A macro-string's plain parts and macros. Raises Malformed."""
    parts: list[str | Macro] = []
    end = 0
    for match in _MACRO.finditer(text):
        parts += (_plain(text[end : match.start()]), _meant(match))
        end = match.end()
    return (*parts, _plain(text[end:]))


def read_domain(text: str) -> Parts:
    """The parts of a domain-spec, which ends in a macro or a top label. Raises Malformed."""
    parts = read(text)
    end = parts[-1]
    if len(parts) > 1 and not end:
        return parts
    _, dot, top = str(end).removesuffix(".").rpartition(".")
    if not dot or not _TOP_LABEL.fullmatch(top):
        raise Malformed("a name in the record is none")
    return parts


def name_of(parts: Iterable[str | Macro], value_of: Callable[[str], str]) -> str:
    """The name, with the value of each macro's letter; one too long loses labels on its left."""
    said = (one if isinstance(one, str) else one.of(value_of(one.letter)) for one in parts)
    name = "".join(said).removesuffix(".")
    if len(name) <= NAME_MAX:
        return name
    end = name[-NAME_MAX - 1 :]
    return end.partition(".")[2] or end


def _plain(text: str) -> str:
    if "%" in text:
        raise Malformed("a percent sign in the record begins no macro")
    return text


def _meant(match: re.Match[str]) -> str | Macro:
    if match["sign"]:
        return _SIGNS[match["sign"]]
    letter, digits = match["letter"], match["most"]
    if letter.lower() not in _IN_NAMES:
        raise Malformed(f"the macro {letter} in the record stands for nothing")
    # Section 7.1: where a number is given, it is not zero.
    if digits and (len(digits) > DIGITS_MAX or not int(digits)):
        raise Malformed("a macro in the record has a wrong number of labels")
    return Macro(
        letter=letter.lower(),
        most=int(digits or 0),
        turned=bool(match["turned"]),
        delimiters=match["delimiters"],
        escaped=letter.isupper(),
    )

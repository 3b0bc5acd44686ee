"""A DNS question and its answer, for the resolver and for the checks that only read answers.

A check in the cell has no network: it works on answers and names what it still has to know.
"""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple


class Kind(enum.StrEnum):
    """The record types anything here asks for."""

    TXT = "TXT"
    A = "A"
    AAAA = "AAAA"
    MX = "MX"
    PTR = "PTR"


class Question(NamedTuple):
    """A name in A-labels and lower case, without the last dot, and a record type."""

    name: str
    kind: Kind


class Status(enum.StrEnum):
    """How a question was answered."""

    FOUND = "found"
    NXDOMAIN = "nxdomain"  # there is no such name
    NODATA = "nodata"  # the name has no record of this type
    SERVFAIL = "servfail"  # no nameserver could tell
    TIMEOUT = "timeout"


# TXT: the strings joined, as bytes. A, AAAA: the address. MX: preference and host.
# PTR: the name. Names are in lower case without the last dot; the root is "".
Record = bytes | str | tuple[int, str]


class Answer(NamedTuple):
    """Records only where it was found. (A tuple: it travels to the cell, and those travel fast.)"""

    status: Status
    records: tuple[Record, ...] = ()

    @property
    def unanswered(self) -> bool:
        """Whether asking again may tell more."""
        return self.status in (Status.SERVFAIL, Status.TIMEOUT)

    @property
    def texts(self) -> list[bytes]:
        """What TXT records say."""
        return [record for record in self.records if isinstance(record, bytes)]

    @property
    def hosts(self) -> list[str]:
        """The hosts of MX records."""
        return [record[1] for record in self.records if isinstance(record, tuple)]


Answers = Mapping[Question, Answer]

# Never raises but CancelledError; a name that cannot be one in DNS is NXDOMAIN.
Lookup = Callable[[Question], Awaitable[Answer]]

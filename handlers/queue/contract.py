"""What both queues promise; one test suite holds them to it.

A queue gives hints. The right to work on a mail is the database's: a hint may come
twice, and a queue that forgets costs time, never a mail.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from handlers.letter import State, Ticket
from handlers.ports import Queue
from smtpd.errors import Temporary

# Every fifth hint comes from the ordinary line first: urgent mail never stops the rest.
ORDINARY_EVERY = 5

COMPLETED = frozenset((State.ANSWERED, State.UNANSWERED, State.HELD))


class QueueAway(Temporary):
    """The queue's server cannot be reached, or does not answer in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Depth:
    """How many ids stand where."""

    pending: int
    urgent: int
    processing: int
    delayed: int


class WorkQueue(Queue, Protocol):
    """The line of hints, as workers and the sweeper see it."""

    @property
    def epoch(self) -> str:
        """The identity of the memory that the last put() went to; "" before the first."""
        ...

    async def current_epoch(self) -> str | None:
        """The identity of the queue's memory now; None while it is away.

        Whatever was put in another epoch may be forgotten and has to be put again.
        """
        ...

    async def take(self) -> str:
        """Wait for a ticket's id and note it as in work. Raises QueueAway, at once each time."""
        ...

    async def done(self, email_id: str, state: str) -> bool:
        """The id is no longer in work; an ending is filed. Never raises; False when away.

        An empty state leaves no trace: the mail was not ours to work on.
        """
        ...

    async def give_back(self, ticket: Ticket) -> bool:
        """What was taken goes back in front of its line. Never raises.

        False when away, and for what is not in work: it may stand in line already.
        """
        ...

    async def processing(self) -> tuple[str, ...]:
        """The ids in work, longest first. Raises QueueAway."""
        ...

    async def depth(self) -> Depth:
        """How long the lines are. Raises QueueAway."""
        ...

    async def close(self) -> None:
        """Let go of the queue's server."""
        ...


def ordinary_first(taken: int) -> bool:
    """Is it the ordinary line's turn, after so many hints?"""
    return taken % ORDINARY_EVERY == ORDINARY_EVERY - 1

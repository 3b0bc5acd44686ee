"""What the journey needs from its neighbours; the real ones and the fakes fit here."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from handlers.letter import (
    Answer,
    Claim,
    Ending,
    Exchange,
    Letter,
    Outgoing,
    Record,
    Ticket,
)
from smtpd.evidence import Evidence
from smtpd.mail import Arrival, Verdict


class Verifier(Protocol):
    """Asks DNS and mathematics about an arrival."""

    async def examine(self, arrival: Arrival) -> Evidence: ...


class Store(Protocol):
    """The database: what is owed, and the right to work on it."""

    async def keep(self, arrival: Arrival, evidence: Evidence, verdict: Verdict) -> Ticket:
        """Commit the mail durably; the same delivery again gives the same ticket."""
        ...

    async def fetch(self, claim: Claim) -> Record:
        """The claimed mail. Raises ClaimLost when it is no longer ours."""
        ...

    async def reserve(self, claim: Claim) -> Ending | None:
        """Take this answer's place in the counts, once a mail; why it gets none instead.

        Raises Postponed when an hour is full.
        """
        ...

    async def written(
        self, claim: Claim, exchange: Exchange, answer: Answer, outgoing: Outgoing, *, last: bool
    ) -> bool:
        """Store the reply before the relay may see it, and end what is answered along with it.

        False, and nothing stored, when more mail has come into the conversation; never
        that when it is the `last` time. Raises ClaimLost, and Postponed when by then a
        person of the house leads the conversation.
        """
        ...

    async def sending(self, claim: Claim) -> None:
        """Commit, by compare-and-set, that DATA may begin.

        Raises ClaimLost, and Postponed while sending is stopped.
        """
        ...


class Queue(Protocol):
    """Hints where work waits. May forget; never loses a mail, the database has it."""

    async def put(self, ticket: Ticket, *, due: datetime | None = None) -> bool:
        """Put the ticket in line; never raises, takes at most 50 ms. False: not queued."""
        ...


class Reader(Protocol):
    """Turns bytes into a letter, in a process that can be killed."""

    async def read(self, arrival: Arrival) -> Letter: ...


class Conversation(Protocol):
    """Reads a mail together with what waits along with it, and what was before."""

    async def read(self, claim: Claim, record: Record) -> Exchange: ...


class Thinker(Protocol):
    """Asks the AI."""

    async def think(self, claim: Claim, record: Record, exchange: Exchange) -> Answer: ...


class Writer(Protocol):
    """Writes and signs the reply."""

    async def write(self, record: Record, letter: Letter, answer: Answer) -> Outgoing: ...


class Relay(Protocol):
    """The upstream SMTP relay."""

    async def send(self, outgoing: Outgoing) -> str:
        """Hand the reply over; the relay's final reply. Raises Temporary, Permanent, Uncertain."""
        ...

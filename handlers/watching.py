"""Notices when a neighbour stays away: the relay or the AI core, by what becomes of our calls.

Only remembers; handlers/operator.py asks what there is to tell.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from handlers.letter import Answer, Claim, Exchange, Outgoing, Record
from handlers.ports import Relay, Thinker
from smtpd.errors import Permanent, Postponed, Temporary

# Longer than the longest pause between two attempts at one mail (handlers/retry.py): a
# failure after it has nothing to do with the one before.
_SILENCE_MAX = timedelta(hours=6)

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """Since when every call has failed, and what the last one heard."""

    since: datetime
    because: str


class Watch:
    """One neighbour, seen through the calls that pass here."""

    def __init__(
        self,
        neighbour: str,
        patience: timedelta,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.neighbour = neighbour
        self.answered_at: datetime | None = None
        self._patience = patience
        self._clock = clock
        self._since: datetime | None = None
        self._failed_at: datetime | None = None
        self._because = ""

    @property
    def outage(self) -> Outage | None:
        """What has lasted long enough to be told; time alone, without a call, makes none."""
        if self._since is None or self._failed_at is None:
            return None
        if self._failed_at - self._since < self._patience:
            return None
        return Outage(since=self._since, because=self._because)

    async def through(self, call: Awaitable[Result]) -> Result:
        """The call's own result or exception."""
        try:
            result = await call
        except Postponed:  # we asked nothing of it
            raise
        except Temporary as error:
            self._failed(error.because)
            raise
        except Permanent:  # a refusal is an answer
            self._answered()
            raise
        self._answered()
        return result

    def _answered(self) -> None:
        self.answered_at = self._clock()
        self._since = self._failed_at = None

    def _failed(self, because: str) -> None:
        now = self._clock()
        if self._since is None or self._failed_at is None or now - self._failed_at > _SILENCE_MAX:
            self._since = now
        self._failed_at = now
        self._because = because


class WatchedRelay:
    """The journey's Relay, watched."""

    def __init__(self, relay: Relay, watch: Watch) -> None:
        self._relay = relay
        self._watch = watch

    async def send(self, outgoing: Outgoing) -> str:
        return await self._watch.through(self._relay.send(outgoing))


class WatchedThinker:
    """The journey's Thinker, watched."""

    def __init__(self, thinker: Thinker, watch: Watch) -> None:
        self._thinker = thinker
        self._watch = watch

    async def think(self, claim: Claim, record: Record, exchange: Exchange) -> Answer:
        return await self._watch.through(self._thinker.think(claim, record, exchange))

"""Workers: take a hint, claim the mail in the database, answer it, and never die of it.

The one place in the back office that catches everything: an attempt that fails
becomes a retry, or is parked for a person with its traceback.
"""

from __future__ import annotations

import asyncio
import random
import traceback
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol, TypeVar

from config.settings import WorkerSettings
from handlers.gate import Gate
from handlers.letter import Claim, Ending, State, Ticket
from handlers.line import Line
from handlers.queue.contract import QueueAway
from handlers.retry import Retry, decide
from handlers.store.claiming import HEARTBEAT_S, Later
from handlers.telling import ENDINGS
from smtpd.errors import AllWait, ClaimLost, Permanent, Temporary, Trouble
from smtpd.events import Event, log

# So many processes died while they held one mail: it is most likely the mail.
_DEATHS_MAX = 5
_AWAY_S = 1.0
_GATE_SEES_S = 2.0  # by then the gate, which looks every second, has seen that sending is stopped
_CLOSING_S = 5.0  # for writing, at the very end, that work was not finished
_LOOK_AHEAD = 50
_TRACEBACK_MAX = 8000  # characters kept for a person; the end says most

Result = TypeVar("Result")
_AT_CLOSING = Retry(delay_s=0, counts=False, certain=False)


class Claims(Protocol):
    """The part of the store that gives and takes the right to work on mail."""

    async def beat(self) -> None: ...

    async def claim(self, email_id: str) -> Claim | Later | None: ...

    async def close(self, claim: Claim, ending: Ending) -> None: ...

    async def hand_back(
        self, claim: Claim, *, not_before: datetime, because: str, counts: bool, certain: bool
    ) -> None: ...

    async def release(self, email_id: str) -> None: ...

    async def waiting(self, limit: int) -> list[str]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    """What became of an attempt."""

    state: str = ""  # the ending, "" for none
    due: datetime | None = None  # when it is due again
    in_front: bool = False  # before all that waits


class Worker:
    """WORKER_CONCURRENCY coroutines that answer mail until told to stop."""

    def __init__(
        self,
        answer: Callable[[Claim], Awaitable[Ending]],
        claims: Claims,
        line: Line,
        gate: Gate,
        settings: WorkerSettings,
    ) -> None:
        self._answer = answer
        self._gate = gate
        self._claims = claims
        self._line = line
        self._settings = settings
        self._stopping = False
        self._idle: set[asyncio.Task[None]] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self._in_hand: set[str] = set()
        self._queue_away = False

    async def run(self) -> None:
        """Serve until `stop`."""
        async with asyncio.TaskGroup() as tasks:
            for number in range(self._settings.worker_concurrency):
                self._serving.add(tasks.create_task(self._serve(), name=f"worker {number}"))

    async def beat(self) -> None:
        """Show, for as long as it runs, that this process is alive."""
        while True:
            try:
                await self._claims.beat()
            except Temporary as error:
                log(Event.AWAY, neighbour="database", because=error.because)
            await asyncio.sleep(HEARTBEAT_S)

    async def stop(self) -> None:
        """Take nothing new; let running work finish within DRAIN_TIMEOUT, or hand it back."""
        self._stopping = True
        for task in tuple(self._idle):
            task.cancel()
        working = [task for task in self._serving if not task.done()]
        if working:
            _, late = await asyncio.wait(working, timeout=self._settings.drain_timeout)
            for task in late:
                task.cancel()
            if late:  # they hand back what they have
                await asyncio.wait(late, timeout=_CLOSING_S)

    async def _serve(self) -> None:
        while not self._stopping:
            try:
                email_id = await self._next()
            except QueueAway as error:
                if not self._queue_away:  # one line an outage, not one a worker and second
                    log(Event.AWAY, neighbour="queue", because=error.because)
                self._queue_away = True
                await self._serve_without_queue()
            else:
                self._queue_away = False
                await self._work(email_id)

    async def _next(self) -> str:
        email_id = await self._idly(self._line.take())
        # With the hint in hand: what was taken first goes first when the gate opens.
        await self._idly(self._gate.passage())
        return email_id

    async def _idly(self, waiting: Awaitable[Result]) -> Result:
        """Wait for something as one whom `stop` may send home."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 (a coroutine runs in a task; this is for the type)
        self._idle.add(task)
        try:
            return await waiting
        finally:
            self._idle.discard(task)

    async def _serve_without_queue(self) -> None:
        """The database is the truth: work from it until the queue is back."""
        await self._idly(self._gate.passage())
        try:
            owed = await self._claims.waiting(limit=_LOOK_AHEAD)
        except Temporary:
            owed = []
        # By chance, so that the workers do not all reach for the same one.
        if not (owed and await self._work(random.choice(owed))):  # noqa: S311
            await asyncio.sleep(_AWAY_S)

    async def _work(self, email_id: str) -> bool:
        """One attempt at one mail, whatever happens to it; False where it was not ours."""
        if email_id in self._in_hand:  # a second hint of what another worker here has
            return False
        self._in_hand.add(email_id)
        outcome = _Outcome()
        try:
            claim = await self._claim(email_id)
            if isinstance(claim, Claim):
                outcome = await self._attempt(claim)
        except Temporary as error:
            # The database is away. The queue goes on holding the mail as in work, which
            # is where the sweeper finds it: the database may have it noted as in line.
            log(Event.AWAY, neighbour="database", ticket=email_id, because=error.because)
            return False
        finally:
            self._in_hand.discard(email_id)
        if isinstance(claim, Later):
            # Likewise: a mail that was not claimed leaves its place only for another one.
            again = Ticket(id=email_id, owed=True, urgent=claim.urgent)
            if await self._line.put(again, due=claim.due):
                await self._line.done(email_id)
            return False
        await self._leave(email_id, outcome, urgent=claim is not None and claim.urgent)
        return claim is not None

    async def _leave(self, email_id: str, outcome: _Outcome, *, urgent: bool) -> None:
        """Tell the queue what became of a mail that was claimed, or was nobody's to claim."""
        back = Ticket(id=email_id, owed=True, urgent=urgent)
        if outcome.in_front and await self._line.give_back(back):
            return
        await self._line.done(email_id, outcome.state)
        if outcome.due is not None:
            await self._line.put(back, due=outcome.due)

    async def _claim(self, email_id: str) -> Claim | Later | None:
        """The claim. Where nobody knows whether it was written, it is undone."""
        try:
            return await self._claims.claim(email_id)
        except Temporary:
            # A commit may have reached the database though its reply did not reach us.
            await self._claims.release(email_id)
            raise

    async def _attempt(self, claim: Claim) -> _Outcome:
        """What became of the mail, written down in the database."""
        log(Event.CLAIMED, ticket=claim.id, attempt=claim.attempts)
        try:
            if claim.lost >= _DEATHS_MAX:
                died = Permanent(f"{claim.lost} processes died while they had it")
                return await self._park(claim, died)
            async with asyncio.timeout(self._settings.processing_timeout):
                ending = await self._answer(claim)
            # Outside the deadline: what the relay has taken must not be forgotten because
            # the database is away for longer.
            await self._claims.close(claim, ending)
        except ClaimLost:
            return _Outcome()
        except asyncio.CancelledError:
            # Should this fail too, the mail is taken over like a dead worker's.
            with suppress(Trouble, TimeoutError):
                async with asyncio.timeout(_CLOSING_S):
                    closing = Temporary("the house is closing")
                    await asyncio.shield(self._hand_back(claim, _AT_CLOSING, closing))
            raise
        except Exception as error:  # noqa: BLE001 (the worker loop: see the module's docstring)
            return await self._fail(claim, error)
        log(ENDINGS[ending.what], ticket=claim.id, because=ending.because)
        return _Outcome(state=ending.what)

    async def _fail(self, claim: Claim, error: Exception) -> _Outcome:
        if isinstance(error, AllWait):
            return await self._wait_with_all(claim, error)
        age_s = (datetime.now(UTC) - claim.owed_since).total_seconds()
        retry = decide(error, claim, age_s, random.random())  # noqa: S311 (jitter, no secret)
        try:
            if retry.delay_s is None:
                return await self._park(claim, error)
            return _Outcome(due=await self._hand_back(claim, retry, error))
        except ClaimLost:
            return _Outcome()

    async def _wait_with_all(self, claim: Claim, error: AllWait) -> _Outcome:
        """Nobody's turn is now: the mail keeps its place, and the gate closes for a while."""
        self._gate.pause(error.retry_after_s or _GATE_SEES_S, error.because)
        # Stopped and sent on in the next moment, it is still the oldest: it waits for no clock.
        retry = Retry(delay_s=error.retry_after_s or 0, counts=False)
        try:
            due = await self._hand_back(claim, retry, error)
        except ClaimLost:
            return _Outcome()
        return _Outcome(due=due, in_front=True)

    async def _park(self, claim: Claim, error: Exception) -> _Outcome:
        await self._claims.close(claim, Ending(what=State.FAILED, because=_in_full(error)))
        log(Event.GIVEN_UP, ticket=claim.id, attempt=claim.attempts, because=_in_short(error))
        return _Outcome(state=State.FAILED)

    async def _hand_back(self, claim: Claim, retry: Retry, error: Exception) -> datetime:
        due = datetime.now(UTC) + timedelta(seconds=retry.delay_s or 0)
        await self._claims.hand_back(
            claim,
            not_before=due,
            because=_in_full(error),
            counts=retry.counts,
            certain=retry.certain,
        )
        log(
            Event.RETRY,
            ticket=claim.id,
            attempt=claim.attempts,
            delay_s=retry.delay_s,
            because=_in_short(error),
        )
        return due


def _in_full(error: Exception) -> str:
    """What a person needs to know; kept sealed."""
    if isinstance(error, Trouble):
        return error.because
    return "".join(traceback.format_exception(error))[-_TRACEBACK_MAX:]


def _in_short(error: Exception) -> str:
    """The same for the log, which never quotes an exception that nobody foresaw."""
    return error.because if isinstance(error, Trouble) else f"unforeseen {type(error).__name__}"

"""The store: the journey's port to the database, and the worker's.

What is written goes through the one writer in batches; what is sealed is opened
here and nowhere else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncEngine

from handlers.letter import (
    Answer,
    Claim,
    Ending,
    Exchange,
    Letter,
    Outgoing,
    Past,
    Record,
    Ticket,
)
from handlers.store import claiming, deciding, owing, recalling, story, turns
from handlers.store.answering import Hand, Reply, close, write_down
from handlers.store.explaining import Explained, explain
from handlers.store.filing import file_letter
from handlers.store.keeping import keep_all
from handlers.store.opening import HouseKeys
from handlers.store.people import People
from handlers.store.preparing import CHUNK_BYTES, House, prepare
from handlers.store.remembering import open_said, recall
from handlers.store.sealing import Hasher, Seal, unopenable
from handlers.store.switching import STOPPED, stopped_since
from handlers.store.transacting import DATABASE_ERRORS, in_our_words, reading
from handlers.store.turns import Pace
from handlers.store.writer import Writer
from smtpd.errors import AllWait, Permanent, Temporary
from smtpd.events import Event, log
from smtpd.evidence import Evidence
from smtpd.mail import Arrival, Verdict

# Between two tries to write what must be written.
_AGAIN_S = 0.5

Result = TypeVar("Result")

# One is sealed while another is written.
_LARGE_AT_ONCE = 2

# A transaction stays short, and what is left over has its turn ten minutes later.
_EXPIRED_AT_ONCE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """How the house goes about mail: its own addresses, its pace, its patience."""

    pace: Pace
    house: House = field(default_factory=House)
    hold_days: int = 7
    stop_file: Path | None = None  # while it exists nothing is sent


class SqlStore:
    """The database. One instance a process; `worker` names the process and its run."""

    def __init__(
        self,
        engine: AsyncEngine,
        writer: Writer,
        keys: HouseKeys,
        *,
        worker: str,
        ways: Ways,
        relay_timeout_s: float,
    ) -> None:
        self._engine = engine
        self._writer = writer
        self._hasher = Hasher(keys.hashing)
        self._master = keys.master
        self._people = People(engine, writer, keys.master)
        self._ways = ways
        self._keep_all = partial(keep_all, house=ways.house)
        self._relay_timeout = timedelta(seconds=relay_timeout_s)
        self._held_for = timedelta(days=ways.hold_days)
        # A mail that is being kept is in memory twice, as it came and sealed.
        self._large = asyncio.Semaphore(_LARGE_AT_ONCE)
        self.worker = worker

    # At the door.

    async def keep(self, arrival: Arrival, evidence: Evidence, verdict: Verdict) -> Ticket:
        """Commit the mail durably; the same delivery again gives the same ticket."""
        person = self._hasher.address(arrival.facts.author or arrival.mail_from)
        make_ready = partial(
            prepare,
            arrival,
            evidence,
            verdict,
            seal=await self._people.seal(person),
            hasher=self._hasher,
            house=self._ways.house,
        )
        if len(arrival.raw) <= CHUNK_BYTES:
            return await self._writer.batched(self._keep_all, make_ready())
        async with self._large:
            # Hashing and sealing let other threads run; a small mail is not worth the hop.
            keeping = await asyncio.to_thread(make_ready)
            return await self._writer.batched(self._keep_all, keeping, alone=True)

    # For a worker.

    async def claim(self, email_id: str) -> Claim | claiming.Later | None:
        """Take the mail. None when nothing is owed or another worker has it."""
        now = _now()
        taking = partial(
            claiming.claim,
            email_id=email_id,
            worker=self.worker,
            now=now,
            sent_before=now - self._relay_timeout,
        )
        return await self._writer.write(taking)

    async def fetch(self, claim: Claim) -> Record:
        sealed = await self._read(lambda connection: recalling.fetch(connection, claim))
        return recalling.open_record(sealed, await self._seal(claim.person), _now())

    async def reserve(self, claim: Claim) -> Ending | None:
        begin = partial(turns.begin, claim=claim, pace=self._ways.pace, now=_now())
        return await self._writer.write(begin)

    async def gather(self, claim: Claim, record: Record) -> Sequence[Record]:
        """The author's other mails of the conversation that wait, oldest first."""
        found = await self._read(lambda connection: recalling.along(connection, claim))
        seal = await self._seal(claim.person)
        return [recalling.open_record(sealed, seal, record.fetched_at) for sealed in found]

    async def remember(self, claim: Claim, record: Record, letter: Letter) -> Past:
        """File the letter's fields; give what was before it, as its author may see it."""
        seal = await self._seal(claim.person)
        file = partial(file_letter, claim=claim, letter=letter, seal=seal, now=_now())
        await self._writer.write(file)
        sealed = await self._read(partial(recall, claim=claim, record=record))
        seals = {person: await self._known_seal(person) for person in sealed.writers}
        return replace(sealed.past, said=open_said(sealed, seals))

    async def written(
        self, claim: Claim, exchange: Exchange, answer: Answer, outgoing: Outgoing, *, last: bool
    ) -> bool:
        hand = await self._hand(claim)
        reply = Reply(exchange=exchange, answer=answer, outgoing=outgoing)
        write = partial(write_down, hand=hand, reply=reply, last=last)
        written = await self._writer.write(write)
        if written:
            log(Event.WRITTEN, ticket=claim.id, because=reply.because)
        return written

    async def stopped(self) -> bool:
        """Whether sending is stopped, by the switch or by this installation's file."""
        if self._stopped_by_file():
            return True
        return await self._read(stopped_since) is not None

    async def sending(self, claim: Claim) -> None:
        if self._stopped_by_file():
            raise AllWait(STOPPED)
        await self._writer.write(
            lambda connection: claiming.begin_sending(connection, claim, _now())
        )

    async def close(self, claim: Claim, ending: Ending) -> None:
        """Write the ending and its reason, once, however long it takes. Raises ClaimLost."""
        hand = await self._hand(claim, last=True)
        await self._surely(partial(self._writer.write, partial(close, hand=hand, ending=ending)))
        if ending.fuse:
            log(Event.FUSE, kind=ending.fuse, ticket=claim.id, because=ending.because)

    async def hand_back(
        self, claim: Claim, *, not_before: datetime, because: str, counts: bool, certain: bool
    ) -> None:
        """Give the claim up until then, telling why. Raises ClaimLost."""
        hand = await self._hand(claim, last=True)
        line = hand.line("retry", because)

        def write(connection: Connection) -> None:
            claiming.hand_back(
                connection, claim, not_before=not_before, counts=counts, certain=certain
            )
            story.tell(connection, [line])

        await self._surely(partial(self._writer.write, write))

    async def release(self, email_id: str) -> None:
        """Undo this process's claim of the mail, where nobody knows whether there is one."""
        release = claiming.release(email_id, self.worker)
        await self._surely(partial(self._writer.write, release))

    async def beat(self) -> None:
        """Say that this process is alive."""
        await self._writer.write(claiming.beat(self.worker))

    # For the sweeper.

    async def forgotten(self, epoch: str, limit: int) -> list[owing.Debt]:
        """Owed mail that this queue memory does not hold."""
        return await self._read(
            lambda connection: owing.forgotten(connection, epoch, _now(), limit)
        )

    async def orphaned(self, limit: int) -> list[owing.Debt]:
        """Owed mail whose worker is dead."""
        return await self._read(
            lambda connection: owing.orphaned(connection, _now() - self._relay_timeout, limit)
        )

    async def unclaimed(self, ids: Sequence[str]) -> list[owing.Debt]:
        """Those of these mails that are owed and that nobody works on."""
        return await self._read(lambda connection: owing.unclaimed(connection, ids))

    async def mark_queued(self, ids: Sequence[str], epoch: str) -> None:
        """Remember which queue memory holds these mails."""
        await self._writer.write(owing.mark_queued(ids, epoch))

    async def release_installation(self, installation: str) -> int:
        """Free what dead runs of this installation held; how many mails that were."""
        return await self._writer.write(claiming.release_installation(installation))

    async def waiting(self, limit: int) -> list[str]:
        """Mail that could be claimed now, for workers whose queue is away."""
        return await self._read(lambda connection: owing.waiting(connection, _now(), limit))

    async def in_line(self, limit: int) -> int:
        """How many owed mails wait for a worker, counted no further than `limit`."""
        return await self._read(lambda connection: owing.in_line(connection, limit))

    async def settled(self, ids: Sequence[str]) -> list[str]:
        """Those of these mails that nothing is owed on."""
        return await self._read(lambda connection: owing.settled(connection, ids))

    async def tidy(self) -> None:
        """Let go of what is past its time, and of mail that nobody decided on."""
        now = _now()
        await self._writer.write(owing.tidy(now))
        await self._writer.write(partial(turns.forget, now=now))
        end = partial(
            deciding.end_expired,
            before=now - self._held_for,
            limit=_EXPIRED_AT_ONCE,
            master=self._master,
            now=now,
        )
        for email_id in await self._writer.write(end):
            log(
                Event.UNANSWERED,
                ticket=email_id,
                because=deciding.NOBODY_DECIDED,
                setting="HOLD_DAYS",
            )

    # For the operator.

    async def explain(self, email_id: str) -> Explained | None:
        """The whole story of one mail, None when there is no such mail."""
        return await self._read(partial(explain, email_id=email_id, master=self._master))

    # Inside.

    async def _known_seal(self, person: str) -> Seal | None:
        with _translated():
            return await self._people.known_seal(person)

    async def _seal(self, person: str) -> Seal:
        seal = await self._known_seal(person)
        if seal is None:
            raise Permanent("the key of this person has been erased")
        return seal

    async def _hand(self, claim: Claim, *, last: bool = False) -> Hand:
        seal = await (self._last_seal if last else self._seal)(claim.person)
        return Hand(claim=claim, seal=seal, hasher=self._hasher, now=_now())

    async def _last_seal(self, person: str) -> Seal:
        """The seal for how work ended: where the person's key is erased, one nobody can open."""
        seal = await self._surely(partial(self._known_seal, person))
        return seal or unopenable()

    async def _surely(self, step: Callable[[], Awaitable[Result]]) -> Result:
        """A step of writing how work on a mail ended; waits as long as the database is away.

        Forgetting it would leave the mail with a living worker that does nothing, or
        send again what the relay has taken. Raises Temporary when the writer has stopped.
        """
        while True:
            try:
                return await step()
            except Temporary as error:
                if self._writer.stopped:
                    raise
                log(Event.AWAY, neighbour="database", because=error.because)
            await asyncio.sleep(_AGAIN_S)

    def _stopped_by_file(self) -> bool:
        file = self._ways.stop_file
        return file is not None and file.exists()

    async def _read(self, query: Callable[[Connection], Result]) -> Result:
        with _translated():
            return await reading(self._engine, query)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except DATABASE_ERRORS as error:
        raise in_our_words(error) from error


def _now() -> datetime:
    return datetime.now(UTC)

"""The store: the journey's port to the database, and the worker's.

What is written goes through the one writer in batches; what is sealed is opened
here and nowhere else.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import Connection, bindparam, insert, update
from sqlalchemy.ext.asyncio import AsyncEngine

from handlers.letter import Answer, Claim, Ending, Letter, Outgoing, Record, Said, State, Ticket
from handlers.store import claiming, owing, rates, recalling
from handlers.store.explaining import Explained, explain
from handlers.store.filing import file_letter
from handlers.store.keeping import CHUNK_BYTES, keep_all, prepare
from handlers.store.models import MAIL, USER, Story
from handlers.store.opening import HouseKeys
from handlers.store.people import People
from handlers.store.sealing import KEY_BYTES, Hasher, Seal
from handlers.store.transacting import DATABASE_ERRORS, in_our_words, reading
from handlers.store.writer import Writer
from smtpd.addresses import untagged
from smtpd.errors import Permanent, Temporary
from smtpd.events import Event, log
from smtpd.evidence import Evidence
from smtpd.headers import scan_kept
from smtpd.mail import Arrival, Verdict

# Between two tries to write what must be written.
_AGAIN_S = 0.5

Result = TypeVar("Result")

# One is sealed while another is written.
_LARGE_AT_ONCE = 2

_WRITE = claiming.ADVANCE.where(MAIL.c.state == State.WAITING)
_TELL = insert(Story)
_COUNT_ANSWER = (
    update(USER).where(USER.c.person == bindparam("who")).values(answers=USER.c.answers + 1)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Answers an hour."""

    to_all: int
    to_one: int


class SqlStore:
    """The database. One instance a process; `worker` names the process and its run."""

    def __init__(
        self,
        engine: AsyncEngine,
        writer: Writer,
        keys: HouseKeys,
        *,
        worker: str,
        limits: Limits,
        relay_timeout_s: float,
    ) -> None:
        self._engine = engine
        self._writer = writer
        self._hasher = Hasher(keys.hashing)
        self._master = keys.master
        self._people = People(engine, writer, keys.master)
        self._limits = limits
        self._relay_timeout = timedelta(seconds=relay_timeout_s)
        # A mail that is being kept is in memory twice, as it came and sealed.
        self._large = asyncio.Semaphore(_LARGE_AT_ONCE)
        self.worker = worker

    # At the door.

    async def keep(self, arrival: Arrival, evidence: Evidence, verdict: Verdict) -> Ticket:
        """Commit the mail durably; the same delivery again gives the same ticket."""
        person = self._hasher.address(arrival.facts.author or arrival.mail_from)
        seal = await self._people.seal(person)
        make_ready = partial(
            prepare, arrival, evidence, verdict, person=person, seal=seal, hasher=self._hasher
        )
        if len(arrival.raw) <= CHUNK_BYTES:
            return await self._writer.batched(keep_all, make_ready())
        async with self._large:
            # Hashing and sealing let other threads run; a small mail is not worth the hop.
            keeping = await asyncio.to_thread(make_ready)
            return await self._writer.batched(keep_all, keeping, alone=True)

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
        row = sealed.row
        seal = await self._seal(row.person)
        raw = recalling.open_raw(sealed, seal)
        mail_from, rcpt_to, peer = recalling.open_envelope(row.envelope, row.id, seal)
        outgoing = row.outgoing and seal.open(row.outgoing, f"outgoing:{row.id}")
        return Record(
            arrival=Arrival(
                id=row.id,
                peer=peer,
                mail_from=mail_from,
                rcpt_to=rcpt_to,
                raw=raw,
                # The door, whose limit is a setting, has bounded them.
                headers=scan_kept(raw),
                received_at=row.received_date,
            ),
            thread_id=row.thread_id,
            outgoing=recalling.unpack_outgoing(outgoing) if outgoing else None,
            fetched_at=_now(),
        )

    async def remember(self, claim: Claim, record: Record, letter: Letter) -> Sequence[Said]:
        seal = await self._seal(claim.person)
        file = partial(file_letter, claim=claim, letter=letter, seal=seal, now=_now())
        await self._writer.write(file)
        rows = await self._read(
            partial(
                recalling.conversation,
                email_id=claim.id,
                thread_id=record.thread_id,
                person=claim.person,
                before=record.arrival.received_at,
            )
        )
        return recalling.open_conversation(rows, seal)

    async def reserve(self, claim: Claim, record: Record) -> None:
        limits = {
            rates.EVERYBODY: self._limits.to_all,
            self._hasher.address(untagged(record.author)): self._limits.to_one,
        }
        await self._writer.write(
            lambda connection: rates.reserve(connection, claim, limits, _now())
        )

    async def written(self, claim: Claim, answer: Answer, outgoing: Outgoing) -> None:
        seal = await self._seal(claim.person)
        values = {
            "state": State.WRITTEN.value,
            "ai_response": seal.close_text(answer.text, f"ai_response:{claim.id}"),
            "outgoing": seal.close(recalling.pack_outgoing(outgoing), f"outgoing:{claim.id}"),
            "outgoing_hash": self._hasher.message_id(outgoing.message_id),
        }
        because = f"{answer.model}, {answer.tokens_used} tokens, {answer.processing_time_s:.1f} s"
        line = _line(claim, "written", because, seal)

        def write(connection: Connection) -> None:
            claiming.advance(connection, claim, _WRITE, **values)
            connection.execute(_TELL, line)

        await self._writer.write(write)
        log(Event.WRITTEN, ticket=claim.id, because=because)

    async def sending(self, claim: Claim) -> None:
        await self._writer.write(
            lambda connection: claiming.begin_sending(connection, claim, _now())
        )

    async def close(self, claim: Claim, ending: Ending) -> None:
        """Write the ending and its reason, once, however long it takes. Raises ClaimLost."""
        seal = await self._last_seal(claim.person)
        held = ending.what is State.HELD
        answered = ending.what is State.ANSWERED
        line = _line(claim, ending.what, ending.because, seal)
        values = {
            "state": ending.what.value,
            "because": seal.close_text(ending.because, f"because:{claim.id}"),
            "setting": ending.setting,
            "processed": not held,
            "response_sent": answered,
            "ended_at": line["at"],
        }

        def write(connection: Connection) -> None:
            claiming.let_go(connection, claim, **values)
            connection.execute(_TELL, line)
            if answered:
                connection.execute(_COUNT_ANSWER, {"who": claim.person})

        await self._surely(partial(self._writer.write, write))

    async def hand_back(
        self, claim: Claim, *, not_before: datetime, because: str, counts: bool, certain: bool
    ) -> None:
        """Give the claim up until then, telling why. Raises ClaimLost."""
        seal = await self._last_seal(claim.person)
        line = _line(claim, "retry", because, seal)

        def write(connection: Connection) -> None:
            claiming.hand_back(
                connection, claim, not_before=not_before, counts=counts, certain=certain
            )
            connection.execute(_TELL, line)

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
        """Let go of hashes and heartbeats past their time."""
        await self._writer.write(owing.tidy(_now()))

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

    async def _last_seal(self, person: str) -> Seal:
        """The seal for how work ended: where the person's key is erased, one nobody can open."""
        seal = await self._surely(partial(self._known_seal, person))
        return seal or Seal.of(os.urandom(KEY_BYTES))

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


def _line(claim: Claim, event: str, because: str, seal: Seal) -> dict[str, Any]:
    """A line of the mail's story."""
    told = seal.close_text(because, f"story:{claim.id}")
    return {"email_id": claim.id, "at": _now(), "event": event, "because": told}

"""The store: the journey's port to the database, and the worker's.

What is written goes through the one writer in batches; what is sealed is opened
here and nowhere else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any, TypeVar

from sqlalchemy import Connection, bindparam, insert, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from handlers.letter import Answer, Claim, Ending, Letter, Outgoing, Record, Said, State, Ticket
from handlers.store import claiming, owing, rates, recalling
from handlers.store.explaining import Explained, explain
from handlers.store.keeping import CHUNK_BYTES, keep_all, prepare
from handlers.store.models import MAIL, USER, Attachment
from handlers.store.opening import HouseKeys, insert_into
from handlers.store.people import People
from handlers.store.sealing import Hasher, Seal
from handlers.store.transacting import reading
from handlers.store.writer import DRIVER_ERRORS, Writer
from smtpd.errors import Permanent, Temporary
from smtpd.events import Event, log
from smtpd.headers import scan
from smtpd.mail import Arrival, Evidence, Verdict

# Between two tries to write what must be written.
_AGAIN_S = 0.5

Result = TypeVar("Result")

# One is sealed while another is written.
_LARGE_AT_ONCE = 2

_WRITE = claiming.ADVANCE.where(MAIL.c.state == State.WAITING)
_FILE = claiming.ADVANCE.where(MAIL.c.new_text.is_(None))
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
        self, engine: AsyncEngine, writer: Writer, keys: HouseKeys, *, worker: str, limits: Limits
    ) -> None:
        self._engine = engine
        self._writer = writer
        self._hasher = Hasher(keys.hashing)
        self._master = keys.master
        self._people = People(engine, writer, keys.master)
        self._limits = limits
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
        return await self._writer.write(
            lambda connection: claiming.claim(connection, email_id, self.worker, _now())
        )

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
                headers=scan(raw),
                received_at=row.received_date,
            ),
            thread_id=row.thread_id,
            outgoing=recalling.unpack_outgoing(outgoing) if outgoing else None,
            fetched_at=_now(),
        )

    async def remember(self, claim: Claim, record: Record, letter: Letter) -> Sequence[Said]:
        seal = await self._seal(claim.person)
        write = partial(_file_letter, claim=claim, letter=letter, seal=seal)
        await self._writer.write(write)
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

    async def reserve(self, claim: Claim) -> None:
        limits = {
            rates.EVERYBODY: self._limits.to_all,
            claim.person: self._limits.to_one,
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
        line = self._line(claim, "written", because, seal)

        def write(connection: Connection) -> None:
            claiming.advance(connection, claim, _WRITE, **values)
            claiming.tell(connection, [line])

        await self._writer.write(write)
        log(Event.WRITTEN, ticket=claim.id, because=because)

    async def sending(self, claim: Claim) -> None:
        await self._writer.write(lambda connection: claiming.begin_sending(connection, claim))

    async def close(self, claim: Claim, ending: Ending) -> None:
        """Write the ending and its reason, once, however long it takes. Raises ClaimLost."""
        seal = await self._seal(claim.person)
        held = ending.what is State.HELD
        answered = ending.what is State.ANSWERED
        line = self._line(claim, ending.what, ending.because, seal)
        values = {
            "state": ending.what.value,
            "because": seal.close_text(ending.because, f"because:{claim.id}"),
            "setting": ending.setting,
            "processed": not held,
            "response_sent": answered,
            "ended_at": line[1],
        }

        def write(connection: Connection) -> None:
            claiming.let_go(connection, claim, **values)
            claiming.tell(connection, [line])
            if answered:
                connection.execute(_COUNT_ANSWER, {"who": claim.person})

        await self._surely(write)

    async def hand_back(
        self, claim: Claim, *, not_before: datetime, because: str, counts: bool, certain: bool
    ) -> None:
        """Give the claim up until then, telling why. Raises ClaimLost."""
        seal = await self._seal(claim.person)
        line = self._line(claim, "retry", because, seal)

        def write(connection: Connection) -> None:
            claiming.hand_back(
                connection, claim, not_before=not_before, counts=counts, certain=certain
            )
            claiming.tell(connection, [line])

        await self._surely(write)

    async def release(self, email_id: str) -> None:
        """Undo this process's claim of the mail, where nobody knows whether there is one."""
        await self._surely(claiming.release(email_id, self.worker))

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
        return await self._read(lambda connection: owing.orphaned(connection, limit))

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

    async def _seal(self, person: str) -> Seal:
        seal = await self._people.known_seal(person)
        if seal is None:
            raise Permanent("the key of this person has been erased")
        return seal

    def _line(self, claim: Claim, event: str, because: str, seal: Seal) -> claiming.Line:
        return (claim.id, _now(), event, seal.close_text(because, f"story:{claim.id}"))

    async def _surely(self, write: Callable[[Connection], None]) -> None:
        """Write how work on a mail ended, and wait for the database as long as it is away.

        Forgetting it would leave the mail with a living worker that does nothing, or
        send again what the relay has taken. Raises Temporary when the writer has stopped.
        """
        while True:
            try:
                return await self._writer.write(write)
            except Temporary as error:
                if self._writer.stopped:
                    raise
                log(Event.AWAY, neighbour="database", because=error.because)
            await asyncio.sleep(_AGAIN_S)

    async def _read(self, query: Callable[[Connection], Result]) -> Result:
        try:
            return await reading(self._engine, query)
        except (SQLAlchemyError, OSError, *DRIVER_ERRORS) as error:
            raise Temporary(f"the database could not: {type(error).__name__}") from error


def _now() -> datetime:
    return datetime.now(UTC)


def _file_letter(connection: Connection, *, claim: Claim, letter: Letter, seal: Seal) -> None:
    """File what was read; a second reading of the same mail changes nothing."""
    now, ident, person = _now(), claim.id, claim.person
    texts = {
        "body_text": seal.close_text(letter.body_text, f"body_text:{ident}"),
        "body_html": seal.close_text(letter.body_html, f"body_html:{ident}"),
        "new_text": seal.close_text(letter.new_text, f"new_text:{ident}"),
    }
    if connection.execute(_FILE, {**claiming.named(claim), **texts}).rowcount != 1:
        return
    rows = [
        {
            "email_id": ident,
            "seq": seq,
            "filename": seal.close_text(file.filename, f"attachment.filename:{ident}:{seq}"),
            "content_type": seal.close_text(file.content_type, f"attachment.type:{ident}:{seq}"),
            "size": file.size,
            "sha256": seal.close_text(file.sha256, f"attachment.sha256:{ident}:{seq}"),
            "text": seal.close_text(file.text, f"attachment.text:{ident}:{seq}"),
            "what_was_read": file.what_was_read,
            "because": seal.close_text(file.because, f"attachment.because:{ident}:{seq}"),
        }
        for seq, file in enumerate(letter.attachments)
    ]
    if rows:
        connection.execute(insert(Attachment), rows)
    connection.execute(
        _meet(insert_into(connection)),
        {
            "person": person,
            "address": seal.close_text(letter.sender, f"user.address:{person}"),
            "name": seal.close_text(letter.sender_name, f"user.name:{person}"),
            "language": "",
            "format": "",
            "status": "normal",
            "first_seen": now,
            "last_seen": now,
            "mails": 1,
            "answers": 0,
        },
    )


@cache
def _meet(insert_into_dialect: Any) -> Any:
    """The statement that notes a person's mail, the first one or another."""
    statement = insert_into_dialect(USER)
    return statement.on_conflict_do_update(
        index_elements=[USER.c.person],
        set_={"last_seen": statement.excluded.last_seen, "mails": USER.c.mails + 1},
    )

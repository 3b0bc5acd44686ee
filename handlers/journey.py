"""The journey of one mail, top to bottom. Read this file first.

    peer ──SMTP──▶ receive() ──queue──▶ answer() ──relay──▶ sender

    receive   Arrival ▶ Evidence ▶ Verdict ▶ Ticket ▶ Reply     while the peer waits
    answer    Claim ▶ Record ▶ Exchange ▶ Answer ▶ Outgoing ▶ Ending   a worker, later

No line below catches an exception. What goes wrong in receive() becomes a 4xx
in smtpd/session.py; what goes wrong in answer() is retried, or parked for a
person, in handlers/worker.py.
"""

from __future__ import annotations

from dataclasses import dataclass

from handlers.courtesy import Manners, why_held, why_silent
from handlers.letter import Claim, Ending, Outgoing, Record, State
from handlers.ports import Conversation, Queue, Relay, Store, Thinker, Verifier, Writer
from handlers.telling import tell_verdict
from smtpd.mail import Arrival
from smtpd.policy import House, judge
from smtpd.replies import Reply
from smtpd.trace import traced


@dataclass(frozen=True, slots=True, kw_only=True)
class Journey:
    house: House
    manners: Manners
    verifier: Verifier
    store: Store
    queue: Queue
    conversation: Conversation
    thinker: Thinker
    writer: Writer
    relay: Relay

    async def receive(self, arrival: Arrival) -> Reply:
        """While the peer waits: examine, judge, keep. 250 only once it is on disk."""
        evidence = await self.verifier.examine(arrival)
        verdict = judge(arrival, evidence, self.house)
        if not verdict.takes_the_mail:
            tell_verdict(arrival, evidence, verdict, arrival.id)
            return verdict.reply.with_reference(arrival.id)
        ticket = await self.store.keep(
            traced(arrival, evidence, self.house.mx_hostname), evidence, verdict
        )
        tell_verdict(arrival, evidence, verdict, ticket.id)
        if ticket.owed:
            await self.queue.put(ticket, due=ticket.due)
        return verdict.reply.for_ticket(ticket.id)

    async def answer(self, claim: Claim) -> Ending:
        """Later, in a worker: read, think, write, send. The worker writes the ending down."""
        record = await self.store.fetch(claim)
        ending = why_silent(claim, record, self.manners) or await self.store.reserve(claim)
        reply = ending or record.outgoing or await self.compose(claim, record)
        if isinstance(reply, Ending):
            return reply
        await self.store.sending(claim)
        receipt = await self.relay.send(reply)
        return Ending(what=State.ANSWERED, because=receipt)

    async def compose(self, claim: Claim, record: Record) -> Outgoing | Ending:
        """The reply, thought of and stored before the relay sees it; or why there is none."""
        for last in (False, True):  # once more, where more mail came while the AI thought
            exchange = await self.conversation.read(claim, record)
            if ending := why_held(claim, record, exchange, self.manners):
                return ending
            answer = await self.thinker.think(claim, record, exchange)
            outgoing = await self.writer.write(record, exchange.letter, answer)
            if await self.store.written(claim, exchange, answer, outgoing, last=last):
                break
        return outgoing

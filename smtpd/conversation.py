"""What a peer may say, and what becomes of it: the commands of RFC 5321 section 4.1.1.

The envelope's rules stand in transaction.py, the reading of a message in data.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import ClassVar

from smtpd import replies
from smtpd.data import read_message
from smtpd.door import Door
from smtpd.events import Event, address_hash, count, log
from smtpd.headers import HeadersTooLarge, scan
from smtpd.limits import Lease
from smtpd.mail import Arrival, Peer
from smtpd.paths import BadPath, recipient
from smtpd.replies import Reply, kind_of
from smtpd.session import Session
from smtpd.ticketid import new_ticket_id
from smtpd.transaction import Transaction

# Of one session: a peer that tries a thousand recipients shall not fill the disk.
REFUSALS_LOGGED = 20

# Commands that are wrong in themselves, or out of their order: counted, and no line of the log.
_MISSPOKEN = frozenset({501, 502, 503})


class Conversation(Session):
    """A session's commands. Each gives its reply, or None once it has spoken itself."""

    def __init__(self, door: Door, *, behind_proxy: bool = False) -> None:
        super().__init__(door, behind_proxy=behind_proxy)
        self._refusals = 0
        self._transaction = Transaction(
            door.classify,
            self.conduct,
            recipients_max=door.recipients_max,
            message_max_bytes=door.data.message_max_bytes,
        )

    def in_transaction(self) -> bool:
        return self._transaction.mail_from is not None

    def start_again(self) -> None:
        self._transaction.reset()

    async def obey(self, line: bytes) -> Reply | None:
        verb, _, argument = line.partition(b" ")
        command = self._COMMANDS.get(verb.upper())
        if command is None:
            count(Event.REJECTED, kind_of(replies.UNKNOWN_COMMAND))
            return replies.UNKNOWN_COMMAND
        try:
            reply = await command(self, argument.strip(b" \t"))
        except BadPath as bad:
            return self._refuse(bad.reply)
        if reply is not None and reply.code in _MISSPOKEN:
            count(Event.REJECTED, kind_of(reply))
        return reply

    async def _helo(self, argument: bytes) -> Reply | None:
        return await self._hello(argument, [], extended=False)

    async def _ehlo(self, argument: bytes) -> Reply | None:
        size = f"SIZE {self.door.data.message_max_bytes}"
        extensions = [size, "8BITMIME", "PIPELINING", "ENHANCEDSTATUSCODES"]
        if self.door.tls is not None and not self.tls:
            extensions.append("STARTTLS")
        return await self._hello(argument, extensions, extended=True)

    async def _hello(
        self, argument: bytes, extensions: list[str], *, extended: bool
    ) -> Reply | None:
        # RFC 2920 section 3.1: EHLO, STARTTLS and DATA come last in a group, so whoever
        # sends more has not read our answer, or speaks for somebody else.
        if self.intake.waiting_bytes:
            return replies.IMPROPER_PIPELINING
        if not self._transaction.hello(argument, extended=extended):
            return replies.BAD_SYNTAX
        excess = self.conduct.idled(replies.OK)
        if excess is not replies.OK:
            return excess
        *lines, last = [self.door.hostname, *extensions]
        await self.send("".join(f"250-{line}\r\n" for line in lines) + f"250 {last}\r\n")
        return None

    async def _starttls(self, argument: bytes) -> Reply | None:
        if self.tls:
            return replies.TLS_ALREADY
        if self.door.tls is None:
            return replies.NOT_IMPLEMENTED
        if argument:
            return replies.BAD_SYNTAX
        context = self.door.tls()
        if not self.intake.waiting_bytes:
            await self.say(replies.READY_FOR_TLS)
        # RFC 3207 section 4.2: nothing said in plain text may count inside TLS. Between
        # here and the handshake the loop reads no more plain text.
        if self.intake.waiting_bytes:
            return replies.IMPROPER_PIPELINING
        await self.start_tls(context)
        self._transaction.forget()
        return None

    async def _mail(self, argument: bytes) -> Reply:
        reply = self._transaction.mail(argument)
        if reply is not replies.SENDER_OK:
            return reply
        objection = self.door.objection()
        if objection is None:
            return reply
        self._refuse(objection)
        self._transaction.reset()
        return self.conduct.idled(objection)

    async def _rcpt(self, argument: bytes) -> Reply:
        reply = self._transaction.rcpt(argument)
        if reply is replies.NO_SUCH_USER or reply is replies.TOO_MANY_RECIPIENTS:
            self._refuse(reply, recipient=address_hash(recipient(argument)))
        return reply

    async def _data(self, argument: bytes) -> Reply:
        # Asked first: where DATA is refused, what waits would be read as commands.
        if self.intake.waiting_bytes:
            return replies.IMPROPER_PIPELINING
        objection = self._transaction.data(argument)
        if objection is not None:
            return objection
        self.door.admission.works(self)
        await self.send("354 End data with <CR><LF>.<CR><LF>\r\n")
        lease = Lease(self.door.budget)
        raw = await read_message(self.intake, self.door.data, lease)
        reply = self._refuse(raw) if isinstance(raw, Reply) else await self._receive(raw, lease)
        self._transaction.reset()
        self.conduct.moved_mail()
        return reply

    async def _receive(self, raw: bytes, lease: Lease) -> Reply:
        """Hand the mail over. From here on no hang-up stops its keeping."""
        task = self.loop.create_task(self._hand_over(raw), name="smtp receive")
        task.add_done_callback(lambda _: lease.release())
        task.add_done_callback(self.door.receiving.discard)
        self.door.receiving.add(task)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(self._log_alone)
            raise

    async def _hand_over(self, raw: bytes) -> Reply:
        try:
            headers = scan(raw, self.door.headers_max_bytes)
        except HeadersTooLarge:
            return self._refuse(replies.HEADERS_TOO_LARGE)
        now = datetime.now(UTC)
        arrival = Arrival(
            id=new_ticket_id(now),
            peer=self._peer(),
            mail_from=self._transaction.mail_from or "",
            rcpt_to=tuple(self._transaction.rcpt_to),
            raw=raw,
            headers=headers,
            received_at=now,
        )
        return await self.door.receive(arrival)

    def _peer(self) -> Peer:
        if not self.knows_ip:
            self.door.sparing.log(Event.ADDRESS_LOST, kind="mail", peer=address_hash(self.ip))
        return Peer(
            ip=self.ip,
            helo=self._transaction.helo,
            tls=self.tls,
            extended=self._transaction.extended,
            known=self.knows_ip,
        )

    async def _rset(self, argument: bytes) -> Reply:
        self._transaction.reset()
        return self.conduct.idled(replies.OK)

    async def _noop(self, argument: bytes) -> Reply:
        return self.conduct.idled(replies.OK)

    async def _vrfy(self, argument: bytes) -> Reply:
        return self.conduct.idled(replies.WILL_NOT_VERIFY)

    async def _help(self, argument: bytes) -> Reply:
        return self.conduct.idled(replies.HELP)

    async def _expn(self, argument: bytes) -> Reply:
        return replies.NOT_IMPLEMENTED

    async def _quit(self, argument: bytes) -> Reply:
        return replies.GOODBYE

    _COMMANDS: ClassVar[dict[bytes, Callable[[Conversation, bytes], Awaitable[Reply | None]]]] = {
        b"HELO": _helo,
        b"EHLO": _ehlo,
        b"STARTTLS": _starttls,
        b"MAIL": _mail,
        b"RCPT": _rcpt,
        b"DATA": _data,
        b"RSET": _rset,
        b"NOOP": _noop,
        b"VRFY": _vrfy,
        b"HELP": _help,
        b"EXPN": _expn,
        b"QUIT": _quit,
    }

    def _refuse(self, reply: Reply, **fields: object) -> Reply:
        """Log what this door itself objects to; of other refusals others know the reason."""
        self._refusals += 1
        event = Event.DEFERRED if reply.temporary else Event.REJECTED
        if self._refusals > REFUSALS_LOGGED:
            count(event, kind_of(reply))
            return reply
        if self._transaction.mail_from:
            fields["sender"] = address_hash(self._transaction.mail_from)
        kind, peer = kind_of(reply), address_hash(self.ip)
        log(event, kind=kind, because=reply.text, peer=peer, **fields)
        return reply

    def _log_alone(self, task: asyncio.Task[Reply]) -> None:
        """The peer has gone: nobody else will hear of what went wrong."""
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self.log_trouble(error)

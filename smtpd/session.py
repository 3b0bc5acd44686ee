"""One SMTP session's connection: aiosmtpd's protocol, and the loop of command and reply.

What the commands do stands in conversation.py, who listens in listener.py. The
library's own command methods are not used: their answers lack enhanced codes, and some
cost more than taking a whole mail does.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import cast

from aiosmtpd.smtp import SMTP

from smtpd import replies
from smtpd.admission import ip_of
from smtpd.door import Door
from smtpd.errors import Temporary
from smtpd.events import Event, address_hash, count, log
from smtpd.intake import HungUp, Intake, LineTooLong
from smtpd.limits import Conduct
from smtpd.proxied import NoClientNamed, client_behind
from smtpd.replies import Reply, kind_of

# Above this a peer that does not read our replies is waited for, with a deadline.
UNSENT_MAX_BYTES = 16384

# How long a peer that is cut off has to read why.
LAST_WORD_S = 1.0

# A peer in the middle of a handshake brings no mail, so this need not be long.
HANDSHAKE_S = 30.0


class _Farewell(Exception):
    """We end this session, which was only waiting for a command."""


class Session(SMTP):
    """A peer's connection, from the banner to its end; conversation.py adds the commands."""

    _writer: asyncio.StreamWriter

    def __init__(self, door: Door, *, behind_proxy: bool) -> None:
        # Not the library's own constructor, which looks at every method of its class by
        # reflection, for each connection: only that of the protocol beneath it.
        self.loop = asyncio.get_running_loop()
        asyncio.StreamReaderProtocol.__init__(
            self, asyncio.StreamReader(loop=self.loop), self._cb_client_connected, self.loop
        )
        self.door = door
        self.intake = Intake(self.loop)
        self.conduct = Conduct(door.patience)
        self.task: asyncio.Task[None] | None = None
        self.ip = ""
        self.knows_ip = False  # it is the client's own
        self.tls = ""  # the protocol's version, once there is TLS
        self._behind_proxy = behind_proxy
        self._hearing = False  # waiting for a command, with nothing else at stake
        self._farewell: Reply | None = None  # what to say instead of obeying, once it is set
        self._ends_at = self.loop.time() + door.patience.session_s

    def in_transaction(self) -> bool:
        """Whether a mail is under way."""
        raise NotImplementedError

    async def obey(self, line: bytes) -> Reply | None:
        """Carry out a command line; its reply, None where that was spoken already."""
        raise NotImplementedError

    def start_again(self) -> None:
        """Forget the mail under way."""
        raise NotImplementedError

    # What the transport tells us.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        asyncio.StreamReaderProtocol.connection_made(self, transport)
        self.intake.attach(cast(asyncio.ReadTransport, transport))
        self.ip = ip_of(transport.get_extra_info("peername"))
        refusal: Reply | None = None
        if len(self.door.sessions) >= self.door.capacities.sockets:
            refusal = replies.TOO_MANY_CONNECTIONS
        elif not self._behind_proxy:
            refusal = self._enter()
        if refusal is not None:
            self._writer.write(f"{refusal}\r\n".encode("ascii"))
            self._writer.close()
            self._log_cut_off(refusal)
            return
        self.door.sessions.add(self)
        self.task = self.loop.create_task(self._handle_client(), name="smtp session")
        self.task.add_done_callback(self._ended)

    def _enter(self) -> Reply | None:
        """Be counted among the connections; why that cannot be."""
        self.knows_ip = self.door.neighbourhood.knows(self.ip)
        return self.door.admission.enter(self, self.ip if self.knows_ip else "", self.loop.time())

    def data_received(self, data: bytes) -> None:
        self.intake.feed(data)

    def eof_received(self) -> bool:
        # Who says no more may still listen: a mail that came whole gets its reply.
        self.intake.end()
        return not self.tls

    def connection_lost(self, error: Exception | None) -> None:
        self.intake.close()
        asyncio.StreamReaderProtocol.connection_lost(self, error)
        if self.task is not None:
            self.task.cancel()

    def leave(self) -> None:
        """Say 421 and close: at once when idle, else after the command under way."""
        self._end_with(replies.CLOSING_DOWN)

    def make_room(self) -> None:
        """Say 421 and close, and be gone soon: the place is another's already."""
        if self._hearing:
            self._end_with(replies.MAKING_ROOM)
            # The last word's time and as much again, whatever happens meanwhile.
            self.loop.call_later(2 * LAST_WORD_S, self.abort)
        else:
            # In a handshake that does not end, or not reading what we say.
            self._log_cut_off(replies.MAKING_ROOM)
            self.abort()

    def _end_with(self, reply: Reply) -> None:
        self._farewell = reply
        if self._hearing:
            self.intake.interrupt(_Farewell())

    def abort(self) -> None:
        """Close the connection without a word."""
        if self.task is not None and not self.task.done():
            self._writer.transport.abort()
            # Within a handshake the transport's end alone would look like success.
            self.task.cancel()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self.door.admission.leave(self)
        self.door.sessions.discard(self)

    # Command and reply.

    async def _handle_client(self) -> None:
        try:
            last_word = await self._greet()
            while last_word is None:
                last_word = await self._exchange()
            if last_word is not replies.GOODBYE and last_word is not replies.CLOSING_DOWN:
                self._log_cut_off(last_word)
                self.door.admission.leave(self)
                await self._let_it_be_read()
        except NoClientNamed as failure:
            self.door.sparing.log(Event.PROXY_FAILED, kind=failure.kind, peer=address_hash(self.ip))
        except (HungUp, TimeoutError):
            pass
        finally:
            self._writer.close()

    async def _let_it_be_read(self) -> None:
        """Drop what still comes. Raises HungUp or TimeoutError, whichever is first.

        To close with input unread is to reset the connection, and TCP then takes our
        last word from the peer before it could read it.
        """
        if self._writer.can_write_eof():
            self._writer.write_eof()
            deadline = self.loop.time() + LAST_WORD_S
            while True:
                await self.intake.block(deadline)

    async def _greet(self) -> Reply | None:
        """Speak first; a reply means that it was the last word, too."""
        if self._behind_proxy and (refusal := await self._enter_by_proxy()) is not None:
            await self.say(refusal)
            return refusal
        # Once around the loop, so that what came before the banner has been read.
        await asyncio.sleep(0)
        if self.intake.waiting_bytes:
            await self.say(replies.IMPROPER_PIPELINING)
            return replies.IMPROPER_PIPELINING
        await self.send(f"220 {self.door.hostname} ESMTP\r\n")
        return None

    async def _enter_by_proxy(self) -> Reply | None:
        """Learn whose connection this is. Raises NoClientNamed or HungUp."""
        if not self.door.neighbourhood.trusts(self.ip):
            raise NoClientNamed("untrusted")
        self.ip = await client_behind(self.intake)
        return self._enter()

    async def _exchange(self) -> Reply | None:
        """Hear one command and answer it; a reply means that it was the last word."""
        reply = await self._answer()
        if reply is None:
            return None
        reply = self.conduct.answered(reply)
        await self.say(reply)
        is_last = reply.code in (221, 421) or reply is replies.IMPROPER_PIPELINING
        return reply if is_last else None

    async def _answer(self) -> Reply | None:
        if self._farewell is not None:
            return self._farewell
        now = self.loop.time()
        if now > self._ends_at and not self.in_transaction():
            return replies.SESSION_TOO_LONG
        self.door.admission.waits(self, now)
        self._hearing = True
        try:
            line = await self.intake.line(
                self.door.patience.command_bytes, now + self.door.command_timeout_s
            )
        except LineTooLong:
            count(Event.REJECTED, kind_of(replies.LINE_TOO_LONG))
            return replies.LINE_TOO_LONG
        except TimeoutError:
            return replies.IDLE_TOO_LONG
        except _Farewell:
            return self._farewell
        finally:
            self._hearing = False
        if self._farewell is not None:
            return self._farewell
        try:
            return await self.obey(line)
        except HungUp:
            raise
        except Exception as error:  # noqa: BLE001 (the session edge: unforeseen is temporary)
            self.start_again()
            self.log_trouble(error)
            return replies.TROUBLE_HERE

    async def say(self, reply: Reply) -> None:
        """Send a reply. Raises HungUp."""
        await self.send(f"{reply}\r\n")

    async def send(self, text: str) -> None:
        """Send lines that end with CRLF. Raises HungUp when the peer does not read."""
        self._writer.write(text.encode("ascii"))
        transport = self._writer.transport
        if transport.get_write_buffer_size() <= UNSENT_MAX_BYTES:
            return
        try:
            async with asyncio.timeout(self.door.command_timeout_s):
                await self._writer.drain()
        except (TimeoutError, ConnectionError):
            transport.abort()
            raise HungUp from None

    async def start_tls(self, context: ssl.SSLContext) -> None:
        """The handshake, as the server. Raises HungUp when it fails."""
        try:
            await self._writer.start_tls(context, ssl_handshake_timeout=HANDSHAKE_S)
        except OSError as error:  # ssl.SSLError is one, too
            reason = getattr(error, "reason", None) or type(error).__name__
            kind = "handshake" if isinstance(error, ssl.SSLError) else "hung_up"
            self.door.sparing.log(
                Event.TLS_FAILED, kind=kind, because=reason.lower(), peer=address_hash(self.ip)
            )
            raise HungUp from None
        self.intake.attach(cast(asyncio.ReadTransport, self._writer.transport))
        self.tls = self._writer.get_extra_info("ssl_object").version()

    def _log_cut_off(self, last_word: Reply) -> None:
        self.door.sparing.log(
            Event.CUT_OFF,
            kind=kind_of(last_word),
            because=last_word.text,
            peer=address_hash(self.ip),
        )

    def log_trouble(self, error: BaseException) -> None:
        """Tell the log what the peer only hears a 451 about."""
        kind, peer = kind_of(replies.TROUBLE_HERE), address_hash(self.ip)
        if isinstance(error, Temporary):
            log(Event.DEFERRED, kind=kind, because=error.because, peer=peer)
        else:
            because = "an SMTP session failed"
            log(Event.TROUBLE, kind=kind, because=because, peer=peer, exc_info=error)

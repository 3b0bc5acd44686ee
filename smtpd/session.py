"""One SMTP session's connection: aiosmtpd's protocol, and the loop of command and reply.

What the commands do stands in conversation.py, who listens in listener.py. The
library's own command methods are not used: their answers lack enhanced codes, and some
cost more than taking a whole mail does.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import cast

from aiosmtpd.smtp import SMTP

from smtpd import replies
from smtpd.data import DataLimits
from smtpd.errors import Temporary
from smtpd.events import Event, address_hash, log
from smtpd.intake import HungUp, Intake, LineTooLong
from smtpd.limits import ByteBudget, Conduct, Connections, Patience
from smtpd.mail import Arrival
from smtpd.policy import RecipientClass
from smtpd.replies import Reply

# Above this a peer that does not read our replies is waited for, with a deadline.
UNSENT_MAX_BYTES = 16384

# How long a peer that is cut off has to read why.
LAST_WORD_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """What all sessions of one listener share."""

    hostname: str
    classify: Callable[[str], RecipientClass]
    receive: Callable[[Arrival], Awaitable[Reply]]
    tls: ssl.SSLContext | None
    data: DataLimits
    headers_max_bytes: int
    recipients_max: int
    command_timeout_s: float
    patience: Patience
    connections: Connections
    budget: ByteBudget
    sessions: set[Session]
    receiving: set[asyncio.Task[Reply]]  # mails being judged and kept, hang-ups or not


class _Leaving(Exception):
    """The listener closes, and this session was only waiting for a command."""


class Session(SMTP):
    """A peer's connection, from the banner to its end; conversation.py adds the commands."""

    _writer: asyncio.StreamWriter

    def __init__(self, door: Door) -> None:
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
        self.tls = ""  # the protocol's version, once there is TLS
        self._hearing = False  # waiting for a command, with nothing else at stake
        self._leaving = False
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
        if not self.door.connections.admit():
            self._writer.write(f"{replies.TOO_MANY_CONNECTIONS}\r\n".encode("ascii"))
            self._writer.close()
            self._log_cut_off(replies.TOO_MANY_CONNECTIONS)
            return
        self.door.sessions.add(self)
        self.task = self.loop.create_task(self._handle_client(), name="smtp session")
        self.task.add_done_callback(self._ended)

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
        self._leaving = True
        if self._hearing:
            self.intake.interrupt(_Leaving())

    def abort(self) -> None:
        """Close the connection without a word."""
        self._writer.transport.abort()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self.door.connections.leave()
        self.door.sessions.discard(self)

    # Command and reply.

    async def _handle_client(self) -> None:
        try:
            last_word = await self._greet()
            while last_word is None:
                last_word = await self._exchange()
            if last_word is not replies.GOODBYE and not self._leaving:
                self._log_cut_off(last_word)
                await self._let_it_be_read()
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
        # Once around the loop, so that what came before the banner has been read.
        await asyncio.sleep(0)
        if self.intake.waiting_bytes:
            await self.say(replies.IMPROPER_PIPELINING)
            return replies.IMPROPER_PIPELINING
        await self.send(f"220 {self.door.hostname} ESMTP\r\n")
        return None

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
        if self._leaving:
            return replies.CLOSING_DOWN
        now = self.loop.time()
        if now > self._ends_at and not self.in_transaction():
            return replies.SESSION_TOO_LONG
        self._hearing = True
        try:
            line = await self.intake.line(
                self.door.patience.command_bytes, now + self.door.command_timeout_s
            )
        except LineTooLong:
            return replies.LINE_TOO_LONG
        except TimeoutError:
            return replies.IDLE_TOO_LONG
        except _Leaving:
            return replies.CLOSING_DOWN
        finally:
            self._hearing = False
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
            await self._writer.start_tls(context)
        except OSError:  # ssl.SSLError is one, too
            raise HungUp from None
        self.intake.attach(cast(asyncio.ReadTransport, self._writer.transport))
        self.tls = self._writer.get_extra_info("ssl_object").version()

    def _log_cut_off(self, last_word: Reply) -> None:
        log(Event.CUT_OFF, because=last_word.text, peer=address_hash(self.ip))

    def log_trouble(self, error: BaseException) -> None:
        """Tell the log what the peer only hears a 451 about."""
        peer = address_hash(self.ip)
        if isinstance(error, Temporary):
            log(Event.DEFERRED, because=error.because, peer=peer)
        else:
            log(Event.TROUBLE, because="an SMTP session failed", peer=peer, exc_info=error)


def ip_of(peername: object) -> str:
    """The address in what a transport calls the peer's name, "" where it holds none.

    An IPv4 peer of a dual-stack socket comes as ::ffff:192.0.2.1 and is named 192.0.2.1.
    """
    if not isinstance(peername, tuple) or not peername:
        return ""
    ip = str(peername[0]).partition("%")[0]
    if ":" not in ip:
        return ip
    address = IPv6Address(ip)
    return str(address.ipv4_mapped or address)

"""What a peer sends: the bounded intake of a session, and the message that follows DATA.

Nothing here grows with what a peer sends: a command line stops at its limit, a
message at the size limit, and both are read on to their real end without being kept.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from smtpd import replies
from smtpd.limits import Lease
from smtpd.replies import Reply

# Reading from the socket stops when this much waits unread.
PAUSE_ABOVE_BYTES = 65536

# RFC 5321 section 4.1.1.4: only these five octets end a message. Everything like them
# (bare LF, bare CR, mixtures) has been used to smuggle a second mail past some server.
END_OF_DATA = b"\r\n.\r\n"


class HungUp(Exception):
    """The peer closed the connection; nothing more will come."""


class LineTooLong(Exception):
    """A command line beyond the limit; it has been read to its end and dropped."""


class Intake:
    """The peer's bytes in their order, for one reader at a time.

    Not asyncio's StreamReader: a session has to know whether input waits, to put bytes
    back after the end of DATA even when the peer has hung up since, and to wait with a
    deadline several times a mail at next to no cost.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._buffer = bytearray()
        self._transport: asyncio.ReadTransport | None = None
        self._ended = False
        self._paused = False
        self._waiter: asyncio.Future[None] | None = None
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0

    @property
    def waiting_bytes(self) -> int:
        """How much has come and was not read yet."""
        return len(self._buffer)

    def attach(self, transport: asyncio.ReadTransport) -> None:
        """Take the transport that is paused when too much waits."""
        self._transport = transport
        self._paused = False

    def feed(self, block: bytes) -> None:
        """Take what the transport received."""
        self._buffer += block
        if self._waiter is not None:
            self._wake()
        elif len(self._buffer) > PAUSE_ABOVE_BYTES and not self._paused and self._transport:
            self._transport.pause_reading()
            self._paused = True

    def end(self) -> None:
        """Take note that the peer will send no more; what waits can still be read."""
        self._ended = True
        self._wake()

    def close(self) -> None:
        """The connection is gone: stop the timer."""
        self.end()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def interrupt(self, error: Exception) -> None:
        """Raise `error` in whoever waits for input."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)

    def put_back(self, block: bytes) -> None:
        """Have `block` read again, before anything else."""
        self._buffer[:0] = block

    async def line(self, limit_bytes: int, deadline: float) -> bytes:
        """The next line without its line end; a bare LF ends a command line, too.

        Raises LineTooLong, TimeoutError at the loop time `deadline`, or HungUp.
        """
        too_long = False
        while (end := self._buffer.find(b"\n")) < 0:
            if len(self._buffer) > limit_bytes:
                too_long = True
                self._buffer.clear()
            await self._more(deadline)
        line = bytes(self._buffer[: end + 1])
        del self._buffer[: end + 1]
        if too_long or len(line) > limit_bytes:
            raise LineTooLong
        return line.rstrip(b"\r\n")

    async def block(self, deadline: float) -> bytes:
        """All that waits, at least one byte. Raises TimeoutError at `deadline`, or HungUp."""
        if not self._buffer:
            await self._more(deadline)
        block = bytes(self._buffer)
        self._buffer.clear()
        return block

    async def _more(self, deadline: float) -> None:
        if self._ended:
            raise HungUp
        if self._loop.time() >= deadline:  # even where more input comes without a pause
            raise TimeoutError
        if self._paused and self._transport and not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()
        self._waiter = self._loop.create_future()
        self._deadline = deadline
        if self._timer is None or self._timer_at > deadline:
            self._set_timer(deadline)
        try:
            await self._waiter
        finally:
            self._waiter = None
        if self._ended and not self._buffer:
            raise HungUp

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # One timer outlives many waits: setting and cancelling one for each wait would cost
    # more than reading does.
    def _set_timer(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = at
        self._timer = self._loop.call_at(at, self._time_is_up)

    def _time_is_up(self) -> None:
        self._timer = None
        if self._waiter is None:
            return
        if self._loop.time() < self._deadline:
            self._set_timer(self._deadline)
        else:
            self.interrupt(TimeoutError())


class Incoming:
    """One message on its way in: fed block by block, no input of its own (RFC 5321 4.5.2).

    Once it is refused nothing is kept of it, but it is still read to its end, so that
    nothing inside it is ever taken for a command.
    """

    def __init__(self, message_max_bytes: int, lease: Lease) -> None:
        self._max_bytes = message_max_bytes
        self._lease = lease
        self._body = bytearray()
        # The message starts at the beginning of a line: as if a CRLF had just been read.
        self._held_back = b"\r\n"
        self._at_start = True
        self.refusal: Reply | None = None
        self.received_bytes = 0  # on the wire, kept or not

    @property
    def never_ends(self) -> bool:
        """More than we take came, and then as much again."""
        return self.received_bytes > 2 * self._max_bytes

    def feed(self, block: bytes) -> bytes | None:
        """Take a block; what follows the end of the message, None when it goes on."""
        self.received_bytes += len(block)
        text = self._held_back + block
        end = text.find(END_OF_DATA)
        if end >= 0:
            self._take(text[: end + 2])
            return text[end + len(END_OF_DATA) :]
        cut = len(text) - _unsure_bytes(text)
        self._held_back = text[cut:]
        self._take(text[:cut])
        return None

    def content(self) -> bytes:
        """The finished message, dots unstuffed."""
        return bytes(self._body)

    def refuse(self, reply: Reply) -> None:
        """Keep no more of it; the first refusal is the one that is spoken."""
        if self.refusal is None:
            self.refusal = reply
            self._body = bytearray()
            self._lease.release()

    def _take(self, part: bytes) -> None:
        if self.refusal is not None or not part:
            return
        # No CRLF and no stuffed dot crosses the border of two parts: see _unsure_bytes.
        line_ends = part.count(b"\r\n")
        if part.count(b"\r") != line_ends or part.count(b"\n") != line_ends:
            self.refuse(replies.BARE_LINE_END)
            return
        if b"\r\n." in part:
            part = part.replace(b"\r\n.", b"\r\n")
        if self._at_start:
            self._at_start = False
            part = part[2:]
        if len(self._body) + len(part) > self._max_bytes:
            self.refuse(replies.TOO_BIG)
        elif not self._lease.take(len(part)):
            self.refuse(replies.TOO_BUSY)
        else:
            self._body += part


def _unsure_bytes(text: bytes) -> int:
    """How many octets at the end could be the first ones of END_OF_DATA."""
    if text[-1] not in b"\r\n.":
        return 0
    lengths = range(min(len(END_OF_DATA) - 1, len(text)), 0, -1)
    return next((n for n in lengths if text.endswith(END_OF_DATA[:n])), 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class DataLimits:
    """What a message may cost."""

    message_max_bytes: int
    min_rate: int  # bytes a second
    window_s: float  # over which the rate is measured


async def read_message(intake: Intake, limits: DataLimits, lease: Lease) -> bytes | Reply:
    """The message up to its end, or why it is refused; a 421 means: close the connection.

    The lease holds the bytes of a message that is returned, for the caller to release.
    Raises HungUp.
    """
    incoming = Incoming(limits.message_max_bytes, lease)
    refusal: Reply | None = replies.TROUBLE_HERE
    try:
        refusal = await _read_to_the_end(intake, limits, incoming)
    finally:
        if refusal is not None:
            lease.release()
    return refusal or incoming.content()


async def _read_to_the_end(intake: Intake, limits: DataLimits, incoming: Incoming) -> Reply | None:
    loop = asyncio.get_running_loop()
    # Even without a floor a peer that sends nothing at all is not waited for.
    fair_bytes = max(1, limits.min_rate * limits.window_s)
    window_ends, counted_bytes = loop.time() + limits.window_s, 0
    while True:
        try:
            rest = incoming.feed(await intake.block(window_ends))
        except TimeoutError:
            if incoming.received_bytes - counted_bytes < fair_bytes:
                return replies.TOO_SLOW
            window_ends, counted_bytes = loop.time() + limits.window_s, incoming.received_bytes
            continue
        if rest is not None:
            intake.put_back(rest)
            return incoming.refusal
        if incoming.never_ends:
            return replies.STILL_TOO_BIG

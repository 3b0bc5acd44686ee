"""The bounded intake of a session: the peer's bytes, as they come, until somebody reads them."""

from __future__ import annotations

import asyncio

# Reading from the socket stops when this much waits unread.
PAUSE_ABOVE_BYTES = 65536


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
        # Somebody who waits does not read before the loop's next round, and a transport may
        # bring megabytes within this one.
        if len(self._buffer) > PAUSE_ABOVE_BYTES and not self._paused and self._transport:
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

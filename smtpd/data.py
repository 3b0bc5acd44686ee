"""The message that follows DATA: read up to its real end, and kept up to the size limit."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from smtpd import replies
from smtpd.intake import Intake
from smtpd.limits import Lease
from smtpd.replies import Reply

# RFC 5321 section 4.1.1.4: only these five octets end a message. Everything like them
# (bare LF, bare CR, mixtures) has been used to smuggle a second mail past some server.
END_OF_DATA = b"\r\n.\r\n"


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

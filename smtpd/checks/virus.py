"""Viruses: clamd by INSTREAM (clamd(8)), where one is configured."""

from __future__ import annotations

import asyncio

from config.checks_settings import ChecksSettings
from smtpd.decoding import one_line
from smtpd.events import Event
from smtpd.evidence import Scan, VirusFinding
from smtpd.tally import Sparing

NAME_MAX = 100
PING_S = 2.0
# clamd answers with one short line.
ANSWER_MAX_BYTES = 1024
# Far below clamd's StreamMaxLength, which no block may exceed, and few enough for a large mail.
_BLOCK_BYTES = 65_536
# clamd's StreamMaxLength is 100 MB by default, 25 in Debian; below this nobody's is. A smaller
# mail whose connection breaks met a clamd that fell over, not one that found it too large.
NEVER_TOO_LARGE_BYTES = 1_048_576

_TOO_LARGE = VirusFinding(scan=Scan.TOO_LARGE)


class VirusScanner:
    """Asks clamd about each mail; says so where it gives no answer."""

    def __init__(self, settings: ChecksSettings) -> None:
        self._host, self._port = settings.clamd_host, settings.clamd_port
        self._timeout_s = settings.clamd_timeout
        self._sparing = Sparing()

    async def scan(self, raw: bytes) -> VirusFinding:
        """What clamd says of the mail; never raises but CancelledError."""
        if not self._host:
            return VirusFinding()
        try:
            found = _verdict(await self._ask(b"nINSTREAM\n", raw, self._timeout_s))
        except (OSError, UnicodeError) as error:
            # clamd closes at once on what is too large for it; its word may be lost with that.
            large = len(raw) > NEVER_TOO_LARGE_BYTES
            if large and isinstance(error, ConnectionError) and await self.answers():
                return _TOO_LARGE
            return self._away(type(error).__name__)
        return found or self._away("it gave no verdict")

    async def answers(self) -> bool:
        """Whether clamd is there."""
        try:
            return await self._ask(b"nPING\n", b"", PING_S) == "PONG"
        except (OSError, UnicodeError):
            return False

    async def _ask(self, command: bytes, stream: bytes, within_s: float) -> str:
        """The first line that clamd answers. Raises OSError, and so TimeoutError."""
        async with asyncio.timeout(within_s):
            reader, writer = await asyncio.open_connection(self._host, self._port)
            try:
                writer.write(command)
                if stream:
                    await _send(stream, writer)
                return await _line(reader)
            finally:
                # Not closed: that would wait, without end, for a frozen clamd to take the rest.
                writer.transport.abort()

    def _away(self, because: str) -> VirusFinding:
        self._sparing.log(Event.AWAY, kind="clamd", neighbour="clamd", because=because)
        return VirusFinding(scan=Scan.AWAY)


async def _send(stream: bytes, writer: asyncio.StreamWriter) -> None:
    """In blocks, each behind its length in four bytes; one without any ends it."""
    for at in range(0, len(stream), _BLOCK_BYTES):
        block = stream[at : at + _BLOCK_BYTES]
        writer.write(len(block).to_bytes(4, "big") + block)
        await writer.drain()
    writer.write(bytes(4))
    await writer.drain()


async def _line(reader: asyncio.StreamReader) -> str:
    """Cut where it is longer than any answer of clamd's."""
    answer = b""
    while b"\n" not in answer and len(answer) < ANSWER_MAX_BYTES:
        block = await reader.read(ANSWER_MAX_BYTES)
        if not block:
            break
        answer += block
    return answer[:ANSWER_MAX_BYTES].partition(b"\n")[0].decode("ascii", "replace").strip()


def _verdict(said: str) -> VirusFinding | None:
    """None where it is no clear word."""
    if said == "stream: OK":
        return VirusFinding(scan=Scan.CLEAN)
    if said.startswith("stream: ") and said.endswith(" FOUND"):
        name = one_line(said.removeprefix("stream: ").removesuffix(" FOUND"), NAME_MAX)
        return VirusFinding(scan=Scan.FOUND, name=name.encode("ascii", "replace").decode())
    return _TOO_LARGE if said.startswith("INSTREAM size limit exceeded") else None

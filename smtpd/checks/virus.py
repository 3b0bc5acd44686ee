"""Viruses: clamd by INSTREAM (clamd(8)), where one is configured."""

from __future__ import annotations

from aioclamd import BufferTooLongError as TooLong
from aioclamd import ClamdAsyncClient, ClamdError

from config.checks_settings import ChecksSettings
from smtpd.decoding import one_line
from smtpd.events import Event
from smtpd.evidence import Scan, VirusFinding
from smtpd.tally import Sparing

NAME_MAX = 100
PING_S = 2.0
# The library asks for a kilobyte at a time, each in a thread; a mail is in memory already.
_BLOCK_BYTES = 262_144
# clamd's StreamMaxLength is 100 MB by default, 25 in Debian; below this nobody's is. A smaller
# mail whose connection breaks met a clamd that fell over, not one that found it too large.
NEVER_TOO_LARGE_BYTES = 1_048_576

_AWAY = VirusFinding(scan=Scan.AWAY)
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
        client = ClamdAsyncClient(self._host, self._port, timeout=self._timeout_s)
        try:
            said = await client.instream(_Blocks(raw))
        except TooLong:
            return _TOO_LARGE
        except (ClamdError, OSError, UnicodeError) as error:
            # clamd closes at once on what is too large for it; its word may be lost with that.
            large = len(raw) > NEVER_TOO_LARGE_BYTES
            if large and _broke_off(error) and await self.answers():
                return _TOO_LARGE
            return self._away(error)
        (status, reason), *_ = (said or {"": ("", "")}).values()
        if status == "FOUND":
            name = one_line(str(reason), NAME_MAX).encode("ascii", "replace").decode()
            return VirusFinding(scan=Scan.FOUND, name=name)
        return VirusFinding(scan=Scan.CLEAN) if status == "OK" else self._away(None)

    async def answers(self) -> bool:
        """Whether clamd is there."""
        try:
            client = ClamdAsyncClient(self._host, self._port, timeout=PING_S)
            return bool(await client.ping() == "PONG")
        except (ClamdError, OSError, UnicodeError):
            return False

    def _away(self, error: Exception | None) -> VirusFinding:
        because = type(error).__name__ if error else "it gave no verdict"
        self._sparing.log(Event.AWAY, kind="clamd", neighbour="clamd", because=because)
        return _AWAY


def _broke_off(error: Exception) -> bool:
    """Whether an open connection was reset; the library wraps what happens while it reads."""
    broken = (ConnectionResetError, BrokenPipeError)
    return isinstance(error, broken) or isinstance(error.__cause__, broken)


class _Blocks:
    """A mail as a file that reads in large blocks, whatever it is asked for."""

    def __init__(self, raw: bytes) -> None:
        self._raw = memoryview(raw)

    def read(self, _size: int) -> bytes:
        block, self._raw = self._raw[:_BLOCK_BYTES], self._raw[_BLOCK_BYTES:]
        return bytes(block)

"""How much a mail looks like spam: spamd's score where there is one, else our own light one."""

from __future__ import annotations

import math
import re
from asyncio import StreamReader

from aiospamc.client import Client
from aiospamc.connections import TcpConnectionManager, Timeout
from aiospamc.exceptions import BadResponse, ClientException, ParseError, TimeoutException
from aiospamc.requests import Request
from aiospamc.responses import Response, ResponseException

from config.checks_settings import ChecksSettings
from smtpd.events import Event
from smtpd.evidence import SpamFinding
from smtpd.tally import Sparing

# What spamc sends at most by default; SpamAssassin's rules are slow on more, and spam is small.
SPAMD_BYTES = 512_000
SIGNS_MAX = 50
SIGN_MAX = 60  # characters
# The name of a rule; a sign is logged, and holds no stranger's words.
_RULE = re.compile(rf"[A-Za-z0-9_]{{1,{SIGN_MAX}}}")
SCORE_MAX = 1_000_000.0  # GTUBE has 1,000
# Of an answer: 500 names of rules have room. The library would read without end, and its
# parser takes ten seconds, in which nobody is served, for two megabytes of fields.
ANSWER_MAX_BYTES = 16_384

_TROUBLE = (ClientException, ParseError, ResponseException, TimeoutException, OSError, ValueError)


class _Connections(TcpConnectionManager):  # type: ignore[misc]  # the library has no types
    """The library's, which leaves its connection open where the answer never comes, or ends."""

    async def _send(self, data: bytes) -> bytes:
        reader, writer = await self._connect()
        try:
            writer.write(data)
            writer.write_eof()
            await writer.drain()
            answer: bytes = await self._receive(reader)
        finally:
            # Not close(): that waits without end for a spamd that does not read.
            writer.transport.abort()
        return answer

    async def _receive(self, reader: StreamReader) -> bytes:
        answer = bytearray()
        while block := await reader.read(ANSWER_MAX_BYTES):
            answer += block
            if len(answer) > ANSWER_MAX_BYTES:
                raise BadResponse("the answer is too long")
        return bytes(answer)


class SpamScanner:
    """Asks spamd about each mail, and falls back on the built-in score."""

    def __init__(self, settings: ChecksSettings) -> None:
        host, port, most_s = settings.spamd_host, settings.spamd_port, settings.spamd_timeout
        # Kept: the library's own front makes two TLS contexts a mail, which costs 40 ms.
        manager = _Connections(host, port, timeout=Timeout(most_s, most_s, most_s))
        self._client = Client(manager) if host else None
        self._sparing = Sparing()

    async def score(self, raw: bytes, light: SpamFinding) -> SpamFinding:
        """spamd's finding, or the light one; never raises but CancelledError."""
        by_spamd = await self._ask(self._client, raw[:SPAMD_BYTES]) if self._client else None
        return by_spamd or light

    async def answers(self) -> bool:
        """Whether spamd is there."""
        try:
            said = await self._client.request(Request("PING")) if self._client else None
        except _TROUBLE:
            return False
        return said is not None and said.message == "PONG"

    async def _ask(self, client: Client, raw: bytes) -> SpamFinding | None:
        try:
            said: Response = await client.request(Request("SYMBOLS", body=raw))
            score = float(said.headers.spam.score)
        except (*_TROUBLE, LookupError, AttributeError, TypeError) as error:
            self._say_away(type(error).__name__)
            return None
        if not math.isfinite(score) or abs(score) > SCORE_MAX:
            self._say_away("its score is no number")
            return None
        words = said.body[: SIGNS_MAX * SIGN_MAX].decode("ascii", "replace").split(",")
        signs = tuple(word for word in map(str.strip, words[:SIGNS_MAX]) if _RULE.fullmatch(word))
        return SpamFinding(score=score, by="spamd", signs=signs)

    def _say_away(self, because: str) -> None:
        self._sparing.log(Event.AWAY, kind="spamd", neighbour="spamd", because=because)

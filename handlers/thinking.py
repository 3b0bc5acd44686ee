"""Asks the AI core over HTTP, patiently but not for ever; believes little of what it says.

`EmailAIClient` speaks the AI interface; `AiThinker` is the journey's neighbour.
What goes into a request is decided in `prompting.py`.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NoReturn

import aiohttp

from config.settings import AiSettings
from handlers import prompting
from handlers.letter import Answer, Claim, Exchange, Record
from smtpd.decoding import clean, one_line
from smtpd.errors import Permanent, Temporary
from smtpd.events import Event, log

ATTEMPTS = 5  # of one request; the deadline usually ends it sooner
PAUSE_S = 0.5  # before the second attempt, doubled each time
PAUSE_MAX_S = 30.0
CONNECT_TIMEOUT_S = 10.0

# JSON may spell one character in six (\u00e9), and has keys of its own.
_BODY_PER_ANSWER_BYTE = 6
_BODY_OVERHEAD_BYTES = 16384
_READ_BYTES = 16384

_TRY_AGAIN = frozenset({408, 409, 429})  # and every 5xx
# Said about this very mail. All else that is wrong with a request is wrong with the
# settings, and no mail is given up for those.
_ABOUT_THIS_MAIL = frozenset({400, 413, 422})
_CURE = {
    401: "check AI_API_KEY",
    403: "check AI_API_KEY",
    404: "check AI_API_URL and AI_API_PATH",
    405: "check AI_API_URL and AI_API_PATH",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AiOptions:
    """What every request asks for, and how long and how wide we ask."""

    model: str = "mistral-7b-instruct"
    max_tokens: int = 1500
    temperature: float = 0.3
    generate_path: str = "/generate"
    process_path: str = "/process"
    timeout_s: float = 120  # one request with all its attempts and pauses
    concurrency: int = 8
    answer_max_bytes: int = 65536  # of UTF-8

    @classmethod
    def of(cls, settings: AiSettings) -> AiOptions:
        return cls(
            model=settings.default_model,
            max_tokens=settings.ai_max_tokens,
            temperature=settings.ai_temperature,
            generate_path=settings.ai_api_path,
            process_path=settings.ai_process_path,
            timeout_s=settings.ai_timeout,
            concurrency=settings.ai_concurrency,
            answer_max_bytes=settings.ai_answer_max_bytes,
        )


class _TryAgain(Temporary):
    """One attempt failed in a way that another one may not."""


class EmailAIClient:
    """The AI interface: two questions, asked over one kept HTTP session.

    Both raise Temporary where later may be better, and Permanent where the core
    refuses this very mail. Raises ValueError for a key that fits no header.
    """

    def __init__(self, api_url: str, api_key: str, options: AiOptions | None = None) -> None:
        if not (api_key.isascii() and api_key.isprintable()):
            raise ValueError("AI_API_KEY must be one line of printable ASCII characters")
        self.api_url = api_url.rstrip("/")
        self.api_key = api_key
        self.options = options or AiOptions()
        self._slots = asyncio.Semaphore(self.options.concurrency)
        self._session: aiohttp.ClientSession | None = None

    async def process_email(
        self, email_content: str, context: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """What kind of mail this is: category, urgency, language, needs_human, summary."""
        said = await self._ask(self.options.process_path, email_content, context or {}, {})
        texts = ("category", "urgency", "language", "summary")
        return {key: _text(said, key) for key in texts} | {
            "needs_human": said.get("needs_human") is True
        }

    async def generate_response(
        self, question: str, email_context: dict[str, Any], *, idempotency_key: str = ""
    ) -> dict[str, Any]:
        """The answer: response, model, tokens_used, processing_time, suggested_subject.

        The key makes a repeated request the same request for the core. Raises
        Temporary where there is no usable answer.
        """
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        said = await self._ask(self.options.generate_path, question, email_context, headers)
        return usable_answer(said, self.options)

    async def close(self) -> None:
        """Close the kept session; a later request would open a new one."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _ask(
        self, path: str, prompt: str, context: dict[str, Any], headers: dict[str, str]
    ) -> dict[str, Any]:
        body = {
            "model": self.options.model,
            "prompt": prompt,
            "max_tokens": self.options.max_tokens,
            "temperature": self.options.temperature,
            "email_context": {
                "sender": context.get("sender", ""),
                "subject": context.get("subject", ""),
                "thread_id": context.get("thread_id", ""),
                "previous_messages": context.get("previous_messages", []),
            },
        }
        try:
            async with asyncio.timeout(self.options.timeout_s) as deadline:
                return await self._ask_until(deadline, path, body, headers)
        except TimeoutError:
            raise Temporary("the AI did not answer within AI_TIMEOUT") from None

    async def _ask_until(
        self,
        deadline: asyncio.Timeout,
        path: str,
        body: dict[str, Any],
        headers: dict[str, str],
    ) -> dict[str, Any]:
        """Attempt after attempt, as long as a pause and another one fit in before the deadline."""
        ends_at = deadline.when() or math.inf
        for attempt in range(1, ATTEMPTS):
            try:
                async with self._slots:
                    return await self._post(path, body, headers)
            except _TryAgain as failure:
                pause = pause_s(attempt, failure.retry_after_s, random.random())  # noqa: S311
                if asyncio.get_running_loop().time() + pause >= ends_at:
                    raise
            await asyncio.sleep(pause)
        async with self._slots:
            return await self._post(path, body, headers)

    async def _post(
        self, path: str, body: dict[str, Any], headers: dict[str, str]
    ) -> dict[str, Any]:
        if self._session is None:
            self._session = self._open()
        try:
            async with self._session.post(
                self.api_url + path, json=body, headers=headers, allow_redirects=False
            ) as response:
                _check_status(response.status, response.headers)
                return read_object(await self._body(response))
        except (aiohttp.ClientSSLError, aiohttp.InvalidURL) as error:
            # Another certificate or another address is needed, not another attempt.
            raise Temporary(f"the AI core cannot be reached ({type(error).__name__})") from None
        except (aiohttp.ClientError, OSError) as error:
            raise _TryAgain(f"no connection to the AI core ({type(error).__name__})") from None

    def _open(self) -> aiohttp.ClientSession:
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        if self.api_key:
            headers["Authorization"] = f"Bearer {self.api_key}"
        return aiohttp.ClientSession(
            headers=headers,
            cookie_jar=aiohttp.DummyCookieJar(),
            # The whole request has one deadline, around everything; a model may think
            # in silence for all of it.
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S),
            # A compressed body would be as large in memory as its sender likes.
            auto_decompress=False,
        )

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        most = self.options.answer_max_bytes * _BODY_PER_ANSWER_BYTE + _BODY_OVERHEAD_BYTES
        body = bytearray()
        async for block in response.content.iter_chunked(_READ_BYTES):
            body += block
            if len(body) > most:
                response.close()
                _unusable("longer than AI_ANSWER_MAX_BYTES allows")
        return bytes(body)


class AiThinker:
    """The journey's Thinker: a letter to an answer."""

    def __init__(self, client: EmailAIClient) -> None:
        self._client = client

    async def think(self, claim: Claim, record: Record, exchange: Exchange) -> Answer:
        """Ask for an answer to the letter. Raises Temporary or Permanent."""
        asked_at = time.monotonic()
        letter = exchange.letter
        given = await self._client.generate_response(
            prompting.prompt(letter),
            prompting.email_context(record, letter, exchange.past.said, claim.person),
            idempotency_key=_key_of_question(claim, exchange),
        )
        log(
            Event.ASKED,
            ticket=claim.id,
            model=given["model"],
            tokens=given["tokens_used"],
            took_s=round(time.monotonic() - asked_at, 3),
        )
        return Answer(
            text=given["response"],
            model=given["model"],
            tokens_used=given["tokens_used"],
            processing_time_s=given["processing_time"],
            suggested_subject=given["suggested_subject"],
        )


def _key_of_question(claim: Claim, exchange: Exchange) -> str:
    """The ticket's id; with other mails along another key, which must not get the old answer."""
    if not exchange.along:
        return claim.id
    # Which mails, not how many: one may have been decided on, and another come in its place.
    along = "+".join(email_id for email_id, _ in exchange.along)
    return f"{claim.id}+{hashlib.sha256(along.encode()).hexdigest()[:16]}"


def pause_s(attempt: int, retry_after_s: float | None, jitter: float) -> float:
    """Seconds to wait after the attempt of that number (from 1).

    What the other side asked for is waited in full; `jitter`, from 0 to 1, spreads
    the rest over the upper half of a doubling pause.
    """
    doubled: float = min(PAUSE_MAX_S, PAUSE_S * 2 ** (attempt - 1))
    return max(retry_after_s or 0.0, doubled * (1 + jitter) / 2)


def retry_after(value: str, now: datetime) -> float | None:
    """The seconds that a Retry-After field asks for (RFC 9110 section 10.2.3), None for none."""
    text = value.strip()
    if text.isascii() and text.isdecimal() and len(text) <= 9:
        return float(text)
    try:
        date = parsedate_to_datetime(text[:100])
        # Without a zone it is universal time, as every HTTP date is.
        date = date.replace(tzinfo=UTC) if date.tzinfo is None else date
        return max(0.0, (date - now).total_seconds())
    except (TypeError, ValueError, IndexError, OverflowError):
        return None


def read_object(body: bytes) -> dict[str, Any]:
    """The JSON object in an HTTP body. Raises Temporary for anything else."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        _unusable("no JSON")
    if not isinstance(said, dict):
        _unusable("no JSON object")
    return said


def usable_answer(said: Mapping[str, Any], options: AiOptions) -> dict[str, Any]:
    """The interface's five fields, each of its type. Raises Temporary without a response."""
    response = said.get("response")
    if not isinstance(response, str):
        _unusable("no response in it")
    text = clean(response).strip()
    if not text:
        _unusable("an empty response")
    if len(text.encode()) > options.answer_max_bytes:
        _unusable("longer than AI_ANSWER_MAX_BYTES allows")
    return {
        "response": text,
        "model": _text(said, "model") or options.model,
        "tokens_used": int(_number(said, "tokens_used")),
        "processing_time": _number(said, "processing_time"),
        "suggested_subject": _text(said, "suggested_subject"),
    }


def _check_status(status: int, headers: Mapping[str, str]) -> None:
    if 200 <= status < 300:
        return
    if status in _TRY_AGAIN or status >= 500:
        asked = retry_after(headers.get("Retry-After", ""), datetime.now(UTC))
        raise _TryAgain(f"the AI core answered {status}", retry_after_s=asked)
    if status in _ABOUT_THIS_MAIL:
        raise Permanent(f"the AI core refused this mail ({status})")
    cure = _CURE.get(status, "check AI_API_URL")
    raise Temporary(f"the AI core refused the request ({status}): {cure}")


def _unusable(why: str) -> NoReturn:
    # Never with a quotation: what the AI said is as private as the mail.
    raise Temporary(f"the AI gave no usable answer ({why})")


def _text(said: Mapping[str, Any], key: str) -> str:
    value = said.get(key)
    return one_line(value, 998) if isinstance(value, str) else ""


def _number(said: Mapping[str, Any], key: str) -> float:
    value = said.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0.0
    return float(value) if 0 <= value < 2**53 else 0.0

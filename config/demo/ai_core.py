"""The demonstration AI core: speaks the AI interface over HTTP on loopback, knows nothing.

It takes the place of a real AI core in `server.py demo` and in the tests, and
says so in each answer. What it answers is in `answering.py`.
"""

from __future__ import annotations

import asyncio
import enum
import hmac
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from config.demo import answering

MODEL = "demonstration"
# Roughly four characters a token; the number only has to look like one.
CHARACTERS_PER_TOKEN = 4
URGENT_WORDS = ("urgent", "immédiatement", "immediately", "dès que possible", "asap")

# What a request has to hold, and of which type: the interface, word for word.
REQUEST = {
    "model": str,
    "prompt": str,
    "max_tokens": int,
    "temperature": (int, float),
    "email_context": dict,
}
CONTEXT = {"sender": str, "subject": str, "thread_id": str, "previous_messages": list}
MESSAGE = {"role": str, "content": str, "date": str}

JsonObject = dict[str, Any]


class Fault(enum.StrEnum):
    """The ways an AI core can fail its client."""

    NOTHING = "nothing"
    ERROR = "error"  # 500
    BUSY = "busy"  # 429 with Retry-After
    HTML_PAGE = "html page"  # 200, and a page for people
    NULL = "null"  # 200, and no answer in it
    DRIP = "drip"  # 200, and a byte a second without an end


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """How the demonstration core behaves; by default well."""

    delay_s: float = 0.0  # before each answer
    fault: Fault = Fault.NOTHING
    faulty_requests: int | None = None  # only so many of the first; None is all
    retry_after: str = "1"  # the header's value where the fault is BUSY
    forgets: bool = False  # empties previous_messages before it answers
    api_key: str = ""  # the bearer token that is asked for, "" asks for none
    keeps_requests: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One request, as it came."""

    at: datetime
    path: str
    body: JsonObject
    headers: dict[str, str]


class BadRequest(Exception):
    """The request is not what the interface says; the text names what is wrong with it."""


class AiCore:
    """An AI core on a free loopback port, between `start()` and `stop()`."""

    def __init__(self, behaviour: Behaviour | None = None) -> None:
        self.behaviour = behaviour or Behaviour()
        self.count = 0  # requests since the start, faulty ones included
        self.requests: list[Seen] = []
        app = web.Application(client_max_size=4 * 1024**2)
        app.router.add_post("/generate", self._serve(self._generate))
        app.router.add_post("/process", self._serve(self._process))
        # The drip and the delay end with their client's patience, not with ours.
        self._runner = web.AppRunner(
            app, handler_cancellation=True, access_log=None, shutdown_timeout=0.5
        )

    async def start(self, port: int = 0) -> str:
        """Bind 127.0.0.1 and give the base address to put into AI_API_URL."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port)
        await site.start()
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        await self._runner.cleanup()

    def _serve(
        self, work: Callable[[JsonObject], JsonObject]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            started = time.monotonic()
            self.count += 1
            if not self._is_let_in(request):
                return web.json_response({"error": "wrong API key"}, status=401)
            try:
                body = _read(await request.read())
                if self.behaviour.keeps_requests:
                    self.requests.append(_seen(request, body))
                await asyncio.sleep(self.behaviour.delay_s)
                limit = self.behaviour.faulty_requests
                if limit is None or self.count <= limit:
                    failed = await self._fail(request)
                    if failed is not None:
                        return failed
                result = work(body)
            except BadRequest as problem:
                return web.json_response({"error": str(problem)}, status=400)
            if "processing_time" in result:
                result["processing_time"] = round(time.monotonic() - started, 3)
            return web.json_response(result)

        return handle

    def _is_let_in(self, request: web.Request) -> bool:
        given = request.headers.get("Authorization", "")
        wanted = f"Bearer {self.behaviour.api_key}"
        return not self.behaviour.api_key or hmac.compare_digest(given.encode(), wanted.encode())

    async def _fail(self, request: web.Request) -> web.StreamResponse | None:
        match self.behaviour.fault:
            case Fault.NOTHING:
                return None
            case Fault.ERROR:
                return web.json_response({"error": "the demonstration fails"}, status=500)
            case Fault.BUSY:
                headers = {"Retry-After": self.behaviour.retry_after}
                return web.json_response({"error": "busy"}, status=429, headers=headers)
            case Fault.HTML_PAGE:
                page = "<!DOCTYPE html><title>Maintenance</title><h1>We are back soon</h1>"
                return web.Response(text=page, content_type="text/html")
            case Fault.NULL:
                return web.json_response({"response": None, "model": MODEL})
            case Fault.DRIP:
                return await _drip(request)

    def _generate(self, body: JsonObject) -> JsonObject:
        _check(body, REQUEST, "the request")
        context = body["email_context"]
        _check(context, CONTEXT, "email_context")
        messages = context["previous_messages"]
        for message in messages:
            _check(message, MESSAGE, "a previous message")
        if self.behaviour.forgets:
            messages = []
        earlier = [message["content"] for message in messages if message["role"] == "user"]
        text = answering.answer(body["prompt"], earlier)
        subject = context["subject"]
        return {
            "response": text,
            "model": MODEL,
            "tokens_used": (len(body["prompt"]) + len(text)) // CHARACTERS_PER_TOKEN,
            "processing_time": 0.0,
            "suggested_subject": subject if subject[:3].lower() == "re:" else f"Re: {subject}",
        }

    def _process(self, body: JsonObject) -> JsonObject:
        prompt = body.get("prompt")
        if not isinstance(prompt, str):
            raise BadRequest("the request holds no text named prompt")
        urgent = any(word in prompt.lower() for word in URGENT_WORDS)
        return {
            "category": "demonstration",
            "urgency": "high" if urgent else "normal",
            "language": answering.language_of(prompt),
            "needs_human": False,
            "summary": " ".join(prompt.split())[:120],
        }

    def behave(self, **changes: Any) -> None:
        """Change the behaviour from the next request on, e.g. `behave(fault=Fault.ERROR)`."""
        self.behaviour = replace(self.behaviour, **changes)


def _seen(request: web.Request, body: JsonObject) -> Seen:
    return Seen(at=datetime.now(UTC), path=request.path, body=body, headers=dict(request.headers))


def _read(raw: bytes) -> JsonObject:
    try:
        body = json.loads(raw)
    except ValueError:
        raise BadRequest("the request is no JSON") from None
    if not isinstance(body, dict):
        raise BadRequest("the request is no JSON object")
    return body


def _check(value: object, shape: dict[str, Any], what: str) -> None:
    """Raise BadRequest unless `value` holds exactly the keys of `shape`, with their types."""
    if not isinstance(value, dict):
        raise BadRequest(f"{what} is no JSON object")
    for key, kind in shape.items():
        # JSON's true and false are no numbers, though Python's are.
        if not isinstance(value.get(key), kind) or isinstance(value[key], bool):
            raise BadRequest(f"{what} has no {key}, or not one of its type")
    if extra := sorted(set(value) - set(shape)):
        raise BadRequest(f"{what} has keys nobody asked for: {', '.join(extra)}")


async def _drip(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    while True:
        await response.write(b" ")
        await asyncio.sleep(1)

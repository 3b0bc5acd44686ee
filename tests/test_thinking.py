"""The AI client against a real HTTP server that behaves, misbehaves, and lies."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trustme
from aiohttp import web

from config.settings import AiSettings
from handlers import thinking
from handlers.letter import Exchange, Past
from handlers.prompting import thread_of
from handlers.thinking import AiOptions, AiThinker, EmailAIClient
from smtpd.errors import Permanent, Temporary
from tests.letters import a_claim, a_letter, a_record, said

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
GOOD = {
    "response": "Cinq semaines.",
    "model": "mistral-7b-instruct",
    "tokens_used": 300,
    "processing_time": 5.2,
    "suggested_subject": "Re: Question about labor law",
}


class Core:
    """An AI core that gives the next of its prepared replies to each request."""

    def __init__(self, *replies: Handler | web.StreamResponse | int | dict[str, Any]) -> None:
        self.replies = list(replies)
        self.bodies: list[Any] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.paths.append(request.path)
        self.headers.append(dict(request.headers))
        self.bodies.append(await request.json())
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if isinstance(reply, int):
            return web.json_response({"error": "x"}, status=reply)
        if isinstance(reply, dict):
            return web.json_response(reply)
        if isinstance(reply, web.StreamResponse):
            return reply
        return await reply(request)


@asynccontextmanager
async def serving(core: Core, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    app = web.Application(client_max_size=4 * 1024**2)
    app.router.add_post("/{path}", core.handle)
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    try:
        yield f"http{'s' if tls else ''}://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def asking(core: Core, api_key: str = "k3y", **options: Any) -> AsyncIterator[EmailAIClient]:
    async with serving(core) as url:
        client = EmailAIClient(url, api_key, AiOptions(**options))
        try:
            yield client
        finally:
            await client.close()


async def generate(client: EmailAIClient) -> dict[str, Any]:
    return await client.generate_response("Combien ?", {}, idempotency_key="t-1")


async def test_a_request_is_the_interface_s_json_and_nothing_more() -> None:
    core = Core(GOOD)
    async with asking(core) as client:
        before = Past(said=(said("user", "Bonjour", 1),))
        exchange = Exchange(letter=a_letter(), past=before)
        answer = await AiThinker(client).think(a_claim(), a_record(), exchange)
    assert core.paths == ["/generate"]
    assert core.bodies == [
        {
            "model": "mistral-7b-instruct",
            "prompt": f"<email>\n{a_letter().new_text}\n</email>",
            "max_tokens": 1500,
            "temperature": 0.3,
            "email_context": {
                "sender": "camille@client.example",
                "subject": "Mes droits",
                "thread_id": thread_of("thread-7", a_claim().person),
                "previous_messages": [
                    {"role": "user", "content": "Bonjour", "date": "2026-11-01T08:00:00+00:00"}
                ],
            },
        }
    ]
    assert core.headers[0]["Authorization"] == "Bearer k3y"
    assert core.headers[0]["Idempotency-Key"] == "01hzyticket"
    assert (answer.text, answer.tokens_used, answer.processing_time_s) == (
        "Cinq semaines.",
        300,
        5.2,
    )
    assert answer.suggested_subject == "Re: Question about labor law"


async def test_other_mails_along_make_another_question() -> None:
    core = Core(GOOD)
    asked = [(), ("b",), ("c",), ("b", "c"), ("b",)]
    async with asking(core) as client:
        for ids in asked:
            exchange = Exchange(
                letter=a_letter(), past=Past(), along=tuple((one, a_letter()) for one in ids)
            )
            await AiThinker(client).think(a_claim(), a_record(), exchange)
    keys = [headers["Idempotency-Key"] for headers in core.headers]
    assert keys[0] == a_claim().id
    assert len(set(keys)) == len(set(asked))
    assert keys[1] == keys[4]


async def test_without_a_key_no_authorization_is_sent() -> None:
    core = Core(GOOD)
    async with asking(core, api_key="") as client:
        await generate(client)
    assert "Authorization" not in core.headers[0]


async def test_process_email_gives_its_five_fields_whatever_comes() -> None:
    core = Core({"category": "question", "urgency": 3, "needs_human": True, "extra": []})
    async with asking(core, process_path="/sort") as client:
        result = await client.process_email("Bonjour", {"subject": "S", "other": 1})
    assert core.paths == ["/sort"]
    assert core.bodies[0]["email_context"] == {
        "sender": "",
        "subject": "S",
        "thread_id": "",
        "previous_messages": [],
    }
    assert result == {
        "category": "question",
        "urgency": "",
        "language": "",
        "summary": "",
        "needs_human": True,
    }


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504])
async def test_a_passing_failure_is_tried_again_with_the_same_key(status: int) -> None:
    core = Core(status, GOOD)
    async with asking(core) as client:
        assert (await generate(client))["response"] == "Cinq semaines."
    assert [headers["Idempotency-Key"] for headers in core.headers] == ["t-1", "t-1"]


async def test_a_dropped_connection_is_tried_again() -> None:
    async def hang_up(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    core = Core(hang_up, GOOD)
    async with asking(core) as client:
        assert (await generate(client))["response"] == "Cinq semaines."


@pytest.mark.parametrize("status", [302, 401, 403, 404, 405, 451])
async def test_what_the_settings_are_to_blame_for_loses_no_mail_and_is_not_repeated(
    status: int,
) -> None:
    core = Core(status)
    async with asking(core) as client:
        with pytest.raises(Temporary, match=str(status)):
            await generate(client)
    assert len(core.bodies) == 1


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_a_core_that_refuses_this_very_mail_is_believed(status: int) -> None:
    core = Core(status)
    async with asking(core) as client:
        with pytest.raises(Permanent, match=str(status)):
            await generate(client)
    assert len(core.bodies) == 1


async def test_a_key_is_never_sent_after_a_redirection() -> None:
    core = Core(web.Response(status=307, headers={"Location": "/elsewhere"}))
    async with asking(core) as client:
        with pytest.raises(Temporary, match="AI_API_URL"):
            await generate(client)
    assert core.paths == ["/generate"]


@pytest.mark.parametrize("asked", ["3600", "Mon, 23 Nov 2099 12:00:00 GMT"])
async def test_a_wish_to_wait_beyond_the_deadline_is_handed_on_at_once(asked: str) -> None:
    core = Core(web.Response(status=429, headers={"Retry-After": asked}))
    async with asking(core, timeout_s=60) as client:
        async with asyncio.timeout(20):
            with pytest.raises(Temporary, match="429") as failure:
                await generate(client)
    assert failure.value.retry_after_s is not None
    assert failure.value.retry_after_s > 60
    assert len(core.bodies) == 1


async def test_a_short_wish_to_wait_is_honoured() -> None:
    core = Core(web.Response(status=503, headers={"Retry-After": "1"}), GOOD)
    async with asking(core) as client:
        loop = asyncio.get_running_loop()
        started = loop.time()
        await generate(client)
        assert loop.time() - started >= 1


@pytest.mark.parametrize(
    "body",
    [
        b"<!DOCTYPE html><h1>secret words</h1>",
        b"",
        b"[]",
        b"null",
        b'"secret words"',
        b"{}",
        b'{"response": null}',
        b'{"response": {"text": "secret words"}}',
        b'{"response": 7}',
        b'{"response": ""}',
        b'{"response": " \\n\\u200b "}',
        b'{"response": "secret words"',
        b'{"response": "\xff\xfe"}',
        b"[" * 60_000,
        b'{"response": "a", "n": ' + b"9" * 5000 + b"}",
    ],
)
async def test_an_answer_that_is_none_is_temporary_and_never_quoted(body: bytes) -> None:
    core = Core(web.Response(body=body, content_type="application/json"))
    async with asking(core) as client:
        with pytest.raises(Temporary, match="no usable answer") as failure:
            await generate(client)
    assert "secret" not in failure.value.because
    assert len(core.bodies) == 1


async def test_an_endless_answer_is_cut_off_while_it_is_read() -> None:
    sent = 0

    async def flood(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" " * 65536)
            sent += 65536

    core = Core(flood)
    async with asking(core, answer_max_bytes=1024) as client:
        async with asyncio.timeout(20):
            with pytest.raises(Temporary, match="AI_ANSWER_MAX_BYTES"):
                await generate(client)
    assert sent < 64 * 1024**2


async def test_a_compressed_answer_is_not_unpacked() -> None:
    bomb = web.Response(body=json.dumps(GOOD).encode())
    bomb.enable_compression(web.ContentCoding.gzip)
    core = Core(bomb)
    async with asking(core) as client:
        with pytest.raises(Temporary, match="no JSON"):
            await generate(client)
    assert core.headers[0]["Accept-Encoding"] == "identity"


async def test_a_byte_now_and_then_ends_at_the_deadline() -> None:
    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" ")
            await asyncio.sleep(0.02)

    async with asking(Core(drip), timeout_s=0.3) as client:
        async with asyncio.timeout(20):
            with pytest.raises(Temporary, match="AI_TIMEOUT"):
                await generate(client)


async def test_all_attempts_together_end_before_the_deadline() -> None:
    core = Core(503)
    async with asking(core, timeout_s=1.2) as client:
        async with asyncio.timeout(20):
            with pytest.raises(Temporary, match="503"):
                await generate(client)
    assert 1 < len(core.bodies) < 4


async def test_a_core_that_stays_busy_is_not_asked_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(thinking, "PAUSE_S", 0)
    core = Core(503)
    async with asking(core) as client:
        with pytest.raises(Temporary, match="503"):
            await generate(client)
    assert len(core.bodies) == thinking.ATTEMPTS


async def test_no_more_questions_at_a_time_than_allowed() -> None:
    running = most = 0
    room = asyncio.Condition()

    async def count(request: web.Request) -> web.StreamResponse:
        nonlocal running, most
        async with room:
            running += 1
            most = max(most, running)
            room.notify_all()
            # The first three meet here; without the bound all nine would.
            await room.wait_for(lambda: most >= 3)
        await asyncio.sleep(0)
        running -= 1
        return web.json_response(GOOD)

    async with asking(Core(count), concurrency=3) as client:
        await asyncio.gather(*(generate(client) for _ in range(9)))
    assert most == 3


async def test_one_connection_serves_many_questions() -> None:
    peers = set()

    async def note(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        peers.add(request.transport.get_extra_info("peername"))
        return web.json_response(GOOD)

    async with asking(Core(note)) as client:
        for _ in range(5):
            await generate(client)
    assert len(peers) == 1


async def test_a_certificate_nobody_vouches_for_is_refused() -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(tls)
    core = Core(GOOD)
    async with serving(core, tls) as url:
        client = EmailAIClient(url, "k3y")
        with pytest.raises(Temporary, match="Certificate"):
            await generate(client)
        await client.close()
    assert core.bodies == []


async def test_a_core_that_is_down_is_temporary() -> None:
    async with serving(Core(GOOD)) as url:
        pass
    client = EmailAIClient(url, "", AiOptions(timeout_s=1))
    with pytest.raises(Temporary, match="no connection"):
        await generate(client)
    await client.close()


@pytest.mark.parametrize("key", ["a\nX-Evil: 1", "clé", "a\x00"])
def test_a_key_that_fits_no_header_stops_the_start(key: str) -> None:
    with pytest.raises(ValueError, match="AI_API_KEY"):
        EmailAIClient("http://127.0.0.1:1", key)


def test_the_options_are_the_settings() -> None:
    settings = AiSettings(ai_api_url="http://127.0.0.1:1", ai_max_tokens=7, ai_timeout=9)
    options = AiOptions.of(settings)
    assert (options.max_tokens, options.timeout_s, options.generate_path) == (7, 9, "/generate")

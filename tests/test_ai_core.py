"""The demonstration AI core keeps to the interface, answers by rule, and fails as it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from config.demo import answering
from config.demo.ai_core import AiCore, Behaviour, Fault

EARLIER = "Bonjour, je m'appelle Camille Laurent, mon numéro de dossier est 4711."


def request(prompt: str, previous: list[dict[str, str]] | None = None) -> dict[str, Any]:
    """The request of the specification, word for word."""
    return {
        "model": "mistral-7b-instruct",
        "prompt": prompt,
        "max_tokens": 1500,
        "temperature": 0.3,
        "email_context": {
            "sender": "user@example.com",
            "subject": "Question about labor law",
            "thread_id": "abc123",
            "previous_messages": previous or [],
        },
    }


def said(content: str, role: str = "user") -> dict[str, str]:
    return {"role": role, "content": content, "date": "2026-11-23T08:00:00+00:00"}


@asynccontextmanager
async def core_client(behaviour: Behaviour) -> AsyncIterator[tuple[AiCore, aiohttp.ClientSession]]:
    core = AiCore(behaviour)
    url = await core.start()
    try:
        async with asyncio.timeout(20), aiohttp.ClientSession(url) as client:
            yield core, client
    finally:
        await core.stop()


async def ask(body: Any, path: str = "/generate", **behaviour: Any) -> tuple[int, Any]:
    async with core_client(Behaviour(**behaviour)) as (_, client):
        response = await client.post(path, json=body)
        return response.status, await response.json()


async def test_an_answer_has_the_fields_of_the_interface_and_no_other() -> None:
    status, answer = await ask(request("Quel est mon préavis ?"))
    assert status == 200
    assert {key: type(value) for key, value in answer.items()} == {
        "response": str,
        "model": str,
        "tokens_used": int,
        "processing_time": float,
        "suggested_subject": str,
    }
    assert answer["suggested_subject"] == "Re: Question about labor law"


async def test_a_subject_that_is_a_reply_already_gets_no_second_prefix() -> None:
    body = request("Quel est mon préavis ?")
    body["email_context"]["subject"] = "RE: préavis"
    _, answer = await ask(body)
    assert answer["suggested_subject"] == "RE: préavis"


async def test_a_french_question_is_answered_in_french_and_says_it_is_a_demonstration() -> None:
    _, answer = await ask(request("Bonjour, quel est mon préavis si je suis licencié ?"))
    assert "pas d'une IA" in answer["response"]
    assert "\n- deux ans et plus : deux mois de préavis" in answer["response"]


def test_a_note_about_a_file_does_not_change_the_language() -> None:
    note = '<attachment name="a.pdf">This file is not read, and the text of it is not here.'
    said = answering.answer(
        f"<email>\nQuel préavis, et ce fichier ?\n</email>\n{note}</attachment>", ()
    )
    assert said.startswith(answering.DEMONSTRATION[answering.FRENCH])


async def test_an_english_question_is_answered_in_english_and_says_it_is_a_demonstration() -> None:
    _, answer = await ask(request("Hello, how long is my notice period?"))
    assert "not from an AI" in answer["response"]
    assert "\n- two years and more: two months' notice" in answer["response"]


async def test_the_same_question_gets_the_same_answer() -> None:
    _, first = await ask(request("Combien de congés ai-je ?"))
    _, second = await ask(request("Combien de congés ai-je ?"))
    assert first["response"] == second["response"]


async def test_dates_in_the_mail_are_repeated() -> None:
    _, answer = await ask(request("Quel est mon préavis ? Contrat du 3 mars 2022."))
    assert "3 mars 2022" in answer["response"]


async def test_what_a_person_said_before_is_found_again() -> None:
    question = "Quel numéro de dossier vous ai-je donné, et quel nom ?"
    _, answer = await ask(request(question, [said(EARLIER), said("Noté, 9999.", "assistant")]))
    assert "- Camille Laurent" in answer["response"]
    assert "- 4711" in answer["response"]
    assert "9999" not in answer["response"]


async def test_what_a_person_said_before_is_found_again_in_english() -> None:
    earlier = said("Hello, my name is Camille Laurent and my file is AB-4711, of 3 March 2022.")
    _, answer = await ask(request("Which number did I mention?", [earlier]))
    assert "- Camille Laurent" in answer["response"]
    assert "- AB-4711" in answer["response"]
    assert "2022" not in answer["response"]


async def test_without_earlier_messages_it_says_that_it_sees_none() -> None:
    _, answer = await ask(request("Quel numéro vous ai-je donné ?"))
    assert answering.NOTHING_EARLIER["fr"] in answer["response"]


async def test_a_core_that_forgets_sees_no_earlier_message() -> None:
    body = request("Quel numéro vous ai-je donné ?", [said(EARLIER)])
    _, answer = await ask(body, forgets=True)
    assert answering.NOTHING_EARLIER["fr"] in answer["response"]


async def test_earlier_messages_without_any_fact_are_named_as_such() -> None:
    _, answer = await ask(request("What did I tell you?", [said("Hello there.")]))
    assert answering.NOTHING_FOUND["en"] in answer["response"]


async def test_process_gives_the_facts_of_a_mail() -> None:
    status, facts = await ask(request("C'est urgent : quel est mon préavis ?"), "/process")
    assert status == 200
    assert facts == {
        "category": "demonstration",
        "urgency": "high",
        "language": "fr",
        "needs_human": False,
        "summary": "C'est urgent : quel est mon préavis ?",
    }


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in request("?").items() if name != key}


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ([], "no JSON object"),
        (without("model"), "model"),
        (without("email_context"), "email_context"),
        (request("?") | {"max_tokens": "1500"}, "max_tokens"),
        (request("?") | {"temperature": True}, "temperature"),
        (request("?") | {"stream": False}, "stream"),
        (request("?", [{"role": "user", "content": "?"}]), "date"),
        (request("?", ["?"]), "a previous message"),  # type: ignore[list-item]
    ],
)
async def test_a_request_that_is_not_the_interface_is_refused_by_name(
    body: Any, named: str
) -> None:
    status, answer = await ask(body)
    assert status == 400
    assert named in answer["error"]


async def test_a_process_request_without_text_is_refused() -> None:
    status, _ = await ask({}, "/process")
    assert status == 400


async def test_a_body_that_is_no_json_is_refused() -> None:
    async with core_client(Behaviour()) as (_, client):
        response = await client.post("/generate", data=b"{")
        assert response.status == 400


async def test_a_wrong_key_is_refused_and_the_right_one_taken() -> None:
    async with core_client(Behaviour(api_key="made-up")) as (_, client):
        wrong = await client.post("/generate", json=request("?"))
        right = await client.post(
            "/generate", json=request("?"), headers={"Authorization": "Bearer made-up"}
        )
        assert (wrong.status, right.status) == (401, 200)


async def test_it_fails_as_it_is_told() -> None:
    async with core_client(Behaviour(fault=Fault.ERROR)) as (core, client):
        assert (await client.post("/generate", json=request("?"))).status == 500
        core.behave(fault=Fault.BUSY, retry_after="7")
        busy = await client.post("/generate", json=request("?"))
        assert (busy.status, busy.headers["Retry-After"]) == (429, "7")
        core.behave(fault=Fault.HTML_PAGE)
        page = await client.post("/generate", json=request("?"))
        assert (page.status, page.content_type) == (200, "text/html")
        core.behave(fault=Fault.NULL)
        null = await client.post("/generate", json=request("?"))
        assert (await null.json())["response"] is None


async def test_only_the_first_requests_fail_when_so_many_are_named() -> None:
    behaviour = Behaviour(fault=Fault.ERROR, faulty_requests=2)
    async with core_client(behaviour) as (core, client):
        replies = [await client.post("/generate", json=request("?")) for _ in range(3)]
        assert [reply.status for reply in replies] == [500, 500, 200]
        assert core.count == 3


async def test_a_drip_begins_and_does_not_end() -> None:
    async with core_client(Behaviour(fault=Fault.DRIP)) as (_, client):
        response = await client.post("/generate", json=request("?"))
        assert await response.content.read(1) == b" "
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(response.content.read(), 0.2)
        response.close()


async def test_it_waits_as_long_as_it_is_told() -> None:
    _, answer = await ask(request("?"), delay_s=0.2)
    assert answer["processing_time"] >= 0.2


async def test_it_keeps_the_requests_it_saw_when_asked_to() -> None:
    async with core_client(Behaviour(keeps_requests=True)) as (core, client):
        await client.post("/generate", json=request("Un."), headers={"Idempotency-Key": "k1"})
    assert [seen.body["prompt"] for seen in core.requests] == ["Un."]
    assert core.requests[0].headers["Idempotency-Key"] == "k1"
    assert core.requests[0].path == "/generate"

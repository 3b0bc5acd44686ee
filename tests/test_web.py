"""The HTTP API, asked without a socket: who may do what, and what everybody hears otherwise."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict
from structlog.testing import capture_logs

from handlers.web.front import BODY_MAX_BYTES, Front
from handlers.web.problems import SENTENCES, add_problems
from handlers.web.rates import Rates
from smtpd.errors import Permanent, Temporary
from smtpd.events import Event, tally
from tests.webs import OPERATOR, READER, REVOKED, Heard, Web, ask

ROOT = Path(__file__).parent.parent
SENDING, STOP, RESUME = (f"/api/v1/sending{end}" for end in ("", "/stop", "/resume"))
SCHEMA = "/openapi.json"
BASIC = {"Authorization": "Basic YWRhOmFkYQ=="}


def is_a_problem(heard: Heard, status: int, sentence: str = "") -> None:
    assert heard.status == status
    assert heard.told == {"detail": sentence or SENTENCES[status]}
    assert heard.headers["cache-control"] == "no-store"
    assert heard.headers["x-content-type-options"] == "nosniff"


# What is asked, with which key, and the status.
ASKED: list[tuple[str, str, str, int]] = [
    ("GET", SENDING, READER, 200),
    ("GET", SENDING, OPERATOR, 403),
    ("GET", SENDING, "", 401),
    ("GET", SENDING, REVOKED, 401),
    ("GET", SENDING, "a word", 401),
    ("GET", SENDING, "é" * 2000, 401),
    ("POST", STOP, OPERATOR, 200),
    ("POST", STOP, READER, 403),
    ("POST", STOP, "", 401),
    ("POST", RESUME, OPERATOR, 200),
    ("POST", RESUME, READER, 403),
    ("POST", RESUME, "", 401),
    ("GET", SCHEMA, READER, 200),
    ("GET", SCHEMA, OPERATOR, 200),
    ("GET", SCHEMA, "", 401),
    ("GET", STOP, OPERATOR, 405),
    ("DELETE", SENDING, READER, 405),
    ("GET", "/", "", 404),
    ("GET", SENDING + "/", READER, 404),
    ("GET", "/docs", READER, 404),
    ("GET", "/redoc", READER, 404),
    ("GET", "/api/v1/../../etc/passwd", READER, 404),
]


@pytest.mark.parametrize(
    ("method", "path", "key", "status"), ASKED, ids=lambda part: ascii(part)[:40]
)
async def test_a_key_opens_what_its_scopes_name_and_nothing_else(
    method: str, path: str, key: str, status: int
) -> None:
    web = Web()
    heard = await web.ask(method, path, key)
    assert heard.status == status
    if status != 200:
        assert list(heard.told) == ["detail"]
        assert heard.told["detail"].count(".") - heard.told["detail"].count("/openapi.json") <= 1
        assert "amx_rd" not in heard.body.decode()
        assert web.switch.stopped_since is None
    assert heard.headers["cache-control"] == "no-store"
    assert heard.headers["x-content-type-options"] == "nosniff"


async def test_without_a_right_key_the_answer_says_how_one_is_sent() -> None:
    web = Web()
    for headers, challenge in (({}, "Bearer"), (BASIC, "Bearer")):
        heard = await web.ask("GET", SENDING, headers=headers)
        is_a_problem(heard, 401)
        assert heard.headers["www-authenticate"] == challenge
    heard = await web.ask("GET", SENDING, REVOKED)
    assert heard.headers["www-authenticate"] == 'Bearer error="invalid_token"'


async def test_a_missing_scope_is_named() -> None:
    heard = await Web().ask("POST", STOP, READER)
    is_a_problem(heard, 403, "This needs a key with the scope operate.")
    assert 'scope="operate"' in heard.headers["www-authenticate"]


async def test_what_may_be_done_instead_is_told() -> None:
    heard = await Web().ask("DELETE", SENDING, READER)
    is_a_problem(heard, 405)
    assert heard.headers["allow"] == "GET"


async def test_stopping_twice_is_stopping_once() -> None:
    web = Web()
    since = "2026-11-24T12:00:00Z"
    seen = {"stopped": False, "since": None, "waiting": 2, "leaving": 1}
    assert (await web.ask("GET", SENDING, READER)).told == seen
    stopped = {**seen, "stopped": True, "since": since}
    for changed in (True, False):
        heard = await web.ask("POST", STOP, OPERATOR)
        assert heard.told == {**stopped, "changed": changed}
    assert (await web.ask("GET", SENDING, READER)).told == stopped
    for changed in (True, False):
        heard = await web.ask("POST", RESUME, OPERATOR)
        assert heard.told == {**seen, "changed": changed}


async def test_a_file_stops_sending_too() -> None:
    web = Web()
    web.switch.by_file = True
    seen = (await web.ask("GET", SENDING, READER)).told
    assert (seen["stopped"], seen["since"]) == (True, None)


async def test_what_cannot_be_resumed_is_said_in_a_sentence() -> None:
    web = Web()
    web.switch.trouble = Permanent("the file that stops this server cannot be removed")
    heard = await web.ask("POST", RESUME, OPERATOR)
    is_a_problem(heard, 409, "The file that stops this server cannot be removed.")


@pytest.mark.parametrize("trouble", [Temporary("the database could not: X"), TimeoutError("x")])
async def test_a_database_that_is_away_is_said_and_when_to_come_again(
    trouble: BaseException,
) -> None:
    web = Web()
    web.switch.trouble = trouble
    heard = await web.ask("GET", SENDING, READER)
    is_a_problem(heard, 503)
    assert heard.headers["retry-after"] == "5"


async def test_an_answer_that_takes_too_long_is_given_up() -> None:
    web = Web(answer_s=0.01)
    web.switch.hangs = True
    heard = await web.ask("GET", SENDING, READER)
    is_a_problem(heard, 503)


async def test_what_nobody_foresaw_shows_nothing_of_the_house() -> None:
    web = Web()
    web.switch.trouble = RuntimeError("password=hunter2 in /srv/house.py")
    with capture_logs() as lines, pytest.raises(RuntimeError):  # for uvicorn, which closes
        await web.ask("GET", SENDING, READER)
    assert [line["event"] for line in lines] == ["trouble", "api_used"]
    assert lines[1]["status"] == 500


async def test_each_key_has_its_own_pace() -> None:
    web = Web(requests_per_minute=3)
    for client in ("192.0.2.1", "192.0.2.2", "192.0.2.3"):
        assert (await web.ask("GET", SENDING, READER, client=client)).status == 200
    heard = await web.ask("GET", SENDING, READER, client="192.0.2.4")
    is_a_problem(heard, 429)
    assert heard.headers["retry-after"] == "20"
    assert (await web.ask("POST", STOP, OPERATOR)).status == 200


async def test_who_guesses_keys_is_soon_not_listened_to() -> None:
    web = Web(requests_per_minute=3)
    # All of a /64 is one client.
    for client in ("2001:db8::1", "2001:db8::2", "2001:db8::3"):
        is_a_problem(await web.ask("GET", SENDING, REVOKED, client=client), 401)
    asked = web.keys.asked
    for key in (REVOKED, "", READER):
        heard = await web.ask("GET", SENDING, key, client="2001:db8::4")
        is_a_problem(heard, 429)
        assert heard.headers["retry-after"] == "20"
    assert web.keys.asked == asked
    assert (await web.ask("GET", SENDING, READER, client="2001:db8:0:1::1")).status == 200


def test_a_minutes_turns_may_come_at_once_and_come_back_one_by_one() -> None:
    now = 1000.0
    rates = Rates(6, clock=lambda: now)
    assert [rates.take("ada") for _ in range(7)] == [0, 0, 0, 0, 0, 0, 10]
    assert (rates.wait_s("ada"), rates.wait_s("bob")) == (10, 0)
    now += 10
    assert [rates.take("ada") for _ in range(2)] == [0, 10]
    now += 3600
    assert [rates.take("ada") for _ in range(7)] == [0, 0, 0, 0, 0, 0, 10]


def test_paces_of_any_number_of_clients_take_bounded_memory() -> None:
    rates = Rates(1, clock=lambda: 0.0, clients_max=10)
    for client in range(1000):
        rates.take(client)
    assert len(rates._full_at) == 10
    assert (rates.wait_s(999), rates.wait_s(0)) == (60, 0)


async def test_a_use_is_logged_by_the_keys_id_and_a_refusal_is_counted() -> None:
    web = Web()
    before = tally().get((Event.API_REFUSED, "status 401"), 0)
    with capture_logs() as lines:
        await web.ask("POST", STOP, OPERATOR)
        await web.ask("POST", STOP, REVOKED)
    used, refused = lines
    assert isinstance(used.pop("took_s"), float)
    assert used == {
        "event": "api_used",
        "log_level": "info",
        "key": "opopopop",
        "method": "POST",
        "route": STOP,
        "status": 200,
    }
    assert (refused["event"], refused["kind"]) == ("api_refused", "status 401")
    assert tally()[Event.API_REFUSED, "status 401"] == before + 1
    assert "x" * 43 not in repr(lines)
    assert web.keys.used_ids == ["opopopop"]


class Note(BaseModel):
    """A body as a later resource may take one."""

    model_config = ConfigDict(extra="forbid")
    text: str
    days: int


def taking_notes() -> Front:
    api = FastAPI()
    add_problems(api)

    @api.post("/notes")
    async def write(note: Note, most: int = 1) -> int:
        return most

    return Front(api, Rates(1000))


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b'{"text": "secret words", "days": "soon"}', "days in the body"),
        (b'{"days": 1}', "text in the body"),
        (b'{"text": "a", "days": 1, "secret words": 1}', "The body"),
        (b"secret words", "The body"),
        (b"[1]", "The body"),
        (b"", "The body"),
    ],
)
async def test_what_is_not_as_described_is_one_sentence_that_repeats_nothing(
    body: bytes, sentence: str
) -> None:
    heard = await ask(
        taking_notes(),
        "POST",
        "/notes",
        headers={"Content-Type": "application/json"},
        body=[body],
    )
    is_a_problem(heard, 422, f"{sentence} is not as /openapi.json describes it.")


async def test_a_body_is_refused_once_it_is_too_large_whether_or_not_it_says_so() -> None:
    piece = b"x" * 1024
    announced = {"Content-Length": str(BODY_MAX_BYTES + 1)}
    is_a_problem(await ask(taking_notes(), "POST", "/notes", headers=announced), 413)
    heard = await ask(taking_notes(), "POST", "/notes", body=[piece] * 65)
    is_a_problem(heard, 413)
    heard = await ask(taking_notes(), "POST", "/notes", body=[piece] * 64)
    assert heard.status == 422


async def schema() -> dict[str, Any]:
    told: dict[str, Any] = (await Web().ask("GET", SCHEMA, READER)).told
    return told


async def test_the_schema_declares_every_answer() -> None:
    paths = (await schema())["paths"]
    operations = [one for path in paths.values() for one in path.values()]
    assert len({one["operationId"] for one in operations}) == len(operations) == 3
    for one in operations:
        assert {"200", "400", "401", "403", "413", "429", "503"} <= set(one["responses"])
        assert one["security"] == [{"key": []}]
    assert "409" in paths[RESUME]["post"]["responses"]
    for method, path, _, status in ASKED:
        declared = paths.get(path, {}).get(method.lower(), {}).get("responses")
        assert declared is None or str(status) in declared


async def test_the_rooms_page_lists_every_resource() -> None:
    page = (ROOT / "handlers" / "web" / "README.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^\| (GET|POST) `(\S+)` \|", page, re.MULTILINE))
    found = {(m.upper(), path) for path, one in (await schema())["paths"].items() for m in one}
    assert listed == found | {("GET", SCHEMA)}

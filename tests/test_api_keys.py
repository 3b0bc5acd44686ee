"""Keys to the HTTP API: made, found, used and revoked, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from handlers.store import apikeys, switching
from handlers.store.apikeys import ApiKey, Scope
from handlers.store.keyring import Keyring
from handlers.store.store import SqlStore
from handlers.store.switchboard import Switchboard
from smtpd.errors import Permanent
from tests.desks import DeskForTests
from tests.stores import keep, step

HOUSE_KEY = b"a house key of these tests, no other"
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
TEXT = re.compile(r"amx_[a-z2-9]{8}_[A-Za-z0-9_-]{43}")
MAKE = partial(
    apikeys.make, name="monitor", scopes={Scope.OPERATE, Scope.READ}, house_key=HOUSE_KEY, now=NOW
)


def keyring(store: SqlStore, house_key: bytes = HOUSE_KEY) -> Keyring:
    return Keyring(store._engine, store._writer, house_key)


async def test_a_key_is_found_by_its_text_and_by_nothing_less(store: SqlStore) -> None:
    text, other = await step(store, MAKE), await step(store, MAKE)
    assert TEXT.fullmatch(text)
    found = await keyring(store).find(text)
    assert found is not None
    assert (found.id, found.name, found.scopes) == (text[4:12], "monitor", ("read", "operate"))
    wrong = (
        "", "amx_", text[:-1], text + "x", text.upper(), f" {text}", f"{text}\n", "\udcff" * 56,
        text[:13] + other[13:],  # a known id with another key's secret
        text[:4] + "aaaaaaaa" + text[12:],
    )  # fmt: skip
    assert [one for one in wrong if await keyring(store).find(one)] == []
    assert await keyring(store, b"another house's").find(text) is None


async def test_the_database_does_not_hold_what_opens(store: SqlStore) -> None:
    text = await step(store, MAKE)
    rows = await step(store, lambda connection: connection.execute(apikeys._ALL).all())
    assert text[13:] not in repr(rows)


async def test_a_revoked_key_opens_nothing_from_then_on(store: SqlStore) -> None:
    text = await step(store, MAKE)
    revoke = partial(apikeys.revoke, key_id=text[4:12])
    before = await step(store, partial(revoke, now=NOW))
    assert before is not None
    assert before.revoked_at is None
    assert await keyring(store).find(text) is None
    again = await step(store, partial(revoke, now=NOW + timedelta(days=1)))
    assert again is not None
    assert again.revoked_at == NOW
    assert await step(store, partial(apikeys.revoke, key_id="aaaaaaaa", now=NOW)) is None


async def test_the_last_use_is_noted_once_a_minute(store: SqlStore) -> None:
    text, keys = await step(store, MAKE), keyring(store)

    async def use() -> ApiKey:
        found = await keys.find(text)
        assert found is not None
        await keys.used(found)
        return (await step(store, apikeys.keys))[0]

    first = (await use()).last_used_at
    assert first is not None
    assert (await use()).last_used_at == first
    earlier = first - timedelta(seconds=61)
    await step(store, partial(apikeys.used, key_id=text[4:12], now=earlier))
    assert (await use()).last_used_at != earlier


async def test_the_switchboard_does_what_the_commands_do(store: SqlStore, tmp_path: Path) -> None:
    file = tmp_path / switching.STOP_FILE
    switch = Switchboard(store._engine, store._writer, file)
    await keep(store)
    assert not (await switch.traffic()).stopped
    assert [await switch.stop(), await switch.stop()] == [True, False]
    assert await step(store, switching.stopped_since) is not None
    file.touch()
    assert (await switch.traffic()).stopped_by_file
    assert [await switch.resume(), await switch.resume()] == [True, False]
    assert not file.exists()
    file.touch()
    found = await switch.traffic()
    assert (found.stopped, found.stopped_since, found.waiting) == (True, None, 1)
    assert await switch.resume()


async def test_what_cannot_be_resumed_stays_stopped(store: SqlStore, tmp_path: Path) -> None:
    (tmp_path / switching.STOP_FILE).mkdir()
    switch = Switchboard(store._engine, store._writer, tmp_path / switching.STOP_FILE)
    await switch.stop()
    with pytest.raises(Permanent) as refusal:
        await switch.resume()
    assert str(tmp_path) not in refusal.value.because
    assert await step(store, switching.stopped_since) is not None


def listed(desk: DeskForTests) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = json.loads(desk.run("api-key", "list", "--json").out)
    return told


def test_a_key_is_shown_once_and_alone(desk: DeskForTests) -> None:
    assert desk.run("api-key", "list").out == "There is no key.\n"
    said = desk.run("api-key", "make", " my monitor ", "--scope", "read", "--scope", "read")
    assert said.code == 0
    assert TEXT.fullmatch(said.out.rstrip("\n"))
    assert said.err == "Keep this key now: it is not shown again.\n"
    [one] = listed(desk)
    assert one.pop("made_at").startswith("20")
    assert one == {
        "id": said.out[4:12],
        "name": "my monitor",
        "scopes": ["read"],
        "last_used_at": None,
        "revoked_at": None,
    }
    for words in (("list",), ("list", "--json"), ("revoke", said.out[4:12])):
        assert said.out[13:].strip() not in desk.run("api-key", *words).out


def test_revoking_twice_is_revoking_once(desk: DeskForTests) -> None:
    key_id = desk.run("api-key", "make", "monitor", "--scope", "privacy").out[4:12]
    assert desk.run("api-key", "revoke", key_id).out == f"{key_id} opens nothing from now on.\n"
    revoked_at = listed(desk)[0]["revoked_at"]
    assert desk.run("api-key", "revoke", key_id).out == f"{key_id} was revoked already.\n"
    assert listed(desk)[0]["revoked_at"] == revoked_at is not None
    assert "revoked 20" in desk.run("api-key", "list").out


@pytest.mark.parametrize("columns", [80, 120])
def test_the_keys_table_fits_the_terminal(desk: DeskForTests, columns: int) -> None:
    every = ("--scope", "read", "--scope", "operate", "--scope", "privacy")
    assert desk.run("api-key", "make", "x" * 60, *every).code == 0
    desk.set(COLUMNS=str(columns))
    table = desk.run("api-key", "list").out
    assert {len(line) for line in table.splitlines()} == {columns}

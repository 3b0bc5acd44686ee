"""`server.py user …`, `stop-sending` and `resume`, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

import json
from typing import Any

import pytest

from handlers.store import switching
from handlers.store.store import SqlStore
from tests.arrivals import HOLD, mail
from tests.desks import DeskForTests
from tests.stores import claimed, erase, keep, put, step, write
from tests.test_users import writes

ADA, BOB = "ada@example.org", "bob@example.org"


@pytest.fixture
def known(desk: DeskForTests) -> DeskForTests:
    """A desk in a house that Ada and then Bob wrote to."""

    async def work(store: SqlStore) -> None:
        for address in (ADA, BOB):
            await writes(store, address)

    desk.store(work)
    return desk


def shown(desk: DeskForTests, address: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(desk.run("user", "show", address, "--json").out)
    return told


def listed(desk: DeskForTests, *arguments: str) -> list[str]:
    said = desk.run("user", "list", "--json", *arguments)
    return [one["address"] for one in json.loads(said.out)]


def test_people_are_listed_newest_first(known: DeskForTests) -> None:
    assert listed(known) == [BOB, ADA]
    assert listed(known, "--limit", "1") == [BOB]
    assert listed(known, "--status", "vip") == []
    assert known.run("user", "list", "--status", "vip").out == "There is nobody.\n"
    said = known.run("user", "list", "--limit", "1")
    assert said.err == "There are more; see them with a higher --limit.\n"


@pytest.mark.parametrize("columns", [80, 120])
def test_the_people_s_table_fits_the_terminal(known: DeskForTests, columns: int) -> None:
    known.run("user", "set", f"{'a' * 60}@{'b' * 60}.example", "--status", "vip", "--create")
    known.set(COLUMNS=str(columns))
    table = known.run("user", "list").out
    assert {len(line) for line in table.splitlines()} == {columns}
    assert ADA in table
    assert "normal" in table


def test_an_account_is_changed_and_shown(known: DeskForTests) -> None:
    changes = ("--status", "vip", "--format", "text", "--language", "fr")
    said = known.run("user", "set", "Ada@EXAMPLE.org", *changes, "--answers-per-hour", "3")
    assert (said.code, said.err) == (0, "")
    assert "answers an hour  3" in said.out
    expected = {"status": "vip", "format": "text", "language": "fr", "answers_per_hour": 3}
    assert shown(known, ADA).items() >= expected.items()
    assert shown(known, BOB)["status"] == "normal"
    assert listed(known, "--status", "vip") == [ADA]


@pytest.mark.parametrize("word", ["default", ""])
def test_what_was_changed_is_put_back(known: DeskForTests, word: str) -> None:
    known.run("user", "set", ADA, "--format", "text", "--language", "fr")
    known.run("user", "set", ADA, "--answers-per-hour", "3")
    said = known.run("user", "set", ADA, "--format", word, "--language", word)
    assert said.code == 0
    known.run("user", "set", ADA, "--answers-per-hour", "default")
    expected = {"format": "", "language": "", "answers_per_hour": None}
    assert shown(known, ADA).items() >= expected.items()


def test_an_account_is_made_before_the_first_mail(known: DeskForTests) -> None:
    eve = "eve@example.org"
    assert known.run("user", "set", eve, "--status", "blocked", "--create").code == 0
    assert shown(known, eve).items() >= {"status": "blocked", "mails": 0, "name": ""}.items()


def test_an_erased_person_is_listed_without_words(known: DeskForTests) -> None:
    known.store(lambda store: erase(store, ADA))
    assert listed(known) == [BOB, "(erased)"]
    assert shown(known, ADA)["name"] == "(erased)"
    assert known.run("user", "list").out.count("(erased)") == 1


def switch(desk: DeskForTests, command: str) -> dict[str, Any]:
    said = desk.run(command, "--json")
    assert (said.code, said.err) == (0, "")
    told: dict[str, Any] = json.loads(said.out)
    return told


def test_stopping_twice_is_stopping_once(desk: DeskForTests) -> None:
    first, again = switch(desk, "stop-sending"), switch(desk, "stop-sending")
    assert (first["changed"], again["changed"]) == (True, False)
    assert first["stopped_since"] == again["stopped_since"]
    assert desk.run("stop-sending").out.startswith("Sending was stopped already since 20")
    assert switch(desk, "resume")["changed"]
    assert not switch(desk, "resume")["changed"]
    assert desk.run("resume").out.startswith("Sending was not stopped. ")


def test_what_waits_and_what_leaves_is_told(desk: DeskForTests) -> None:
    async def work(store: SqlStore) -> None:
        for _ in range(2):
            await keep(store, mail())
        claim = await claimed(store, await keep(store))
        await write(store, claim)
        await store.sending(claim)

    desk.store(work)
    said = desk.run("stop-sending")
    assert said.out.endswith("UTC. 2 mails wait, 1 mail is being handed over to the relay.\n")
    told = switch(desk, "resume")
    assert (told["waiting"], told["leaving"], told["stopped_since"]) == (2, 1, None)


def test_the_queue_tells_what_waits_and_whether_anything_is_sent(desk: DeskForTests) -> None:
    async def work(store: SqlStore) -> None:
        await keep(store)
        await put(store, HOLD)

    desk.store(work)
    said = desk.run("queue").out
    assert said.startswith("Replies are sent. 1 mail waits, ")
    assert "1 mail is held, 0 mails have failed" in said
    file = desk.folder / "email_data" / switching.STOP_FILE
    file.touch()
    assert desk.run("queue").out.startswith(f"Sending is stopped (the file email_data/{file.name}")
    assert switch(desk, "queue")["stopped_by_file"]
    file.unlink()
    switch(desk, "stop-sending")
    assert desk.run("queue").out.startswith("Sending is stopped since 20")


def test_resuming_removes_the_file_that_stops_this_installation(desk: DeskForTests) -> None:
    file = desk.folder / "email_data" / switching.STOP_FILE
    file.touch()
    assert switch(desk, "resume")["changed"]
    assert not file.exists()


def test_a_file_that_cannot_be_removed_leaves_sending_stopped(desk: DeskForTests) -> None:
    switch(desk, "stop-sending")
    (desk.folder / "email_data" / switching.STOP_FILE).mkdir()
    said = desk.run("resume")
    assert (said.code, said.out) == (1, "")
    assert "stops this server and cannot be removed" in said.err

    async def since(store: SqlStore) -> object:
        return await step(store, switching.stopped_since)

    assert desk.store(since) is not None

"""Whatever an administrator types by mistake: one clear sentence, and nothing changes."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

from handlers.store import opening
from tests.arrivals import HOLD, mail
from tests.desks import DeskForTests
from tests.servers.process import free_port
from tests.stores import put

SERVER = Path(__file__).parent.parent / "server.py"
ADA = "ada@example.org"
HELD = "{held}"  # the id of a held mail

# What is typed, the exit code, and words of the sentence.
MISTAKES: list[tuple[tuple[str, ...], int, str]] = [
    (("mail", "list", "--state", "dance"), 2, "--state must be waiting"),
    (("mail", "list", "--state", ""), 2, "--state must be waiting"),
    (("mail", "list", "--from", "ada"), 2, "ada is no mail address"),
    (("mail", "list", "--from", ""), 2, "An empty text is no mail address"),
    (("mail", "list", "--from", "a\x1b[31m@b"), 2, "is no mail address"),
    (("mail", "list", "--thread", ""), 2, "--thread must be the id of a conversation"),
    (("mail", "list", "--thread", "../x"), 2, "--thread must be the id of a conversation"),
    (("mail", "list", "--limit", "0"), 2, "--limit must be a whole number from 1"),
    (("mail", "list", "--limit", "-5"), 2, "--limit must be a whole number from 1"),
    (("mail", "list", "--limit", "1.5"), 2, "--limit must be a whole number from 1"),
    (("mail", "list", "--limit", "9" * 5000), 2, "--limit must be a whole number from 1"),
    (("mail", "list", "--limit", "²"), 2, "--limit must be a whole number from 1"),
    (("mail", "show", "nothing"), 1, "no such mail"),
    (("mail", "show", ""), 1, "no such mail"),
    (("explain", "\udcff\x1b[31m"), 1, "There is no mail"),
    (("mail", "show", "\udcff\x1b[31m"), 1, "no such mail"),
    (("mail", "show", "nothing", "--raw"), 1, "no such mail"),
    (("mail", "show", "é" * 40), 1, "no such mail"),
    (("mail", "approve", "x" * 5000), 1, "no such mail"),
    (("mail", "release", "' OR 1=1"), 1, "no such mail"),
    (("mail", "reject", "\udcff"), 1, "no such mail"),
    (("mail", "retry", HELD), 1, "it is held; only failed mail can be retried"),
    (("mail", "take-over", "nothing"), 1, "no such mail"),
    (("mail", "hand-back", "nothing"), 1, "no such mail"),
    (("mail", "reply", "nothing", "--text", "Yes."), 1, "no such mail"),
    (("mail", "reply", HELD), 2, "Give the answer once"),
    (("mail", "reply", HELD, "Yes."), 2, "Give the answer once"),
    (("mail", "reply", HELD, "-", "--text", "Yes."), 2, "Give the answer once"),
    (("mail", "reply", HELD, "--text", ""), 2, "The answer is empty"),
    (("mail", "reply", HELD, "--text", " \n\u200b\x00"), 2, "The answer is empty"),
    (("mail", "reply", HELD, "-"), 2, "The answer is empty"),
    (("mail", "reply", HELD, "--text", "caf\udce9"), 2, "The answer is not UTF-8"),
    (("mail", "reply", HELD, "--text", "é" * 32_769), 2, "The answer is longer than 64 kB"),
    (("mail", "reply", HELD, "--file", "gone.txt"), 2, "cannot be read: No such file"),
    (("mail", "reply", HELD, "--file", "/"), 2, "cannot be read: Is a directory"),
    (("mail", "reply", HELD, "--file", "/dev/zero"), 2, "The answer is longer than 64 kB"),
    (("mail", "reply", HELD, "--file", "latin.txt"), 2, "The answer is not UTF-8"),
    (("user", "list", "--status", "king"), 2, "--status must be normal, vip, blocked or stopped"),
    (("user", "list", "--limit", "-1"), 2, "--limit must be a whole number from 1"),
    (("user", "show", "ada"), 2, "ada is no mail address"),
    (("user", "show", "eve@example.org"), 1, "eve@example.org has not written to this house"),
    (("user", "set", ADA), 2, "Say what to change"),
    (("user", "set", ADA, "--create"), 2, "Say what to change"),
    (("user", "set", ADA, "--status", "king"), 2, "--status must be normal, vip, blocked or"),
    (("user", "set", ADA, "--status", ""), 2, "--status must be normal, vip, blocked or"),
    (("user", "set", ADA, "--language", "../fr"), 2, "--language must be fr or default"),
    (("user", "set", ADA, "--format", "pdf"), 2, "--format must be text or default"),
    (("user", "set", ADA, "--answers-per-hour", "-1"), 2, "must be a whole number from 1 to"),
    (("user", "set", ADA, "--answers-per-hour", "many"), 2, "to 10000, or default"),
    (("user", "set", "eve@example.org", "--status", "vip"), 1, "--create makes the account"),
    (("user", "set", "@", "--status", "vip", "--create"), 2, "@ is no mail address"),
    (("api-key", "make", "monitor"), 2, "Say what the key opens: --scope read"),
    (("api-key", "make", "monitor", "--scope", "all"), 2, "--scope must be read, operate or"),
    (("api-key", "make", "monitor", "--scope", ""), 2, "--scope must be read, operate or"),
    (("api-key", "make", "", "--scope", "read"), 2, "NAME must be one line of 1 to 60"),
    (("api-key", "make", " \u200b", "--scope", "read"), 2, "NAME must be one line of 1 to 60"),
    (("api-key", "make", "x" * 61, "--scope", "read"), 2, "NAME must be one line of 1 to 60"),
    (("api-key", "make", "a\x1b[31mb", "--scope", "read"), 2, "NAME must be one line of 1 to 60"),
    (("api-key", "make", "caf\udce9", "--scope", "read"), 2, "NAME must be one line of 1 to 60"),
    (("api-key", "revoke", "nothing"), 1, "There is no key of this id"),
    (("api-key", "revoke", ""), 1, "There is no key of this id"),
    (("api-key", "revoke", "\udcff\x1b[31m"), 1, "There is no key of this id"),
]


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: ascii(" ".join(mistake[0])[:60]))
def test_a_mistake_is_one_sentence_and_changes_nothing(
    desk: DeskForTests, mistake: tuple[tuple[str, ...], int, str]
) -> None:
    typed, code, words = mistake
    held = desk.store(partial(put, verdict=HOLD))
    (desk.folder / "latin.txt").write_bytes(b"caf\xe9")
    before = desk.everything()
    said = desk.run(*(held if word == HELD else word for word in typed))
    assert (said.code, said.out) == (code, "")
    assert words in said.err
    assert said.err.endswith(".\n")
    assert said.err.count("\n") == 1
    assert "\x1b" not in said.err
    assert desk.everything() == before


EVERY_COMMAND = [
    ("explain", "x"),
    ("mail", "list"),
    ("mail", "show", "x"),
    ("mail", "approve", "x"),
    ("mail", "reply", "x", "--text", "Yes."),
    ("mail", "take-over", "x"),
    ("mail", "hand-back", "x"),
    ("user", "list"),
    ("user", "show", ADA),
    ("user", "set", ADA, "--status", "vip", "--create"),
    ("queue",),
    ("stop-sending",),
    ("resume",),
    ("api-key", "make", "monitor", "--scope", "read"),
    ("api-key", "list"),
    ("api-key", "revoke", "x"),
]


@pytest.mark.parametrize("typed", EVERY_COMMAND, ids=" ".join)
def test_a_wrong_key_or_no_database_is_one_sentence(
    desk: DeskForTests, typed: tuple[str, ...]
) -> None:
    before = desk.everything()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SECRET_KEY", "another secret of the tests, thirty-two bytes")
        said = desk.run(*typed)
    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1)
    assert "SECRET_KEY is not the one this database was made with" in said.err
    assert desk.everything() == before
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABASE_URL", f"postgresql://u:p@127.0.0.1:{free_port()}/x")
        said = desk.run(*typed)
    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1)
    assert "The database cannot be reached" in said.err
    # Whoever has to stop the house now is told how.
    assert ("An empty file email_data/stop-sending" in said.err) == (typed == ("stop-sending",))


@pytest.fixture
def sqlite_desk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> DeskForTests:
    url = make_url(f"sqlite+aiosqlite:///{tmp_path}/mail.sqlite3")
    return DeskForTests(url, tmp_path, monkeypatch, capsys)


def test_a_database_that_somebody_is_writing_is_one_sentence(
    sqlite_desk: DeskForTests, monkeypatch: pytest.MonkeyPatch
) -> None:
    sqlite_desk.store(partial(put, verdict=HOLD))
    prepare = opening._prepare_sqlite

    def impatient(connection: Any, record: object) -> None:
        prepare(connection, record)
        connection.execute("PRAGMA busy_timeout=10")

    monkeypatch.setattr(opening, "_prepare_sqlite", impatient)
    with closing(sqlite3.connect(str(sqlite_desk.url.database), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        said = sqlite_desk.run("mail", "list")
    assert (said.code, said.out) == (1, "")
    assert said.err == "The database could not: OperationalError.\n"


def test_a_reader_that_has_enough_is_no_trouble(sqlite_desk: DeskForTests) -> None:
    email_id = sqlite_desk.store(partial(put, verdict=HOLD, raw=mail("x" * 600_000)))
    command = [sys.executable, str(SERVER), "mail", "show", email_id, "--raw"]
    started = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with started:
        assert started.stdout is not None
        assert started.stderr is not None
        started.stdout.close()
        assert started.stderr.read() == ""
    assert started.returncode == 1


def test_a_stranger_s_bytes_do_not_go_to_a_terminal(
    sqlite_desk: DeskForTests, monkeypatch: pytest.MonkeyPatch
) -> None:
    email_id = sqlite_desk.store(partial(put, verdict=HOLD))
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    said = sqlite_desk.run("mail", "show", email_id, "--raw")
    assert (said.code, said.out) == (2, "")
    assert said.err == "--raw gives a stranger's bytes: send them to a file or a program.\n"

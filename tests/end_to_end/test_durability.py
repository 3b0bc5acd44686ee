"""250 is a promise: strace sees the disk asked before it is said, and a disk that fails heard."""

from __future__ import annotations

import contextlib
import re
import smtplib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import missing
from tests.end_to_end.conftest import Street
from tests.end_to_end.house import ADDRESS, House, until
from tests.end_to_end.writers import send, write
from tests.servers.postgres import PostgresServer
from tests.servers.process import HOST, NotInstalled, find_program

_CALL = re.compile(r"^(\d+) +(\w+)\((\d+)(.*)$")
_RESUMED = re.compile(r"^(\d+) +<\.\.\. (\w+) resumed>(.*)$")
SYNCS = ("fdatasync", "fsync")


@pytest.fixture
def strace() -> str:
    try:
        return find_program("strace")
    except NotInstalled as reason:
        missing(str(reason))


def unsynced(trace: str) -> tuple[int, int]:
    """How many mails were taken, and how many of them with no sync since their 354."""
    asked: dict[str, int] = {}  # by file descriptor: syncs done when 354 was said
    syncs = taken = early = 0
    for line in trace.splitlines():
        if found := _RESUMED.match(line):
            syncs += found[2] in SYNCS and found[3].rstrip().endswith("= 0")
        elif found := _CALL.match(line):
            _, call, descriptor, rest = found.groups()
            if call in SYNCS:
                syncs += rest.rstrip().endswith("= 0")
            elif '"354 ' in rest:
                asked[descriptor] = syncs
            elif '"250 2.0.0 Message taken' in rest:
                taken += 1
                early += syncs == asked.pop(descriptor)
    return taken, early


def test_every_250_comes_after_a_sync_of_the_database(street: Street, strace: str) -> None:
    # Held mail, all from one known person: nothing but keeping it writes to the disk.
    house = street.build(testing_answer_unproven="false")
    trace = house.folder / "trace"
    traced = "trace=fdatasync,fsync,write,writev,sendto,sendmsg"
    house.wrapper = (strace, "-D", "-f", "-qq", "-s", "64", "-o", str(trace), "-e", traced)
    house.start()
    mails = [write(number, sender="one@people.example") for number in range(1, 42)]
    assert send(house.port, mails[:1])[0].code == 250
    assert {sent.code for sent in send(house.port, mails[1:])} == {250}
    house.stop()
    assert unsynced(trace.read_text(errors="replace")) == (41, 0)


def test_a_250_before_its_sync_would_be_seen() -> None:
    honest = (
        '7 write(9, "354 go on", 9) = 9\n'
        "8 fdatasync(5 <unfinished ...>\n"
        "8 <... fdatasync resumed>)      = 0\n"
        '7 write(9, "250 2.0.0 Message taken as x", 28) = 28\n'
    )
    lines = honest.splitlines(keepends=True)
    assert unsynced(honest) == (1, 0)
    assert unsynced("".join([lines[0], lines[3], *lines[1:3]])) == (1, 1)
    assert unsynced(honest.replace("= 0", "= -1 EIO")) == (1, 1)


@contextlib.contextmanager
def failing_disk(strace: str, house: House, folder: Path) -> Iterator[None]:
    """Every sync of the house fails with EIO."""
    said = folder / "strace.said"
    inject = ["-e", "trace=fdatasync,fsync", "-e", "inject=fdatasync,fsync:error=EIO"]
    with said.open("wb") as output:
        tracer = subprocess.Popen(
            [strace, "-f", "-o", str(folder / "injected"), *inject, "-p", str(house.pid)],
            stderr=output,
        )
        try:
            until(lambda: b"attached" in said.read_bytes(), what="strace", every_s=0.01)
            yield
        finally:
            tracer.terminate()
            tracer.wait(10)


def test_a_failed_sync_is_451_and_the_end_of_the_process(
    street: Street, strace: str, tmp_path: Path
) -> None:
    street.foresees_trouble = True
    house = street.open(testing_answer_unproven="false")
    kept = send(house.port, [write(number) for number in range(1, 4)])
    last = write(4, sender=kept[0].mail.sender)
    with smtplib.SMTP(HOST, house.port, timeout=20) as client:
        client.ehlo("people.example")
        client.mail(last.sender)
        client.rcpt(ADDRESS)
        assert client.docmd("DATA")[0] == 354
        # Just after a heartbeat, so that it is this mail that meets the failing disk.
        [[beat]] = house.sql("SELECT seen_at FROM heartbeat")
        until(
            lambda: house.sql("SELECT seen_at FROM heartbeat") != [(beat,)],
            what="a heartbeat",
            every_s=0.02,
        )
        with failing_disk(strace, house, tmp_path):
            client.send(last.raw + b".\r\n")
            code, _ = client.getreply()
            assert code == 451
            assert house.wait_for_the_end() == 1
        client.close()
    fatal = [event for event in house.events() if event["level"] in {"error", "critical"}]
    assert len(fatal) == 1
    assert "disk" in str(fatal[0])
    assert "Traceback" not in house.log_text()
    house.start()
    assert set(house.mails()) >= {sent.ticket for sent in kept}
    assert send(house.port, [last])[0].code == 250


def test_a_postgresql_that_does_not_sync_is_refused(
    street: Street, postgres_server: PostgresServer
) -> None:
    house = street.build(database_url=postgres_server.url())
    code, said = house.refuses()
    assert code == 2
    assert [line for line in said.splitlines() if not line.startswith("{")] == [
        "PostgreSQL runs with fsync=off and would lose mail we said 250 to: "
        "set fsync=on in postgresql.conf"
    ]

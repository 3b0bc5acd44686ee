"""What a job in the cell cannot do: reach the network, start a program, write a file, go on."""

from __future__ import annotations

import asyncio
import ctypes
import os
import pickle
import platform
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from smtpd import confinement, inmate
from smtpd.cell import Cell
from smtpd.errors import Runaway

MEMORY = 268_435_456


# Jobs; the child imports this module by its name. Each gives "" where it did what it tried.


def tried(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except OSError as error:
        return os.strerror(error.errno) if error.errno else str(error)
    return ""


def connect(family: int, kind: int, address: Any) -> str:
    def attempt() -> None:
        with socket.socket(family, kind) as connection:
            connection.connect(address)

    return tried(attempt)


def look_up() -> str:
    return tried(lambda: socket.getaddrinfo("example.org", 25))


def make_a_pair() -> str:
    return tried(socket.socketpair)


def fork() -> str:
    def attempt() -> None:
        if os.fork() == 0:
            os._exit(0)
        os.wait()

    return tried(attempt)


def start_a_program() -> str:
    return tried(lambda: subprocess.run(["/bin/true"], check=True))


def become_a_program() -> str:
    return tried(lambda: os.execv("/bin/true", ["true"]))  # noqa: S606 (that is what is tried)


def send_a_signal(pid: int) -> str:
    return tried(lambda: os.kill(pid, 0))


def signal_its_threads(pid: int) -> str:
    libc = ctypes.CDLL(None, use_errno=True)
    tgkill = {"x86_64": 234, "aarch64": 131}[platform.machine()]
    failed = libc.syscall(tgkill, pid, pid, 0)
    return os.strerror(ctypes.get_errno()) if failed else ""


def write_a_file(path: str) -> str:
    return tried(lambda: Path(path).write_text("x" * 10_000))


def read_a_file(path: str) -> str:
    return Path(path).read_text()


def spin() -> object:
    return re.match(r"(a+)+b", "a" * 60)


@pytest.fixture
async def cell() -> AsyncIterator[Cell]:
    cell = Cell(1, timeout_s=20, memory_bytes=MEMORY, preload=("tests.test_confinement",))
    await cell.start()
    yield cell
    await cell.stop()


@pytest.fixture
async def listener(tmp_path: Path) -> AsyncIterator[dict[str, tuple[int, int, object]]]:
    """What can be connected to: TCP, UDP and a socket in the file system."""

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    tcp = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    path = str(tmp_path / "socket")
    unix = await asyncio.start_unix_server(hang_up, path)
    address = tcp.sockets[0].getsockname()
    yield {
        "tcp": (socket.AF_INET, socket.SOCK_STREAM, address),
        "udp": (socket.AF_INET, socket.SOCK_DGRAM, address),
        "tcp6": (socket.AF_INET6, socket.SOCK_STREAM, ("::ffff:127.0.0.1", address[1])),
        "unix": (socket.AF_UNIX, socket.SOCK_STREAM, path),
    }
    tcp.close()
    unix.close()


async def test_no_job_connects_to_anything(
    cell: Cell, listener: dict[str, tuple[int, int, object]]
) -> None:
    assert cell.confinement == ""
    for way in listener.values():
        assert await asyncio.to_thread(connect, *way) == ""  # outside it works
        assert await cell.run(connect, *way) == "Operation not permitted"
    assert await cell.run(make_a_pair) == "Operation not permitted"
    assert await cell.run(look_up) != ""


async def test_no_job_starts_anything(cell: Cell) -> None:
    for job in (fork, start_a_program, become_a_program):
        assert await cell.run(job) == "Operation not permitted"
    assert start_a_program() == ""
    for signal_to in (send_a_signal, signal_its_threads):
        assert await cell.run(signal_to, os.getpid()) == "Operation not permitted"
        assert signal_to(os.getpid()) == ""


async def test_a_job_reads_files_and_writes_none(cell: Cell, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("words")
    assert await cell.run(read_a_file, str(file)) == "words"
    assert await cell.run(write_a_file, str(tmp_path / "new")) == "File too large"
    assert write_a_file(str(tmp_path / "new")) == ""


async def test_a_new_process_is_confined_as_well(cell: Cell) -> None:
    with pytest.raises(Runaway):
        await cell.run(spin, timeout_s=0.2)
    assert await cell.run(make_a_pair) == "Operation not permitted"


async def test_where_there_is_no_filter_the_cell_works_and_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # The child imports smtpd.confinement from the first folder of its path that has it.
    package = tmp_path / "smtpd"
    package.mkdir()
    (package / "__init__.py").write_text(f"__path__.append({str(Path(inmate.__file__).parent)!r})")
    (package / "confinement.py").write_text("def confine():\n    return 'no filter here'\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    cell = Cell(1, timeout_s=20, memory_bytes=MEMORY, preload=("tests.test_confinement",))
    await cell.start()
    assert cell.confinement == "no filter here"
    assert await cell.run(make_a_pair) == ""
    await cell.stop()


def test_an_unknown_machine_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "vax")
    monkeypatch.setattr("resource.setrlimit", lambda *_: None)
    assert confinement.confine() == "there is no system call filter for vax here"


def test_a_job_that_nobody_watches_is_ended_by_its_processor_time() -> None:
    command = [sys.executable, "-I", str(Path(inmate.__file__)), str(os.getpid()), str(MEMORY)]
    with subprocess.Popen(
        [*command, os.pathsep.join(sys.path), "tests.test_confinement"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin
        assert process.stdout
        size = int.from_bytes(process.stdout.read(inmate.LENGTH_BYTES), "big")
        assert process.stdout.read(size)[:1] == inmate.DONE
        request = pickle.dumps((spin, (), 0.1))
        process.stdin.write(len(request).to_bytes(inmate.LENGTH_BYTES, "big") + request)
        process.stdin.flush()
        assert process.wait(60) == -signal.SIGXCPU


async def test_the_loop_goes_on_while_a_job_keeps_its_interpreter(
    capsys: pytest.CaptureFixture[str],
) -> None:
    cell = Cell(2, timeout_s=20, memory_bytes=MEMORY, preload=("tests.test_confinement",))
    await cell.start()
    loop = asyncio.get_running_loop()
    longest_s, done = 0.0, 0
    stuck = asyncio.create_task(cell.run(spin, timeout_s=2.0))
    while not stuck.done():
        began = loop.time()
        await asyncio.sleep(0.005)
        longest_s = max(longest_s, loop.time() - began - 0.005)
        assert await cell.run(read_a_file, os.devnull) == ""
        done += 1
    with pytest.raises(Runaway, match="longer than 2 seconds"):
        await stuck
    await cell.stop()
    with capsys.disabled():
        sys.stdout.write(f"\nthe longest stall of the loop: {1000 * longest_s:.1f} ms\n")
    assert done > 20
    assert longest_s < 0.5

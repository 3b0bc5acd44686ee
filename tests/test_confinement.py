"""What a job in the cell cannot do: reach the network, start a program, write a file, go on."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import fcntl
import os
import pickle
import platform
import re
import resource
import signal
import socket
import subprocess
import sys
import termios
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import dns.message
import dns.query
import pytest

from smtpd import confinement, inmate
from smtpd.cell import Cell
from smtpd.errors import Runaway

MEMORY = 268_435_456
DENIED = os.strerror(errno.EPERM)


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


def ask_dns(port: int) -> str:
    question = dns.message.make_query("example.org", "A")
    return tried(lambda: dns.query.udp(question, "127.0.0.1", port=port, timeout=20))


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


def limit_another(pid: int) -> str:
    return tried(lambda: resource.prlimit(pid, resource.RLIMIT_NOFILE))


def signal_its_threads(pid: int) -> str:
    libc = ctypes.CDLL(None, use_errno=True)
    tgkill = {"x86_64": 234, "aarch64": 131}[platform.machine()]
    failed = libc.syscall(tgkill, pid, pid, 0)
    return os.strerror(ctypes.get_errno()) if failed else ""


def look_into(pid: int) -> str:
    return tried(lambda: Path(f"/proc/{pid}/environ").read_bytes())


def type_into(terminal: str) -> str:
    def attempt() -> None:
        handle = os.open(terminal, os.O_RDONLY | os.O_NOCTTY)
        fcntl.ioctl(handle, termios.FIONREAD, bytes(4))  # TIOCSTI is another such call

    return tried(attempt)


def write_a_file(path: str) -> str:
    return tried(lambda: Path(path).write_text("x" * 10_000))


def empty_a_file(path: str) -> str:
    return tried(lambda: os.close(os.open(path, os.O_RDONLY | os.O_TRUNC)))


def change_a_file(path: str) -> str:
    return tried(lambda: Path(path).open("r+b").close())


def rename_a_file(path: str) -> str:
    return tried(lambda: Path(path).rename(path + ".old"))


def remove_a_file(path: str) -> str:
    return tried(Path(path).unlink)


def make_a_folder(path: str) -> str:
    return tried(Path(path + ".folder").mkdir)


def take_uncounted_memory(_: str) -> str:
    return tried(lambda: os.close(os.memfd_create("memory")))


def use_a_thread() -> int:
    numbers: list[int] = []
    thread = threading.Thread(target=numbers.append, args=(7,))
    thread.start()
    thread.join()
    return numbers[0]


def read_a_file(path: str) -> str:
    return Path(path).read_text()


def spin() -> object:
    return re.match(r"(a+)+b", "a" * 60)


@pytest.fixture
async def cell() -> AsyncIterator[Cell]:
    async with started() as cell:
        yield cell


@asynccontextmanager
async def started() -> AsyncIterator[Cell]:
    cell = Cell(1, timeout_s=20, memory_bytes=MEMORY, preload=("tests.test_confinement",))
    await cell.start()
    try:
        yield cell
    finally:
        await cell.stop()


@pytest.fixture
async def unconfined(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[Cell]:
    """A cell as it is where the kernel allows no filter."""
    # The child imports smtpd.confinement from the first folder of its path that has it.
    package = tmp_path / "smtpd"
    package.mkdir()
    (package / "__init__.py").write_text(f"__path__.append({str(Path(inmate.__file__).parent)!r})")
    (package / "confinement.py").write_text("def confine():\n    return 'no filter here'\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    async with started() as cell:
        yield cell


class Nameserver(asyncio.DatagramProtocol):
    """Knows no name, and says so."""

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self.transport = transport

    def datagram_received(self, data: bytes, peer: tuple[str, int]) -> None:
        answer = dns.message.make_response(dns.message.from_wire(data))
        self.transport.sendto(answer.to_wire(), peer)


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
    cell: Cell, unconfined: Cell, listener: dict[str, tuple[int, int, object]]
) -> None:
    assert cell.confinement == ""
    for way in listener.values():
        assert await unconfined.run(connect, *way) == ""
        assert await cell.run(connect, *way) == DENIED
    assert await unconfined.run(make_a_pair) == ""
    assert await cell.run(make_a_pair) == DENIED


async def test_no_job_asks_dns(cell: Cell, unconfined: Cell) -> None:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Nameserver, ("127.0.0.1", 0))
    port = transport.get_extra_info("sockname")[1]
    assert await unconfined.run(ask_dns, port) == ""
    assert await cell.run(ask_dns, port) == DENIED
    transport.close()


async def test_no_job_starts_anything(cell: Cell, unconfined: Cell) -> None:
    for job in (fork, start_a_program):
        assert await unconfined.run(job) == ""
        assert await cell.run(job) == DENIED
    with pytest.raises(Runaway):  # it became another program, which is no inmate
        await unconfined.run(become_a_program)
    assert await cell.run(become_a_program) == DENIED
    assert await cell.run(use_a_thread) == 7


async def test_no_job_touches_another_process(cell: Cell, unconfined: Cell) -> None:
    for job in (send_a_signal, signal_its_threads, limit_another):
        assert await unconfined.run(job, os.getpid()) == ""
        assert await cell.run(job, os.getpid()) == DENIED


async def test_no_job_sees_what_this_server_was_started_with(cell: Cell, unconfined: Cell) -> None:
    assert await unconfined.run(look_into, os.getpid()) == ""
    assert await cell.run(look_into, os.getpid()) == os.strerror(errno.EACCES)


async def test_no_job_types_into_a_terminal(cell: Cell, unconfined: Cell) -> None:
    ours, theirs = os.openpty()
    assert await unconfined.run(type_into, os.ttyname(theirs)) == ""
    assert await cell.run(type_into, os.ttyname(theirs)) == DENIED
    os.close(ours)
    os.close(theirs)


@pytest.mark.parametrize(
    "job",
    [
        *(write_a_file, empty_a_file, change_a_file, rename_a_file, remove_a_file),
        *(make_a_folder, take_uncounted_memory),
    ],
)
async def test_a_job_reads_files_and_changes_nothing(
    cell: Cell, unconfined: Cell, tmp_path: Path, job: Callable[[str], str]
) -> None:
    file = tmp_path / "file"
    file.write_text("words")
    assert await cell.run(read_a_file, str(file)) == "words"
    assert await cell.run(job, str(file)) == DENIED
    assert file.read_text() == "words"
    assert await unconfined.run(job, str(file)) == ""


async def test_a_library_that_aborts_ends_its_process_alone(cell: Cell) -> None:
    with pytest.raises(Runaway, match="ended"):
        await cell.run(os.abort)
    assert await cell.run(use_a_thread) == 7


async def test_a_new_process_is_confined_as_well(cell: Cell) -> None:
    with pytest.raises(Runaway):
        await cell.run(spin, timeout_s=0.2)
    assert await cell.run(make_a_pair) == DENIED


async def test_where_there_is_no_filter_the_cell_says_so(unconfined: Cell) -> None:
    assert unconfined.confinement == "no filter here"


def said(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    return done.stdout.decode().strip()


def test_a_kernel_that_allows_no_filter_is_told() -> None:
    # The first filter forbids a second one.
    told = said("from smtpd.confinement import confine; print(confine() + '|' + confine())")
    assert told == f"|the kernel does not allow a system call filter ({DENIED})"


A_THREAD_FROM_BEFORE = """
import threading
from smtpd.confinement import confine
from tests.test_confinement import make_a_pair
confined = threading.Event()
thread = threading.Thread(target=lambda: confined.wait() and print(make_a_pair()))
thread.start()
assert confine() == ""
confined.set()
thread.join()
"""


def test_a_thread_that_a_library_had_started_is_confined_as_well() -> None:
    assert said(A_THREAD_FROM_BEFORE) == DENIED


def test_a_kernel_that_takes_a_filter_and_lets_everything_pass_is_told() -> None:
    assert "does not obey" in confinement.what_it_left(ctypes.CDLL(None))


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

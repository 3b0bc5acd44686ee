"""The cell: whatever a job does, it ends in time, alone, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NoReturn

import psutil
import pytest

from smtpd.cell import Cell
from smtpd.errors import Permanent, Runaway, Temporary

MEMORY = 268_435_456
ROOT = Path(__file__).parent.parent


# Jobs; the child imports this module by its name.


def inmates() -> list[psutil.Process]:
    """The cell processes of this test; servers of other tests may be children of ours, too."""
    return [child for child in psutil.Process().children() if is_inmate(child)]


def is_inmate(child: psutil.Process) -> bool:
    try:
        return any(word.endswith("inmate.py") for word in child.cmdline())
    except psutil.NoSuchProcess:  # it ended meanwhile
        return False


def echo(value: object) -> object:
    return value


def pid() -> int:
    return os.getpid()


def fail() -> NoReturn:
    raise Permanent("no good")


def fail_unpicklable() -> NoReturn:
    class Local(Exception):
        pass

    raise Local


def give_a_lock() -> object:
    return threading.Lock()


def spin_in_c() -> object:
    # Keeps the interpreter's lock, and cannot be interrupted by a signal handler.
    return re.match(r"(a+)+b", "a" * 60)


def wait_for_a_lock() -> None:
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


def end() -> NoReturn:
    os._exit(0)


def eat_memory() -> int:
    return len(bytearray(4 * MEMORY))


def talk() -> str:
    print("this is not an answer")  # noqa: T201 (libraries do)
    os.write(1, b"nor is this")
    return "answer"


def environment() -> dict[str, str]:
    return dict(os.environ)


@pytest.fixture
async def cell() -> AsyncIterator[Cell]:
    cell = Cell(1, timeout_s=20, memory_bytes=MEMORY)
    await cell.start()
    yield cell
    await cell.stop()


def ends(pid: int) -> bool:
    """Wait until the process has ended; whoever started it still learns of it."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], 20)[0])
    finally:
        os.close(handle)


async def test_a_job_s_result_comes_back(cell: Cell) -> None:
    assert await cell.run(echo, {"a": (1, b"\x00\xff", None)}) == {"a": (1, b"\x00\xff", None)}


async def test_a_large_mail_goes_in_and_comes_back(cell: Cell) -> None:
    mail = os.urandom(26_214_400)
    assert await cell.run(echo, mail) == mail


async def test_one_process_serves_many_jobs(cell: Cell) -> None:
    assert len({await cell.run(pid) for _ in range(20)}) == 1


async def test_a_process_is_replaced_before_it_grows_old(
    cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smtpd.cell.JOBS_PER_PROCESS", 3)
    assert len({await cell.run(pid) for _ in range(6)}) == 2


async def test_a_job_s_own_exception_is_passed_on(cell: Cell) -> None:
    before = await cell.run(pid)
    with pytest.raises(Permanent, match="no good") as raised:
        await cell.run(fail)
    assert raised.value.because == "no good"
    # Nobody knows what it left half done.
    assert await cell.run(pid) != before


async def test_what_cannot_travel_is_told_by_its_name(cell: Cell) -> None:
    with pytest.raises(RuntimeError, match="Local"):
        await cell.run(fail_unpicklable)
    with pytest.raises(RuntimeError, match="lock"):
        await cell.run(give_a_lock)


@pytest.mark.parametrize("job", [spin_in_c, wait_for_a_lock])
async def test_a_job_that_does_not_end_is_killed(cell: Cell, job: object) -> None:
    stuck = await cell.run(pid)
    with pytest.raises(Runaway, match=r"longer than 0\.3 seconds"):
        await cell.run(job, timeout_s=0.3)  # type: ignore[arg-type]
    assert ends(stuck)
    assert await cell.run(echo, 1) == 1


async def test_a_job_that_ends_its_process_hurts_nobody_else(cell: Cell) -> None:
    with pytest.raises(Runaway, match="ended"):
        await cell.run(end)
    assert await cell.run(echo, 1) == 1


async def test_a_job_that_eats_memory_is_stopped(cell: Cell) -> None:
    with pytest.raises(Runaway, match="memory"):
        await cell.run(eat_memory)
    assert await cell.run(echo, 1) == 1


async def test_an_idle_process_that_died_is_replaced_unseen(cell: Cell) -> None:
    idle = await cell.run(pid)
    os.kill(idle, signal.SIGKILL)
    assert ends(idle)  # and our loop had no turn to notice
    assert await cell.run(echo, 1) == 1


async def test_a_process_that_was_killed_is_replaced_before_anybody_asks(cell: Cell) -> None:
    before = {child.pid for child in inmates()}
    with pytest.raises(Runaway):
        await cell.run(wait_for_a_lock, timeout_s=0.2)
    # Its start is not the next one's wait.
    with pytest.raises(Temporary, match="no process of the cell is free"):
        await cell.run(echo, 1, wait_s=0.001)
    assert await cell.run(pid, wait_s=20) not in before


async def test_nobody_overtakes_who_waits_for_a_process(cell: Cell) -> None:
    order = []

    async def ask(name: str, times: int) -> None:
        for _ in range(times):
            await cell.run(echo, name)
            order.append(name)

    async with asyncio.TaskGroup() as group:
        group.create_task(ask("greedy", 5))
        group.create_task(ask("patient", 1))
    assert order[:2] == ["greedy", "patient"]


async def test_a_process_given_in_the_moment_of_cancelling_is_not_lost(cell: Cell) -> None:
    async def first() -> None:
        await cell.run(echo, 1)
        second.cancel()

    running = asyncio.create_task(first())
    await asyncio.sleep(0)
    second = asyncio.create_task(cell.run(echo, 2))
    await running
    with pytest.raises(asyncio.CancelledError):
        await second
    assert await cell.run(echo, 3, wait_s=20) == 3


async def test_stopping_while_a_process_is_replaced_leaves_none(cell: Cell) -> None:
    with pytest.raises(Runaway):
        await cell.run(end)
    await asyncio.sleep(0)
    await cell.stop()
    assert inmates() == []


async def test_stopping_while_a_caller_starts_a_process_leaves_none(cell: Cell) -> None:
    idle = await cell.run(pid)
    os.kill(idle, signal.SIGKILL)
    assert ends(idle)
    job = asyncio.create_task(cell.run(echo, 1))
    # Nothing tells us of the moment in which it was started, and nobody knows it yet.
    while not (started := [one for one in inmates() if one.pid != idle]):  # noqa: ASYNC110
        await asyncio.sleep(0)
    await cell.stop()
    with pytest.raises(Runaway, match="stopped"):
        await job
    assert ends(started[0].pid)


async def test_a_cancelled_job_s_process_is_killed(cell: Cell) -> None:
    process = await cell.run(pid)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await cell.run(spin_in_c)
    assert ends(process)
    assert await cell.run(echo, 1) == 1


async def test_jobs_wait_for_a_free_process_and_run_side_by_side() -> None:
    cell = Cell(2, timeout_s=20, memory_bytes=MEMORY)
    await cell.start()
    try:
        async with asyncio.TaskGroup() as group:
            runaway = group.create_task(runs_away(cell))
            answers = [group.create_task(cell.run(echo, number)) for number in range(50)]
        assert [answer.result() for answer in answers] == list(range(50))
        assert runaway.result()
    finally:
        await cell.stop()


async def runs_away(cell: Cell) -> bool:
    with pytest.raises(Runaway):
        await cell.run(wait_for_a_lock, timeout_s=0.5)
    return True


async def test_what_a_library_prints_is_no_answer(cell: Cell) -> None:
    assert await cell.run(talk) == "answer"
    assert await cell.run(echo, 1) == 1


async def test_the_inside_knows_nothing_of_our_environment(
    cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_KEY", "very secret")
    child = psutil.Process(await cell.run(pid))
    assert "SECRET_KEY" not in await cell.run(environment)
    # Neither in what the kernel keeps of the start, which no program can clear.
    assert child.environ() == {}


async def test_a_keyboard_s_interrupt_does_not_reach_it(cell: Cell) -> None:
    before = await cell.run(pid)
    os.kill(before, signal.SIGINT)
    assert await cell.run(pid) == before


async def test_stopping_ends_every_process() -> None:
    cell = Cell(2, timeout_s=20, memory_bytes=MEMORY)
    await cell.start()
    children = inmates()
    assert len(children) >= 2
    await cell.stop()
    for child in children:
        assert ends(child.pid)


async def test_a_job_that_runs_when_the_cell_stops_is_told_so() -> None:
    cell = Cell(1, timeout_s=20, memory_bytes=MEMORY)
    await cell.start()
    (child,) = inmates()
    job = asyncio.create_task(cell.run(wait_for_a_lock))
    await asyncio.sleep(0)
    await cell.stop()
    with pytest.raises(Runaway):
        await job
    with pytest.raises(Runaway, match="stopped"):
        await cell.run(echo, 1)
    assert ends(child.pid)


async def test_a_module_that_cannot_be_imported_is_told_at_the_start() -> None:
    cell = Cell(1, timeout_s=20, memory_bytes=MEMORY, preload=("no_such_module",))
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        await cell.start()
    await cell.stop()


async def test_too_little_memory_to_begin_with_is_trouble_not_a_hang() -> None:
    cell = Cell(1, timeout_s=20, memory_bytes=1_048_576)
    with contextlib.suppress(Exception):  # which of them depends on where the memory ends
        await cell.start()
        await cell.run(echo, b"x" * 4_194_304)
        pytest.fail("a megabyte was enough for four")
    await cell.stop()


PARENT = """
import asyncio
from smtpd.cell import Cell
from tests.test_cell import MEMORY, pid, spin_in_c

async def main() -> None:
    cell = Cell(2, timeout_s=600, memory_bytes=MEMORY)
    await cell.start()
    # The one that is stuck was the last to be idle, so the other's number is told.
    busy = asyncio.create_task(cell.run(spin_in_c))
    await asyncio.sleep(0)
    print(await cell.run(pid), flush=True)
    await busy

asyncio.run(main())
"""


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_nothing_stays_when_the_parent_is_killed(loop: str) -> None:
    program = PARENT.replace("asyncio.run", f"{loop}.run").replace(
        "import asyncio", f"import asyncio, {loop}"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    with parent:
        assert parent.stdout
        assert parent.stdout.readline()
        children = psutil.Process(parent.pid).children()
        assert len(children) == 2
        parent.kill()
    assert all(ends(child.pid) for child in children)


def test_an_idle_cell_costs_no_processor_time() -> None:
    async def idle() -> float:
        cell = Cell(1, timeout_s=20, memory_bytes=MEMORY)
        await cell.start()
        start = time.process_time()
        await asyncio.sleep(1)
        used = time.process_time() - start
        await cell.stop()
        return used

    assert asyncio.run(idle()) < 0.1


async def test_who_may_not_wait_long_hears_that_nobody_is_free(cell: Cell) -> None:
    busy = asyncio.create_task(cell.run(spin_in_c, timeout_s=1.0))
    await asyncio.sleep(0)
    with pytest.raises(Temporary, match="no process of the cell is free"):
        await cell.run(echo, "x", wait_s=0.05)
    assert await cell.run(echo, "x", wait_s=20) == "x"
    with pytest.raises(Runaway):
        await busy

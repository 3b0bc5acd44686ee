"""What the cell costs: the way in and out for one small job, a kill, a new process, memory.

Jobs are functions that the child has anyhow, so that a figure is the way and no work.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from dataclasses import dataclass
from statistics import median, quantiles

import psutil
import uvloop

from handlers.reading import CellReader
from smtpd.cell import Cell
from smtpd.checks.verifier import PRELOAD as CHECKING
from smtpd.errors import Runaway
from tests.bench.processes import MIB
from tests.bench.table import table

READING = (CellReader.__module__,)
MEMORY = 536_870_912
WARM, ROUNDS, TIMES = 200, 5, 1000
KILLS = 15
DEADLINE_S = 0.1
SMALL, LARGE = 4096, 26_214_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """A small job, there and back; medians of the rounds, p99 of all jobs."""

    here_ms: float
    inside_ms: float
    median_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """What follows the deadline of a job in C that keeps its interpreter's lock."""

    told_ms: list[float]  # its caller
    gone_ms: list[float]  # its process, from the kernel's table
    next_ms: list[float]  # the next job's answer, by a new process


def run() -> str:
    """The table, of both loops: uvloop is what the house runs on."""
    columns = [asyncio.run(_column()), uvloop.run(_column())]
    aims = ["0.15", "", "1", "", "", "2", *[""] * 5]
    names = [
        "job of 4 kB: CPU here",
        "CPU in the cell",
        "there and back, median",
        "there and back, p99",
        "job of 25 MiB, median",
        f"deadline of {DEADLINE_S:g} s passed: caller told, median",
        "caller told, worst",
        "process gone, median",
        "process gone, worst",
        "next job done by a new process, median",
        "next job done, worst",
    ]
    rows = [list(row) for row in zip(names, *columns, aims, strict=True)]
    heads = ["process with one job done", "resident", "its own"]
    return "\n".join(
        [
            table(
                f"The cell, ms; {ROUNDS} times {TIMES} jobs, {KILLS} kills after the deadline",
                ["", "asyncio", "uvloop", "aim"],
                rows,
            ),
            table("Memory of one process of the cell, MiB", heads, asyncio.run(_memory())),
        ]
    )


async def _column() -> list[str]:
    cell = Cell(1, 20, MEMORY, preload=CHECKING)
    await cell.start()
    try:
        hop = await _hop(cell)
        large_ms = median([await _once_ms(cell, bytes(LARGE)) for _ in range(10)])
        kill = await _kill(cell)
    finally:
        await cell.stop()
    figures = [hop.here_ms, hop.inside_ms, hop.median_ms, hop.p99_ms]
    text = [f"{figure:.3f}" for figure in figures]
    kills = [f"{of(kept):.1f}" for kept in _kept(kill) for of in (median, max)]
    return [*text, f"{large_ms:.0f}", *kills]


def _kept(kill: Kill) -> tuple[list[float], ...]:
    return kill.told_ms, kill.gone_ms, kill.next_ms


async def _hop(cell: Cell) -> Hop:
    mail = bytes(SMALL)
    for _ in range(WARM):
        await cell.run(len, mail)
    here, inside, took = [], [], []
    for _ in range(ROUNDS):
        inside_before, before = await cell.run(time.process_time), time.process_time()
        took += [await _once_ms(cell, mail) for _ in range(TIMES)]
        here.append((time.process_time() - before) / TIMES * 1000)
        inside.append((await cell.run(time.process_time) - inside_before) / TIMES * 1000)
    return Hop(
        here_ms=median(here),
        inside_ms=median(inside),
        median_ms=median(took),
        p99_ms=quantiles(took, n=100)[98],
    )


async def _once_ms(cell: Cell, mail: bytes) -> float:
    began = time.perf_counter()
    await cell.run(len, mail)
    return (time.perf_counter() - began) * 1000


async def _kill(cell: Cell) -> Kill:
    kill = Kill(told_ms=[], gone_ms=[], next_ms=[])
    for _ in range(KILLS):
        gone = _gone(await cell.run(os.getpid))
        began = time.perf_counter()
        try:
            await cell.run(re.match, r"(a+)+b", "a" * 60, timeout_s=DEADLINE_S)
        except Runaway:
            kill.told_ms.append(_late_ms(began, time.perf_counter()))
        next_began = time.perf_counter()
        await cell.run(len, b"")
        kill.next_ms.append((time.perf_counter() - next_began) * 1000)
        kill.gone_ms.append(_late_ms(began, await gone))
    return kill


def _late_ms(began: float, ended: float) -> float:
    return (ended - began - DEADLINE_S) * 1000


def _gone(pid: int) -> asyncio.Future[float]:
    """When the process ended."""
    loop = asyncio.get_running_loop()
    gone: asyncio.Future[float] = loop.create_future()
    handle = os.pidfd_open(pid)

    def ended() -> None:
        loop.remove_reader(handle)
        os.close(handle)
        gone.set_result(time.perf_counter())

    loop.add_reader(handle, ended)
    return gone


async def _memory() -> list[list[str]]:
    return [
        await _memory_row("checks of the front door", CHECKING),
        await _memory_row("reading a mail", READING),
    ]


async def _memory_row(name: str, preload: tuple[str, ...]) -> list[str]:
    cell = Cell(1, 20, MEMORY, preload=preload)
    await cell.start()
    try:
        used = psutil.Process(await cell.run(os.getpid)).memory_full_info()
    finally:
        await cell.stop()
    return [name, f"{used.rss / MIB:.1f}", f"{used.uss / MIB:.1f}"]

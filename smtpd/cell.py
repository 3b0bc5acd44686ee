"""The cell: processes that read strangers' bytes and can be killed at any instruction.

A thread cannot be stopped, and one C call that keeps the interpreter's lock stops all
of them; so whatever may run long or grow large runs here. The cell bounds time and
memory. It is no wall against code that took the process over.

Each process is a plain child with two pipes, driven by the event loop: no helper
threads, nothing polls, an idle cell costs no CPU, and the death of one child touches
no other: it is replaced at once, before anybody asks for it. A child starts with an
empty environment and is killed by the kernel when this process dies. Neighbours:
smtpd/inmate.py, the inside; smtpd/confinement.py, what it may not do.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pickle
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from smtpd import inmate
from smtpd.errors import Runaway, Temporary

T = TypeVar("T")

START_S = 30.0  # of a child: its imports on a busy machine
STOP_S = 5.0  # for the kernel to take a killed child away
JOBS_PER_PROCESS = 50_000  # then a fresh one, so that no library's leak adds up
ANSWER_MAX_BYTES = 67_108_864
_PIPE_BUFFER_BYTES = 1_048_576


class Cell:
    """Runs functions in killable processes, as many at one time as there are processes.

    The functions are named by module, their arguments and results are copied. `preload`
    names modules that a child imports before its first job.
    """

    def __init__(
        self, processes: int, timeout_s: float, memory_bytes: int, preload: tuple[str, ...] = ()
    ) -> None:
        self._timeout_s = timeout_s
        self._children = [_Child(memory_bytes, preload) for _ in range(processes)]
        self._idle: list[_Child] = []
        self._waiting: deque[asyncio.Future[_Child]] = deque()
        self._renewals: set[asyncio.Task[None]] = set()
        self._stopped = False

    async def start(self) -> None:
        """Start every process; raises what a module of `preload` raised."""
        for child in self._children:
            await child.ready()
            self._hand_on(child)

    @property
    def confinement(self) -> str:
        """ "" where no process may use the network, else one sentence why one still may."""
        return next(filter(None, (child.confinement for child in self._children)), "")

    async def run(
        self,
        function: Callable[..., T],
        *args: object,
        timeout_s: float | None = None,
        wait_s: float | None = None,
    ) -> T:
        """What function(*args) gives or raises, once a process is free for it.

        Raises Runaway when it passes its deadline or the memory limit, or ends its process,
        and Temporary where none is free within `wait_s`.
        """
        most_s = timeout_s or self._timeout_s
        request = pickle.dumps((function, args, most_s), protocol=pickle.HIGHEST_PROTOCOL)
        child = await self._free(wait_s)
        try:
            status, answer = await child.ask(request, most_s)
        finally:
            self._give_back(child)
        # The child runs our code on a stranger's bytes; it does not repeat them as a pickle.
        result = pickle.loads(answer)  # noqa: S301
        if status == inmate.RAISED:
            raise result
        return result  # type: ignore[no-any-return]

    async def stop(self) -> None:
        """End every process; a job that still runs gets Runaway."""
        self._stopped = True
        for child in self._children:
            child.stopped = True
            child.kill()
        await asyncio.gather(*self._renewals, return_exceptions=True)
        for child in self._children:
            await child.end()

    async def _free(self, wait_s: float | None) -> _Child:
        while self._idle:
            child = self._idle.pop()
            if child.runs or self._stopped:
                return child
            self._give_back(child)  # it died while it was idle
        waiting: asyncio.Future[_Child] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        try:
            async with asyncio.timeout(wait_s):
                return await waiting
        except (asyncio.CancelledError, TimeoutError) as error:
            if not waiting.cancelled():  # it came in the very moment
                self._hand_on(waiting.result())
            if isinstance(error, TimeoutError):
                raise Temporary("no process of the cell is free") from None
            raise

    def _give_back(self, child: _Child) -> None:
        """The next caller gets it, with a process that runs: starting one is not his wait."""
        if child.runs or self._stopped:
            self._hand_on(child)
            return
        renewal = asyncio.create_task(self._renew(child), name="a process of the cell starts")
        self._renewals.add(renewal)
        renewal.add_done_callback(self._renewed)

    async def _renew(self, child: _Child) -> None:
        try:
            await child.ready()
        finally:
            self._hand_on(child)

    def _renewed(self, renewal: asyncio.Task[None]) -> None:
        self._renewals.discard(renewal)
        if not renewal.cancelled():
            renewal.exception()  # whoever asks this child next tries again, and is told

    def _hand_on(self, child: _Child) -> None:
        """To whoever has waited longest, so that nobody overtakes."""
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(child)
                return
        self._idle.append(child)


class _Child:
    """One process, and the next one after it ended."""

    def __init__(self, memory_bytes: int, preload: tuple[str, ...]) -> None:
        self._memory_bytes = memory_bytes
        self._preload = preload
        self._process: Process | None = None
        self._killed: Process | None = None
        self._jobs = 0
        self.stopped = False
        self.confinement = "it was not started yet"

    @property
    def runs(self) -> bool:
        """Whether there is a process, as far as we were told."""
        process = self._process
        return bool(process and process.returncode is None and not _stdout(process).at_eof())

    async def ready(self) -> Process:
        """The process, started first where there is none."""
        process = self._process
        return process if process and self.runs else await self._begin()

    async def ask(self, request: bytes, timeout_s: float) -> tuple[bytes, bytes]:
        """One job's status and answer. Unless it ended well, the process is gone after it."""
        process = await self.ready()
        well = False
        try:
            async with asyncio.timeout(timeout_s):
                # It may have died while it was idle, and nobody told us yet.
                if not await _taken(process, request):
                    process = await self._begin()
                    await _taken(process, request)
                status, answer = await _answer(process)
            if status == inmate.NO_MEMORY:
                raise Runaway(f"it needed more than {self._memory_bytes} bytes of memory")
            self._jobs += 1
            well = status == inmate.DONE and self._jobs < JOBS_PER_PROCESS
        except TimeoutError:
            raise Runaway(f"it took longer than {timeout_s:g} seconds") from None
        except (EOFError, ConnectionError):
            raise Runaway("its process ended") from None
        finally:
            if not well:
                self.kill()
        return status, answer

    async def end(self) -> None:
        """Kill the process and wait until the kernel took it away."""
        self.kill()
        process, self._killed = self._killed, None
        if process and process.stdin:
            # A child that the kernel does not take away is left to it; what broke the pipe is
            # known, and the loop would log it unasked. (TimeoutError is an OSError.)
            with contextlib.suppress(OSError):
                async with asyncio.timeout(STOP_S):
                    await process.wait()
                    process.stdin.close()
                    await process.stdin.wait_closed()

    async def _begin(self) -> Process:
        if self.stopped:
            raise Runaway("the cell was stopped")
        await self.end()  # the former gives its memory back first
        self._jobs = 0
        well = False
        try:
            async with asyncio.timeout(START_S):
                process = self._process = await self._spawn()
                if self.stopped:  # meanwhile, when nobody could kill it yet
                    await self.end()
                    raise Runaway("the cell was stopped")
                status, answer = await _answer(process)
            told = pickle.loads(answer)  # noqa: S301 (as in Cell.run)
            if status == inmate.RAISED:
                raise told
            self.confinement = told
            well = True
        except (TimeoutError, EOFError, ConnectionError):
            raise Temporary("a process of the cell did not start") from None
        finally:
            if not well:
                self.kill()
        return process

    async def _spawn(self) -> Process:
        arguments = (str(os.getpid()), str(self._memory_bytes), os.pathsep.join(sys.path))
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-B", "-X", "utf8", str(Path(inmate.__file__))),
            *(*arguments, *self._preload),
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,  # a traceback may hold the mail
            env={},
            limit=_PIPE_BUFFER_BYTES,
        )

    def kill(self) -> None:
        """End the process; whoever waits for its answer gets Runaway."""
        process, self._process = self._process, None
        if process:
            self._killed = process
        if process and process.returncode is None:
            process.kill()


async def _taken(process: Process, request: bytes) -> bool:
    """Whether the process has the request, and begins with it."""
    stdin = process.stdin
    assert stdin is not None  # noqa: S101 (it is a pipe)
    try:
        stdin.write(len(request).to_bytes(inmate.LENGTH_BYTES, "big") + request)
        await stdin.drain()
        return await _stdout(process).readexactly(1) == inmate.TAKEN
    except (EOFError, ConnectionError):
        return False


async def _answer(process: Process) -> tuple[bytes, bytes]:
    stdout = _stdout(process)
    size = int.from_bytes(await stdout.readexactly(inmate.LENGTH_BYTES), "big")
    if not 0 < size <= ANSWER_MAX_BYTES:
        raise Runaway("its answer was larger than any should be")
    answer = await stdout.readexactly(size)
    return answer[:1], answer[1:]


def _stdout(process: Process) -> asyncio.StreamReader:
    assert process.stdout is not None  # noqa: S101 (it is a pipe)
    return process.stdout

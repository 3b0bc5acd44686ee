"""What runs inside the cell: one job after the other, under limits. Neighbour: smtpd/cell.py.

Started by path, with an empty environment; talks through its standard input and output:

                                     once ready:      ▶  status + pickled word about its confinement
    length (8 bytes) + pickled (function, arguments,
                              seconds of processor)   ▶  TAKEN
                                                      ▶  length + status byte + pickled result

After a job that raised, this process ends: nobody knows what the job left half done.
"""

from __future__ import annotations

import ctypes
import importlib
import math
import os
import pickle
import resource
import signal
import sys
from types import TracebackType
from typing import BinaryIO

LENGTH_BYTES = 8
TAKEN = b"+"
DONE, RAISED, NO_MEMORY = b"=", b"!", b"M"  # status bytes

_PR_SET_PDEATHSIG = 1  # prctl(2): the signal this process gets when its parent dies
_NO_MEMORY_ANSWER = (1).to_bytes(LENGTH_BYTES, "big") + NO_MEMORY


def main(parent: str, memory_bytes: str, path: str, *modules: str) -> None:
    """Serve jobs until the parent closes the pipe, or dies, or a job raises."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when we end
    _die_with(int(parent))
    sys.path[:] = path.split(os.pathsep)
    requests, answers = os.fdopen(0, "rb"), os.fdopen(os.dup(1), "wb")
    # Whatever a library prints must not become part of an answer.
    os.dup2(2, 1)

    def tell(_kind: type[BaseException], error: BaseException, _: TracebackType | None) -> None:
        if isinstance(error, MemoryError):
            answers.write(_NO_MEMORY_ANSWER)
            answers.flush()
        else:
            _send(answers, RAISED, error)

    sys.excepthook = tell
    for module in modules:
        importlib.import_module(module)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (int(memory_bytes), int(memory_bytes)))
    # Only now: what is needed of us is loaded, by the modules as well as by the limits.
    from smtpd.confinement import confine

    _send(answers, DONE, confine())
    while head := requests.read(LENGTH_BYTES):
        request = requests.read(int.from_bytes(head, "big"))
        answers.write(TAKEN)
        answers.flush()
        # Our own parent wrote it.
        function, arguments, cpu_s = pickle.loads(request)  # noqa: S301
        _limit_cpu(cpu_s)
        _send(answers, DONE, function(*arguments))


def _die_with(parent: int) -> None:
    # Reading the pipe's end would not be enough: a job in a C loop never reads it.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before we asked to be told
        os._exit(0)


def _limit_cpu(seconds: float) -> None:
    """End a job that goes on for longer, should whoever watches it stand still."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    most = math.ceil(used.ru_utime + used.ru_stime + seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (most, resource.RLIM_INFINITY))


def _send(answers: BinaryIO, status: bytes, value: object) -> None:
    try:
        answer = status + pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
    except (pickle.PicklingError, TypeError, AttributeError, RecursionError):
        told = RuntimeError(f"a {type(value).__name__} cannot leave the cell")
        answer = RAISED + pickle.dumps(told)
    answers.write(len(answer).to_bytes(LENGTH_BYTES, "big"))
    answers.write(answer)
    answers.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])

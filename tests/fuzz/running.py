"""One target, run on many inputs."""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.fuzz.mutating import mutated, smaller
from tests.fuzz.seeds import seeds

# Of the mutated inputs some are kept, to be mutated further.
KEPT = 0.02
CORPUS_MAX = 2000

Target = Callable[[bytes], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What became of one target."""

    name: str
    runs: int
    slowest_s: float
    slowest_bytes: int
    failing: bytes | None = None  # made smaller
    error: str = ""

    def __str__(self) -> str:
        slowest = f"slowest {self.slowest_s * 1000:.1f} ms for {self.slowest_bytes} bytes"
        return f"{self.name}: {self.runs} inputs, {slowest}"


def fuzz(name: str, target: Target, chance: Random, go_on: Callable[[int], bool]) -> Report:
    """Every seed, then mutations while `go_on(inputs so far)`; the first failure ends it."""
    corpus = seeds(name)
    waiting = list(reversed(corpus))
    runs, slowest_s, slowest_bytes = 0, 0.0, 0
    while waiting or go_on(runs):
        data = waiting.pop() if waiting else mutated(corpus, chance)
        began_at = time.perf_counter()
        error = _failure(target, data)
        took_s = time.perf_counter() - began_at
        runs += 1
        if took_s > slowest_s:
            slowest_s, slowest_bytes = took_s, len(data)
        if error is not None:
            data, error = _made_smaller(target, data, error)
            break
        if chance.random() < KEPT:
            _keep(data, corpus, chance)
    return Report(
        name=name,
        runs=runs,
        slowest_s=slowest_s,
        slowest_bytes=slowest_bytes,
        failing=None if error is None else data,
        error="" if error is None else _where(error),
    )


def save(report: Report) -> Path:
    """The failing input in a file of its own."""
    data = report.failing or b""
    digest = hashlib.sha256(data).hexdigest()[:12]
    path = Path(tempfile.gettempdir()) / f"answermx-fuzz-{report.name}-{digest}.bin"
    path.write_bytes(data)
    return path


def _made_smaller(target: Target, data: bytes, error: Exception) -> tuple[bytes, Exception]:
    """An input of the same kind of failure, and that failure."""
    data = smaller(data, lambda other: type(_failure(target, other)) is type(error))
    return data, _failure(target, data) or error


def _failure(target: Target, data: bytes) -> Exception | None:
    try:
        target(data)
    except Exception as error:  # noqa: BLE001 (whatever a reader raises is a finding)
        return error
    return None


def _where(error: Exception) -> str:
    """The exception and its innermost frame."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f" at {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else ""
    return f"{type(error).__name__}: {str(error)[:200]}{place}"


def _keep(data: bytes, corpus: list[bytes], chance: Random) -> None:
    if len(corpus) < CORPUS_MAX:
        corpus.append(data)
    else:
        corpus[chance.randrange(len(corpus))] = data

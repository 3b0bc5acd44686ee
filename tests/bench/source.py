"""smtp-source of Postfix: the same generator for whoever is measured."""

from __future__ import annotations

import time
from dataclasses import dataclass

from tests.bench.processes import cpu_s
from tests.end_to_end.house import ADDRESS
from tests.servers.process import HOST, find_program, run

SENDER = "writer@people.example"
MAIL_BYTES = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """How mail comes."""

    sessions: int
    kept: bool  # connections carry many mails, or one each
    mails: int

    def __str__(self) -> str:
        how = "kept" if self.kept else "one mail each"
        return f"{self.sessions:>3} sessions, {how}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What taking a load cost."""

    per_s: float  # mails
    cpu_ms: float  # a mail, of the measured process and its children


def send(port: int, load: Load) -> None:
    """Send the load, and return when every mail got 250. Raises ServerTrouble otherwise."""
    run(
        [
            find_program("smtp-source"),
            *(["-d"] if load.kept else []),
            *("-s", str(load.sessions), "-m", str(load.mails), "-l", str(MAIL_BYTES)),
            *("-f", SENDER, "-t", ADDRESS, f"{HOST}:{port}"),
        ],
        timeout_s=300,
    )


def measure(pid: int, port: int, load: Load) -> Taken:
    """Send the load to the process that listens there."""
    cpu_before, began_at = cpu_s(pid), time.monotonic()
    send(port, load)
    seconds = time.monotonic() - began_at
    return Taken(per_s=load.mails / seconds, cpu_ms=1000 * (cpu_s(pid) - cpu_before) / load.mails)

"""What proving an author costs: accepts with all checks on and off, and each check's CPU.

Signed mails of 4 kB from a domain with SPF, a 2048-bit DKIM key and DMARC, its DNS answers
in the house's cache. The mails are for postmaster@: checked and kept, and no worker takes part.
"""

from __future__ import annotations

import json
import pickle
import sys
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory

from tests.bench.houses import POSTGRESQL, SQLITE, Neighbours, build
from tests.bench.processes import cpu_s
from tests.bench.signed import DOMAIN, Writer
from tests.bench.table import table
from tests.end_to_end.house import ROOT, House
from tests.servers.knot import KnotServer
from tests.servers.process import find_program, run

LOADS = ((1, 200), (20, 1500), (200, 2000))  # sessions, mails


class UncheckedHouse(House):
    """A house that asks nobody and computes nothing about a mail."""

    def command(self) -> list[str]:
        _python, _program, verb = super().command()
        path = f"PYTHONPATH={ROOT}"
        return [find_program("env"), path, sys.executable, "-m", "tests.bench.unchecked", verb]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One load, taken by one house."""

    per_s: float
    cpu_ms: float
    p99_ms: float  # from end of DATA to 250


def run_checked(neighbours: Neighbours, rounds: int) -> str:
    """The table of accepts."""
    found: dict[tuple[int, str], list[Measured]] = defaultdict(list)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        writer = Writer(folder)
        dns = stack.enter_context(KnotServer({DOMAIN: writer.zone(), "example": ""}))
        houses = _houses(neighbours, stack, dns.address)
        for house in houses.values():
            _measure(house, 20, writer.write(200), folder)  # warms the caches
        for _ in range(rounds):
            for sessions, count in LOADS:
                for name, house in houses.items():
                    measured = _measure(house, sessions, writer.write(count), folder)
                    found[sessions, name].append(measured)
    head = ["sessions, kept"]
    for name in houses:
        head += [name, "CPU ms", "p99 ms"]
    return table(
        f"Signed mails of 4 kB checked and kept: a second, CPU a mail; medians of {rounds}",
        head,
        [_row(sessions, list(houses), found) for sessions, _ in LOADS],
    )


def _houses(neighbours: Neighbours, stack: ExitStack, dns_address: str) -> dict[str, House]:
    houses: dict[str, House] = {}
    for database in (SQLITE, POSTGRESQL):
        for kind, made in ((f"{database} on", House), (f"{database} off", UncheckedHouse)):
            settings = build(
                neighbours,
                database,
                testing_answer_unproven="false",
                dns_servers=dns_address,
                trusted_networks="127.0.0.0/8",
                connections_per_ip=1000,
                connections_per_prefix=1000,
            ).settings
            houses[kind] = stack.enter_context(made(settings))
    return houses


def _measure(house: House, sessions: int, mails: list[bytes], folder: Path) -> Measured:
    count = len(mails)
    file = folder / "mails"
    file.write_bytes(pickle.dumps(mails))
    cpu_before = cpu_s(house.pid)
    said = run(
        [
            *(find_program("env"), f"PYTHONPATH={ROOT}", sys.executable),
            *("-m", "tests.bench.signed", str(house.port), str(sessions), str(file)),
        ],
        timeout_s=300,
    )
    seconds, took_s = json.loads(said)
    return Measured(
        per_s=count / seconds,
        cpu_ms=1000 * (cpu_s(house.pid) - cpu_before) / count,
        p99_ms=1000 * quantiles(took_s, n=100)[98],
    )


def _row(
    sessions: int, names: list[str], found: dict[tuple[int, str], list[Measured]]
) -> list[str]:
    row = [f"{sessions:>3}"]
    for name in names:
        measured = found[sessions, name]
        row += [
            f"{median(one.per_s for one in measured):.0f}",
            f"{median(one.cpu_ms for one in measured):.2f}",
            f"{median(one.p99_ms for one in measured):.0f}",
        ]
    return row

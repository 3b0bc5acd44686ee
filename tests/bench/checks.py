"""The CPU of each check alone, on a signed mail of 4 kB whose DNS answers are known."""

from __future__ import annotations

import statistics
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import uvloop

from config.checks_settings import ChecksSettings
from smtpd.cell import Cell
from smtpd.checks import spf
from smtpd.checks.content import read_content
from smtpd.checks.dkim import DkimCaps, questions
from smtpd.checks.dmarc import check_dmarc
from smtpd.checks.marks import built_in, content_marks
from smtpd.checks.spam import SpamScanner
from smtpd.checks.spf_evaluator import SpfCaps
from smtpd.checks.verifier import PRELOAD, CellVerifier
from smtpd.checks.virus import VirusScanner
from smtpd.evidence import Evidence
from smtpd.headers import scan
from smtpd.mail import Arrival, Peer
from smtpd.resolver import Resolver
from smtpd.trace import traced
from tests.bench.signed import DOMAIN, FILED, SENDER, Writer
from tests.bench.table import table
from tests.servers.knot import KnotServer

TIMES = 400
MEMORY = 536_870_912


def run() -> str:
    """The table: milliseconds of our processor, and of the cell's."""
    with TemporaryDirectory() as folder:
        writer = Writer(Path(folder))
        (raw,) = writer.write(1)
        with KnotServer({DOMAIN: writer.zone(), "example": ""}) as dns:
            rows = uvloop.run(_rows(raw, ChecksSettings(dns_servers=(dns.address,))))
    return table(
        f"Each check of a signed mail of 4 kB, DNS known: CPU ms, medians of 5 times {TIMES}",
        ["check", "here", "in the cell", "both", "budget 1.5 ms"],
        rows,
    )


async def _rows(raw: bytes, settings: ChecksSettings) -> list[list[str]]:
    cell = Cell(1, 20, MEMORY, preload=PRELOAD)
    await cell.start()
    resolver = Resolver(settings)
    verifier = CellVerifier(
        settings=settings,
        cell=cell,
        names=resolver,
        virus=VirusScanner(settings),
        spam=SpamScanner(settings),
    )
    arrival = _arrival(raw)
    found = await verifier.examine(arrival)
    if found.proven_by != "both":
        raise RuntimeError(f"the mail is not proven: {found}")
    caps, spf_caps = DkimCaps.of(settings), SpfCaps.of(settings)
    answers = {one: await resolver.lookup(one) for one in questions(arrival.headers, caps)}
    marks = content_marks(raw)

    async def spf_alone() -> object:
        return await spf.check(
            "127.0.0.1", SENDER, f"mx.{DOMAIN}", run=cell.run, lookup=resolver.lookup, caps=spf_caps
        )

    async def trace() -> object:
        return traced(arrival, found, "mx.us.example")

    parts: dict[str, Callable[[], Awaitable[object]]] = {
        "all of them, and their evidence": lambda: verifier.examine(arrival),
        "SPF of MAIL FROM and HELO": spf_alone,
        "DKIM and marks of spam": lambda: cell.run(read_content, raw, answers, caps, time.time()),
        "DMARC": lambda: check_dmarc(DOMAIN, found.spf, found.dkim, resolver.lookup),
        "trace fields": trace,
    }
    rows = [await _row(name, work) for name, work in parts.items()]
    rows.append(_score_row(lambda: built_in(marks, arrival, Evidence())))
    await cell.stop()
    await resolver.close()
    return rows


def _arrival(raw: bytes) -> Arrival:
    return Arrival(
        id="01jbench",
        peer=Peer(ip="127.0.0.1", helo=f"mx.{DOMAIN}", tls=""),
        mail_from=SENDER,
        rcpt_to=(FILED,),
        raw=raw,
        headers=scan(raw),
        received_at=datetime.now(UTC),
    )


async def _row(name: str, work: Callable[[], Awaitable[object]]) -> list[str]:
    here, inside = [], []
    for _ in range(5):
        before, cell_before = time.process_time(), _children_s()
        for _ in range(TIMES):
            await work()
        here.append((time.process_time() - before) / TIMES * 1000)
        inside.append((_children_s() - cell_before) / TIMES * 1000)
    own, cells = statistics.median(here), statistics.median(inside)
    kept = "kept" if own + cells <= 1.5 else "missed"
    return [name, f"{own:.3f}", f"{cells:.3f}", f"{own + cells:.3f}", kept]


def _score_row(work: Callable[[], object]) -> list[str]:
    began = time.process_time()
    for _ in range(TIMES):
        work()
    own = (time.process_time() - began) / TIMES * 1000
    return ["light score of known marks", f"{own:.3f}", "", f"{own:.3f}", "kept"]


def _children_s() -> float:
    times = [child.cpu_times() for child in psutil.Process().children()]
    return float(sum(one.user + one.system for one in times))

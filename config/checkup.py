"""`server.py check`: is what the front door stands on there? Tells, and names the cure.

Starts nothing and takes no mail. A scanner that is not configured is told as such, and is no
fault.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table
from rich.text import Text

from config.settings import Settings
from smtpd.cell import Cell
from smtpd.checks.spam import SpamScanner
from smtpd.checks.verifier import PRELOAD
from smtpd.checks.virus import VirusScanner
from smtpd.errors import Trouble
from smtpd.neighbourhood import default_gateways
from smtpd.questions import Kind, Question
from smtpd.resolver import Resolver
from smtpd.tls import Certificates

ITEM_S = 15.0  # for each item, whatever its neighbour does
CERTIFICATE_DAYS = 14


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One thing that was looked at."""

    name: str
    well: bool
    told: str
    cure: str = ""  # "" where all is well


def main(settings: Settings, as_json: bool) -> int:
    """Print what was found; 0 where all is well, else 1."""
    items = asyncio.run(_all(settings))
    if as_json:
        told = json.dumps([asdict(item) for item in items], indent=2, ensure_ascii=False)
        sys.stdout.write(told + "\n")
    else:
        Console().print(_picture(items))
    return 0 if all(item.well for item in items) else 1


async def _all(settings: Settings) -> list[Item]:
    return [await _within(name, look, settings) for name, look in _LOOKS.items()]


async def _within(name: str, look: Look, settings: Settings) -> Item:
    try:
        async with asyncio.timeout(ITEM_S):
            told, cure = await look(settings)
    except TimeoutError:
        told, cure = f"no answer within {ITEM_S:g} seconds", "see why it is so slow"
    except (Trouble, OSError, ImportError) as error:
        told, cure = str(error), "see what stands in its way"
    return Item(name=name, well=not cure, told=told, cure=cure)


async def _cell(settings: Settings) -> tuple[str, str]:
    worker = settings.worker
    cell = Cell(1, worker.cell_timeout, worker.cell_memory_bytes, preload=PRELOAD)
    try:
        await cell.start()
    finally:
        await cell.stop()
    if cell.confinement:
        return cell.confinement, "let this process use seccomp, or know that it is not confined"
    return "processes that read strangers' bytes have no network", ""


async def _dns(settings: Settings) -> tuple[str, str]:
    resolver = Resolver(settings.checks)
    domain = settings.house.email_domain
    try:
        answer = await resolver.lookup(Question(domain, Kind.MX))
    finally:
        await resolver.close()
    servers = ", ".join(settings.checks.dns_servers) or "the system's nameservers"
    if answer.unanswered:
        cure = "set DNS_SERVERS to a resolver that answers: without one nobody can be proven"
        return f"{servers}: no answer about {domain}", cure
    if not answer.records:
        return f"{servers}: {domain} has no MX", "publish its MX: nobody can write to it else"
    return f"{servers}: {domain} has an MX", ""


async def _clamd(settings: Settings) -> tuple[str, str]:
    if not settings.checks.clamd_host:
        return "not configured: no mail is scanned for viruses", ""
    if await VirusScanner(settings.checks).answers():
        return "answers", ""
    return "gives no answer: all mail is deferred", "start clamd, or correct CLAMD_HOST"


async def _spamd(settings: Settings) -> tuple[str, str]:
    if not settings.checks.spamd_host:
        return "not configured: the light score of our own is used", ""
    if await SpamScanner(settings.checks).answers():
        return "answers", ""
    return "gives no answer: the light score stands in", "start spamd, or correct SPAMD_HOST"


async def _certificate(settings: Settings) -> tuple[str, str]:
    door = settings.door
    if not door.tls_cert_file:
        return "none: mail arrives in plain text", "set TLS_CERT_FILE and TLS_KEY_FILE"
    pairs = tuple(zip(door.tls_cert_file, door.tls_key_file, strict=True))
    days = (Certificates(pairs).not_after() - datetime.now(UTC)).days
    told = f"{len(pairs)} in use, the first to expire in {days} days"
    return told, "" if days >= CERTIFICATE_DAYS else "renew it; the new file is taken by itself"


async def _disk(settings: Settings) -> tuple[str, str]:
    folder = settings.store.email_data_dir
    whole = folder.absolute()
    there = next(one for one in (whole, *whole.parents) if one.exists())
    free = shutil.disk_usage(there).free
    least = settings.door.disk_free_min_bytes
    told = f"{free // 1_048_576} MiB free for EMAIL_DATA_DIR"
    return told, "" if free >= least else "make room: below DISK_FREE_MIN_BYTES no mail is taken"


async def _addresses(settings: Settings) -> tuple[str, str]:
    trusted = ", ".join(settings.door.trusted_networks) or "no private network"
    gateways = ", ".join(sorted(default_gateways())) or "none known"
    return f"trusted: {trusted}; never taken for a client's: the gateway ({gateways})", ""


async def _operator(settings: Settings) -> tuple[str, str]:
    # No fault, as with the scanners: the log tells the same to who reads it.
    if settings.operator.operator_address:
        return "is told what needs a person", ""
    told = "not configured (OPERATOR_ADDRESS): nobody is told of held and failed mail"
    if settings.reply.person_address:
        return told, ""
    domain = settings.house.email_domain
    return f"{told}, nor sent what comes to postmaster@{domain}, which every reply names", ""


Look = Callable[[Settings], Awaitable[tuple[str, str]]]

_LOOKS: dict[str, Look] = {
    "cell": _cell,
    "DNS": _dns,
    "clamd": _clamd,
    "spamd": _spamd,
    "certificate": _certificate,
    "disk": _disk,
    "client addresses": _addresses,
    "operator": _operator,
}


def _picture(items: list[Item]) -> Table:
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for item in items:
        mark = Text("ok", style="green") if item.well else Text("NOT OK", style="red")
        table.add_row(mark, item.name, Text(item.told + (f"\n{item.cure}" if item.cure else "")))
    return table

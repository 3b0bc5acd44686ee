"""Resident memory: idle, after much mail, and under more than its budget allows."""

from __future__ import annotations

import asyncio

from tests.bench import source
from tests.bench.houses import SQLITE, Neighbours, build
from tests.bench.processes import MIB, forget_peak, peak_mib, resident_mib
from tests.bench.source import SENDER, Load
from tests.bench.table import table
from tests.end_to_end.house import ADDRESS, House
from tests.servers.process import HOST

MANY = 10_000
SESSIONS = 200
_BLOCK = b"A line of a very long letter, seventy-six octets of it with its line end..\r\n" * 1000
_REPLY_TIMEOUT_S = 120.0


def run(neighbours: Neighbours, *, large_mib: int = 25) -> str:
    """The table; the large mails come from 200 sessions at once."""
    with build(
        neighbours, SQLITE, testing_answer_unproven="false", unproven_sender="hold"
    ) as house:
        rows = [["idle", f"{resident_mib(house.pid):.0f}", ""]]
        source.send(house.port, Load(sessions=20, kept=True, mails=MANY))
        rows.append([f"after {MANY} mails", f"{resident_mib(house.pid):.0f}", ""])
        forget_peak(house.pid)
        taken = asyncio.run(_flood(house, large_mib))
        peak = peak_mib(house.pid)
        what = f"{SESSIONS} sessions send {large_mib} MiB ({taken} taken, the rest 452)"
        rows.append([what, f"{resident_mib(house.pid):.0f}", f"{peak:.0f}"])
    return table(
        "Memory in MiB; budget of unfinished mail 256 MiB; the cell's process included",
        ["SQLite, mail held", "now", "peak of the listener"],
        rows,
    )


async def _flood(house: House, large_mib: int) -> int:
    """All sessions at once; how many mails were taken."""
    blocks = large_mib * MIB // len(_BLOCK) - 1
    return sum(
        await asyncio.gather(*(_send_large(house.port, blocks, one) for one in range(SESSIONS)))
    )


async def _send_large(port: int, blocks: int, number: int) -> bool:
    async with asyncio.timeout(_REPLY_TIMEOUT_S):
        reader, writer = await asyncio.open_connection(HOST, port)
        await reader.readline()
        for command in ("HELO bench.example", f"MAIL FROM:<{SENDER}>", f"RCPT TO:<{ADDRESS}>"):
            writer.write(f"{command}\r\n".encode())
            await reader.readline()
        writer.write(b"DATA\r\n")
        await reader.readline()
        head = f"From: {SENDER}\r\nTo: {ADDRESS}\r\nMessage-ID: <large-{number}@people.example>"
        writer.write(f"{head}\r\nSubject: a large mail\r\n\r\n".encode())
        for _ in range(blocks):
            writer.write(_BLOCK)
            await writer.drain()
        writer.write(b".\r\n")
        said = await reader.readline()
        writer.close()
    return said.startswith(b"250")

"""Signed mails of one domain, with what it publishes, and a program that sends them.

`python -m tests.bench.signed PORT SESSIONS FILE` sends the mails of FILE over so many kept
connections and prints, as JSON, the seconds it took in all, and from end of DATA to 250 of
each mail. A process of its own, so that its work is not the measured one's.
"""

from __future__ import annotations

import asyncio
import json
import pickle
import sys
import time
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

import uvloop

from handlers.signing import Signer, load_key, public_record
from tests.keys import new_key_file
from tests.servers.process import HOST

DOMAIN = "people.example"
SENDER = f"writer@{DOMAIN}"
FILED = "postmaster@us.example"
MAIL_BYTES = 4096
_LINE = "A line of an ordinary letter, seventy-six octets of it with its line end...\r\n"


class Writer:
    """Writes mails of 4 kB, each with a Message-ID and a signature of its own."""

    def __init__(self, folder: Path) -> None:
        key = load_key(new_key_file(folder / "people.pem"))
        self._signer = Signer(DOMAIN, "s1", key)
        self._record = public_record(key)
        self._serial = 0

    def zone(self) -> str:
        """What the domain publishes: SPF with two includes, the key, a DMARC policy."""
        return "\n".join(
            (
                "@ 3600 MX 10 mx",
                "mx 3600 A 127.0.0.1",
                f'@ 3600 TXT "v=spf1 include:_spf1.{DOMAIN} include:_spf2.{DOMAIN} -all"',
                '_spf1 3600 TXT "v=spf1 ip4:192.0.2.0/24 ip4:198.51.100.0/24 ~all"',
                '_spf2 3600 TXT "v=spf1 ip4:203.0.113.0/24 ip4:127.0.0.0/8 ~all"',
                f"s1._domainkey 3600 TXT {self._record}",
                '_dmarc 3600 TXT "v=DMARC1; p=reject"',
                "",
            )
        )

    def write(self, count: int) -> list[bytes]:
        """So many mails, as they go behind DATA."""
        return [self._one() for _ in range(count)]

    def _one(self) -> bytes:
        self._serial += 1
        head = (
            f"From: Writer <{SENDER}>\r\nTo: {FILED}\r\nSubject: a letter\r\n"
            f"Date: {format_datetime(datetime.now(UTC))}\r\n"
            f"Message-ID: <{self._serial}.{time.time_ns()}@{DOMAIN}>\r\nMIME-Version: 1.0\r\n"
            "Content-Type: text/plain; charset=us-ascii\r\n\r\n"
        )
        lines = (MAIL_BYTES - len(head)) // len(_LINE)
        return self._signer.sign((head + lines * _LINE).encode("ascii"), datetime.now(UTC))


async def _session(port: int, mails: list[bytes], took_s: list[float]) -> None:
    reader, writer = await asyncio.open_connection(HOST, port)
    await reader.readline()
    writer.write(f"HELO mx.{DOMAIN}\r\n".encode())
    await reader.readline()
    while mails:
        raw = mails.pop()
        writer.write(f"MAIL FROM:<{SENDER}>\r\nRCPT TO:<{FILED}>\r\nDATA\r\n".encode())
        for _ in range(3):
            await reader.readline()
        began_at = time.monotonic()
        writer.write(raw + b".\r\n")
        said = await reader.readline()
        if not said.startswith(b"250"):
            raise RuntimeError(said.decode("ascii", "replace"))
        took_s.append(time.monotonic() - began_at)
    writer.close()


async def _send(port: int, sessions: int, mails: list[bytes]) -> list[float]:
    took_s: list[float] = []
    async with asyncio.TaskGroup() as tasks:
        for _ in range(sessions):
            tasks.create_task(_session(port, mails, took_s), name="session")
    return took_s


if __name__ == "__main__":
    mails = pickle.loads(Path(sys.argv[3]).read_bytes())  # noqa: S301 (our own file)
    began_at = time.monotonic()
    took_s = uvloop.run(_send(int(sys.argv[1]), int(sys.argv[2]), mails))
    sys.stdout.write(json.dumps([time.monotonic() - began_at, took_s]))

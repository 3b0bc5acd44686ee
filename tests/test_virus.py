"""Viruses: what a real clamd finds, and what becomes of a mail that it cannot scan."""

from __future__ import annotations

import asyncio
import io
import struct
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.message import EmailMessage
from socket import SO_LINGER, SOL_SOCKET

import pytest

from config.checks_settings import ChecksSettings
from smtpd.checks.virus import VirusScanner
from smtpd.evidence import Scan, VirusFinding
from tests.deaf import connections_to, deaf
from tests.saying import saying
from tests.servers.clamd import EICAR, ClamServer
from tests.servers.process import HOST, free_port

END = b"\0\0\0\0"  # of what is to be scanned
LARGE_BYTES = 20_000_000  # no kernel takes that much from us


def scanner(port: int, timeout_s: float = 10) -> VirusScanner:
    return VirusScanner(ChecksSettings(clamd_host=HOST, clamd_port=port, clamd_timeout=timeout_s))


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("harmless.txt", EICAR)
    return file.getvalue()


def letter(attached: bytes = b"", name: str = "file.bin") -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "ada@example.org", "ai@us.example", "A file"
    mail.set_content("Please look at it.")
    if attached:
        mail.add_attachment(attached, maintype="application", subtype="zip", filename=name)
    return mail


def nested() -> bytes:
    outer = letter()
    outer.add_attachment(letter(zipped(), "archive.zip"))
    return outer.as_bytes()


MAILS = {
    "plain": EICAR,
    "in a zip": letter(zipped(), "archive.zip").as_bytes(),
    "in a nested mail": nested(),
}


@pytest.mark.parametrize("how", MAILS)
async def test_a_virus_is_found_wherever_it_hides(how: str, clamd: ClamServer) -> None:
    found = await scanner(clamd.port).scan(MAILS[how])
    assert found.scan is Scan.FOUND
    assert found.name.startswith("Eicar-Test-")


async def test_a_clean_mail_is_clean(clamd: ClamServer) -> None:
    assert await scanner(clamd.port).scan(letter().as_bytes()) == VirusFinding(scan=Scan.CLEAN)
    assert await scanner(clamd.port).scan(b"x" * 1_900_000) == VirusFinding(scan=Scan.CLEAN)


@pytest.mark.parametrize("size", [2_100_000, 25_000_000])
async def test_what_is_too_large_for_the_scanner_is_told_from_its_absence(
    size: int, clamd: ClamServer
) -> None:
    assert (await scanner(clamd.port).scan(b"x" * size)).scan is Scan.TOO_LARGE


async def test_without_a_scanner_nothing_is_scanned() -> None:
    assert await VirusScanner(ChecksSettings()).scan(EICAR) == VirusFinding()


async def test_a_scanner_that_is_gone_or_frozen_is_away(clamd: ClamServer) -> None:
    clamd.pause()
    assert (await scanner(clamd.port, timeout_s=0.5).scan(EICAR)).scan is Scan.AWAY
    clamd.resume()
    assert await scanner(clamd.port).answers()
    clamd.stop()
    assert (await scanner(clamd.port).scan(EICAR)).scan is Scan.AWAY
    assert not await scanner(clamd.port).answers()
    clamd.start()
    assert (await scanner(clamd.port).scan(EICAR)).scan is Scan.FOUND


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"stream: OK\n", Scan.CLEAN),
        (b"stream: Win.Test-1 FOUND\n", Scan.FOUND),
        (b"stream: Access denied. ERROR\n", Scan.AWAY),
        (b"INSTREAM size limit exceeded. ERROR\n", Scan.TOO_LARGE),
        (b"", Scan.AWAY),
        (b"\xff\xfe\n", Scan.AWAY),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", Scan.AWAY),
        (b"x" * 200_000, Scan.AWAY),
        (b"stream: " + b"x: " * 10_000 + b"FOUND\n", Scan.AWAY),
    ],
)
async def test_nothing_but_a_clear_word_counts(answer: bytes, expected: Scan) -> None:
    async with saying(answer, after=END) as port:
        assert (await scanner(port).scan(b"mail")).scan is expected


@pytest.mark.parametrize(
    ("size", "up", "expected"),
    [(2_000_000, True, Scan.TOO_LARGE), (2_000_000, False, Scan.AWAY), (4_000, True, Scan.AWAY)],
)
async def test_a_connection_that_breaks_means_too_large_only_where_that_can_be(
    size: int, up: bool, expected: Scan
) -> None:
    async with breaking(up=up) as port:
        assert (await scanner(port).scan(b"x" * size)).scan is expected


@asynccontextmanager
async def breaking(*, up: bool) -> AsyncIterator[int]:
    """A scanner that hears a mail out, and resets the connection; `up` is its word to a PING."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if b"PING" in await reader.readline():
            writer.write(b"PONG\n" if up else b"")
            writer.close()
            return
        while size := int.from_bytes(await reader.readexactly(len(END))):
            await reader.readexactly(size)
        # Closed with this, a socket resets its connection.
        writer.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    port = free_port()
    async with await asyncio.start_server(serve, HOST, port):
        yield port


async def test_a_virus_s_name_is_one_short_line() -> None:
    async with saying(
        b"stream: " + b"\x1b[31mN\xc3\xbc" + b"x" * 500 + b" FOUND\n", after=END
    ) as port:
        found = await scanner(port).scan(b"mail")
    assert found.scan is Scan.FOUND
    assert found.name.isascii()
    assert found.name.isprintable()
    assert len(found.name) <= 100


async def test_a_scanner_that_does_not_read_is_let_go_of_in_time() -> None:
    with deaf() as port:
        async with asyncio.timeout(15):
            assert (await scanner(port, timeout_s=0.5).scan(b"x" * LARGE_BYTES)).scan is Scan.AWAY
        await asyncio.sleep(0)  # a transport ends in the loop's next round
        assert not connections_to(port)

"""Certificates that are renewed while the front door is open, with real handshakes."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import structlog
import trustme
from cryptography import x509
from structlog.typing import EventDict

from smtpd.tls import Certificates
from tests.handshakes import MX, Clock, anyone, on_disk, pair, replace, shown
from tests.servers.process import HOST
from tests.servers.tls import TlsFiles, make_tls_files


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def events() -> Iterator[list[EventDict]]:
    with structlog.testing.capture_logs() as captured:
        yield captured


def test_nothing_is_read_while_nothing_changes(mx: TlsFiles, clock: Clock) -> None:
    certificates = Certificates([pair(mx)], clock=clock)
    first = certificates.context()
    clock.pass_by()
    assert certificates.context() is first


def test_a_renewed_certificate_is_shown_from_the_next_look_on(
    mx: TlsFiles, tmp_path: Path, authority: trustme.CA, clock: Clock
) -> None:
    certificates = Certificates([pair(mx)], clock=clock)
    for folder in ("first", "second"):
        old = on_disk(mx)
        replace(mx, make_tls_files(tmp_path / folder, names=MX, authority=authority))
        assert shown(certificates, mx) == old  # not looked at yet: at most once a second
        clock.pass_by()
        assert shown(certificates, mx) == on_disk(mx) != old


@pytest.mark.parametrize("turned", ["the links", "a folder they lead through"])
def test_a_link_that_is_turned_counts_as_a_change(
    mx: TlsFiles, tmp_path: Path, authority: trustme.CA, clock: Clock, turned: str
) -> None:
    new = make_tls_files(tmp_path / "new", names=MX, authority=authority)
    folder, live = tmp_path / "folder", (tmp_path / "cert.pem", tmp_path / "key.pem")
    folder.symlink_to(mx.cert_file.parent)
    for link in live:
        link.symlink_to(folder / link.name)
    certificates = Certificates([live], clock=clock)
    for link in live if turned == "the links" else [folder]:
        link.unlink()
        link.symlink_to(new.cert_file.parent / (link.name if link in live else ""))
    clock.pass_by()
    assert shown(certificates, mx) == on_disk(new)


def test_files_of_the_same_size_and_time_count_as_a_change(
    mx: TlsFiles, tmp_path: Path, authority: trustme.CA, clock: Clock
) -> None:
    new = make_tls_files(tmp_path / "new", names=MX, authority=authority)
    for file in (*pair(mx), *pair(new)):
        file.write_bytes(file.read_bytes().ljust(4096, b"\n"))
    times = {file: file.stat().st_mtime_ns for file in pair(mx)}
    certificates = Certificates([pair(mx)], clock=clock)
    for (file, mtime), source in zip(times.items(), pair(new), strict=True):
        file.write_bytes(source.read_bytes())
        os.utime(file, ns=(mtime, mtime))
    clock.pass_by()
    assert shown(certificates, mx) == on_disk(new)


def test_while_only_one_file_is_new_the_old_certificate_stays(
    mx: TlsFiles, tmp_path: Path, authority: trustme.CA, clock: Clock, events: list[EventDict]
) -> None:
    certificates = Certificates([pair(mx)], clock=clock)
    old, new = on_disk(mx), make_tls_files(tmp_path / "new", names=MX, authority=authority)
    new.cert_file.rename(mx.cert_file)
    for _ in range(3):
        clock.pass_by()
        assert shown(certificates, mx) == old
    assert [(one["event"], one["file"]) for one in events] == [("certificate", str(mx.cert_file))]
    new.key_file.rename(mx.key_file)
    clock.pass_by()
    assert shown(certificates, mx) == on_disk(mx) != old


@pytest.mark.parametrize("kept_bytes", [0, 100, 500])
def test_a_half_written_file_leaves_the_old_certificate_and_is_tried_again(
    mx: TlsFiles,
    tmp_path: Path,
    authority: trustme.CA,
    clock: Clock,
    events: list[EventDict],
    kept_bytes: int,
) -> None:
    certificates = Certificates([pair(mx)], clock=clock)
    old, new = on_disk(mx), make_tls_files(tmp_path / "new", names=MX, authority=authority)
    whole = new.cert_file.read_bytes()
    new.key_file.rename(mx.key_file)
    mx.cert_file.write_bytes(whole[:kept_bytes])
    clock.pass_by()
    assert shown(certificates, mx) == old
    assert len(events) == 1
    mx.cert_file.write_bytes(whole)
    clock.pass_by()
    assert shown(certificates, mx) == on_disk(mx) != old


def test_files_that_vanish_leave_the_old_certificate_until_they_are_back(
    mx: TlsFiles, tmp_path: Path, clock: Clock, events: list[EventDict]
) -> None:
    certificates = Certificates([pair(mx)], clock=clock)
    old = on_disk(mx)
    mx.cert_file.rename(tmp_path / "away.pem")
    for _ in range(2):
        clock.pass_by()
        assert shown(certificates, mx) == old
    assert [one["because"] for one in events] == ["No such file or directory"]
    (tmp_path / "away.pem").rename(mx.cert_file)
    clock.pass_by()
    assert shown(certificates, mx) == old
    assert len(events) == 1


async def test_a_session_under_way_keeps_the_certificate_it_began_with(
    mx: TlsFiles, tmp_path: Path, authority: trustme.CA, clock: Clock
) -> None:
    certificates = Certificates([pair(mx)], clock=clock)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """STARTTLS at once, then every line comes back."""
        writer.write(b"220 go ahead\r\n")
        await writer.start_tls(certificates.context())
        while line := await reader.readline():
            writer.write(line)
        writer.close()

    async def greet() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        await reader.readline()
        await writer.start_tls(anyone(mx), server_hostname="mx.us.example")
        return reader, writer

    def seen(writer: asyncio.StreamWriter) -> x509.Certificate:
        connection: ssl.SSLObject = writer.get_extra_info("ssl_object")
        return x509.load_der_x509_certificate(connection.getpeercert(binary_form=True) or b"")

    async with asyncio.timeout(30), await asyncio.start_server(answer, HOST) as server:
        reader, writer = await greet()
        replace(mx, make_tls_files(tmp_path / "new", names=MX, authority=authority))
        clock.pass_by()
        _, later = await greet()
        writer.write(b"still here\n")
        assert await reader.readline() == b"still here\n"
        assert seen(later) == on_disk(mx) != seen(writer)
        for end in (writer, later):
            end.close()
            await end.wait_closed()


def test_the_soonest_expiry_counts_and_a_renewal_moves_it(
    mx: TlsFiles, tmp_path: Path, authority: trustme.CA, clock: Clock
) -> None:
    soon, later = (datetime(2099, month, 1, tzinfo=UTC) for month in (1, 6))
    first = make_tls_files(tmp_path / "a", authority=authority, expires=later)
    second = make_tls_files(tmp_path / "b", authority=authority, expires=soon)
    certificates = Certificates([pair(first), pair(second)], clock=clock)
    assert certificates.not_after() == soon
    replace(second, make_tls_files(tmp_path / "new", authority=authority, expires=later))
    clock.pass_by()
    assert certificates.not_after() == later


@pytest.mark.parametrize("changed", [0, 1, 2])
def test_each_of_several_is_read_again(
    tmp_path: Path, authority: trustme.CA, clock: Clock, changed: int
) -> None:
    held = ("one.example", "two.example", "three.example")
    three = [make_tls_files(tmp_path / one, names=(one,), authority=authority) for one in held]
    certificates = Certificates([pair(files) for files in three], clock=clock)
    new = make_tls_files(tmp_path / "new", names=("new.example",), authority=authority)
    replace(three[changed], new)
    clock.pass_by()
    # A name that nobody holds any more is a stranger's.
    expected = {**dict.fromkeys((*held, "new.example"), 0), "new.example": changed}
    expected |= {name: number for number, name in enumerate(held) if number != changed}
    assert expected == {
        name: [on_disk(files) for files in three].index(shown(certificates, three[0], name))
        for name in expected
    }

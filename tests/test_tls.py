"""The certificate at the front door, with real handshakes."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from smtpd.tls import server_context
from tests.servers.tls import TlsFiles, make_tls_files


def shake_hands(server: ssl.SSLContext, client: ssl.SSLContext) -> ssl.SSLObject:
    """A handshake in memory; the client's side of it. Raises ssl.SSLError."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        client.wrap_bio(to_client, to_server, server_hostname="localhost"),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    undone = list(sides)
    while undone:
        for side in list(undone):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            undone.remove(side)
    return sides[0]


def test_a_client_that_checks_certificates_is_content(tls_files: TlsFiles) -> None:
    server = server_context(tls_files.cert_file, tls_files.key_file)
    assert shake_hands(server, tls_files.client_context()).version() == "TLSv1.3"


def test_tls_1_2_is_spoken_with_forward_secrecy(tls_files: TlsFiles) -> None:
    server = server_context(tls_files.cert_file, tls_files.key_file)
    client = tls_files.client_context()
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    connection = shake_hands(server, client)
    cipher = connection.cipher()
    assert connection.version() == "TLSv1.2"
    assert cipher is not None
    assert cipher[0].startswith("ECDHE-")


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")  # naming the old version is the test
def test_tls_1_1_is_not_spoken(tls_files: TlsFiles) -> None:
    server = server_context(tls_files.cert_file, tls_files.key_file)
    client = tls_files.client_context()
    client.set_ciphers("ALL:@SECLEVEL=0")
    client.minimum_version = client.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError):
        shake_hands(server, client)


def test_a_file_that_is_not_there_is_an_os_error(tls_files: TlsFiles, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        server_context(tmp_path / "none.pem", tls_files.key_file)


def test_the_key_of_another_certificate_is_refused(tls_files: TlsFiles, tmp_path: Path) -> None:
    other = make_tls_files(tmp_path / "other")
    with pytest.raises(ssl.SSLError):
        server_context(tls_files.cert_file, other.key_file)

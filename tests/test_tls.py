"""The certificates at the front door, with real handshakes."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from smtpd.tls import Certificates, server_context
from tests.handshakes import MX, on_disk, pair, shake_hands, shown
from tests.servers.tls import TlsFiles, make_tls_files


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
@pytest.mark.parametrize("old", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_old_tls_is_refused_by_us_and_not_by_the_client(
    tls_files: TlsFiles, old: ssl.TLSVersion
) -> None:
    client = tls_files.client_context()
    client.set_ciphers("ALL:@SECLEVEL=0")
    client.minimum_version = client.maximum_version = old
    # A server that would take it: this client and this library can.
    lax = tls_files.server_context()
    lax.minimum_version = old
    lax.set_ciphers("ALL:@SECLEVEL=0")
    assert shake_hands(lax, client).version() == old.name.replace("_", ".")
    with pytest.raises(ssl.SSLError):
        shake_hands(Certificates([pair(tls_files)]).context(), client)


def test_the_oldest_version_is_tls_1_2(tls_files: TlsFiles) -> None:
    assert Certificates([pair(tls_files)]).context().minimum_version == ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize("make", [server_context, lambda *files: Certificates([files])])
def test_a_file_that_is_not_there_is_an_os_error(
    tls_files: TlsFiles, tmp_path: Path, make: type
) -> None:
    with pytest.raises(OSError, match="No such file"):
        make(tmp_path / "none.pem", tls_files.key_file)


@pytest.mark.parametrize("make", [server_context, lambda *files: Certificates([files])])
def test_the_key_of_another_certificate_is_refused(
    tls_files: TlsFiles, tmp_path: Path, make: type
) -> None:
    other = make_tls_files(tmp_path / "other")
    with pytest.raises(ssl.SSLError):
        make(tls_files.cert_file, other.key_file)


def test_a_key_with_a_password_is_refused_and_nobody_is_asked_for_it(mx: TlsFiles) -> None:
    key = load_pem_private_key(mx.key_file.read_bytes(), password=None)
    locked = BestAvailableEncryption(b"secret")
    mx.key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked))
    with pytest.raises(ssl.SSLError):
        server_context(*pair(mx))


def test_an_expired_certificate_is_still_shown(tmp_path: Path, authority: trustme.CA) -> None:
    expired = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)
    files = make_tls_files(tmp_path, names=MX, authority=authority, expires=expired)
    certificates = Certificates([pair(files)])
    # Most senders do not check; those that do tell their users, and health tells ours.
    careless = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    careless.check_hostname, careless.verify_mode = False, ssl.CERT_NONE
    assert shake_hands(certificates.context(), careless).version() == "TLSv1.3"
    assert certificates.not_after() == expired


@pytest.fixture
def three(tmp_path: Path, authority: trustme.CA) -> list[TlsFiles]:
    """Ours, a customer's with everything below it, and one host of the same customer."""
    names = (MX, ("them.example", "*.them.example"), ("mx.them.example",))
    return [
        make_tls_files(tmp_path / str(number), names=of_one, authority=authority)
        for number, of_one in enumerate(names)
    ]


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("mx.us.example", 0),
        ("them.example", 1),
        ("mail.them.example", 1),
        ("MAIL.Them.Example", 1),
        ("mx.them.example.", 2),
        ("mx.them.example", 2),  # an exact name before a wildcard
        ("a.mail.them.example", 0),  # RFC 9525 section 6.3: one label
        ("xthem.example", 0),
        ("stranger.example", 0),
        ("localhost", 0),
        (None, 0),
    ],
)
def test_the_name_asked_for_chooses(three: list[TlsFiles], name: str | None, number: int) -> None:
    certificates = Certificates([pair(files) for files in three])
    assert shown(certificates, three[0], name) == on_disk(three[number])


def test_a_name_on_two_certificates_shows_the_first(three: list[TlsFiles], tmp_path: Path) -> None:
    again = make_tls_files(tmp_path / "again", names=("them.example",))
    certificates = Certificates([pair(files) for files in (*three, again)])
    assert shown(certificates, three[0], "them.example") == on_disk(three[1])


def test_a_strict_client_is_content_with_each_name(three: list[TlsFiles]) -> None:
    certificates = Certificates([pair(files) for files in three])
    for name in ("mx.us.example", "them.example", "mail.them.example", "mx.them.example"):
        assert shake_hands(certificates.context(), three[0].client_context(), name).version()

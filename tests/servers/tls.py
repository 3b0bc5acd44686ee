"""A certificate authority for one test run, and a certificate of it."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import trustme

NAMES = ("localhost", "127.0.0.1", "mx.us.example", "mail.us.example", "relay.test")


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """Paths of PEM files, as TLS_CERT_FILE, TLS_KEY_FILE and SMTP_CA_FILE take them."""

    ca_file: Path
    cert_file: Path
    key_file: Path

    def server_context(self) -> ssl.SSLContext:
        """For a server of the test's own."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.cert_file, self.key_file)
        return context

    def client_context(self) -> ssl.SSLContext:
        """For a client that trusts this authority alone."""
        return ssl.create_default_context(cafile=str(self.ca_file))


def make_tls_files(
    folder: Path,
    *,
    names: tuple[str, ...] = NAMES,
    authority: trustme.CA | None = None,
    expires: datetime | None = None,
) -> TlsFiles:
    """Write an authority's certificate, and a certificate for these names with its key.

    Several certificates of one `authority` satisfy the same client.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = TlsFiles(
        ca_file=folder / "ca.pem", cert_file=folder / "cert.pem", key_file=folder / "key.pem"
    )
    authority = authority or trustme.CA()
    certificate = authority.issue_cert(*names, not_after=expires)
    authority.cert_pem.write_to_path(files.ca_file)
    for number, blob in enumerate(certificate.cert_chain_pems):
        blob.write_to_path(files.cert_file, append=number > 0)
    files.key_file.touch(mode=0o600)
    certificate.private_key_pem.write_to_path(files.key_file)
    return files

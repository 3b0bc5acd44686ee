"""Handshakes with the certificates at the front door, and what stands on the disk."""

from __future__ import annotations

import ssl
from pathlib import Path

from cryptography import x509

from smtpd.tls import LOOK_EVERY_S, Certificates
from tests.servers.tls import TlsFiles

MX = ("mx.us.example",)  # the names of the certificate `mx`


class Clock:
    """Stands still until told otherwise."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def pass_by(self) -> None:
        self.now += LOOK_EVERY_S


def pair(files: TlsFiles) -> tuple[Path, Path]:
    return files.cert_file, files.key_file


def shake_hands(
    server: ssl.SSLContext, client: ssl.SSLContext, name: str | None = "localhost"
) -> ssl.SSLObject:
    """A handshake in memory; the client's side of it. Raises ssl.SSLError."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        client.wrap_bio(to_client, to_server, server_hostname=name),
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


def anyone(files: TlsFiles) -> ssl.SSLContext:
    """A client that believes the authority, whatever name the certificate has."""
    context = files.client_context()
    context.check_hostname = False
    return context


def shown(
    certificates: Certificates, files: TlsFiles, name: str | None = "mx.us.example"
) -> x509.Certificate:
    """What a client that asks for this name is shown."""
    connection = shake_hands(certificates.context(), anyone(files), name)
    certificate = connection.getpeercert(binary_form=True)
    assert certificate is not None
    return x509.load_der_x509_certificate(certificate)


def on_disk(files: TlsFiles) -> x509.Certificate:
    return x509.load_pem_x509_certificate(files.cert_file.read_bytes())


def replace(old: TlsFiles, new: TlsFiles) -> None:
    """Each file at once, as a careful tool does it."""
    new.cert_file.rename(old.cert_file)
    new.key_file.rename(old.key_file)

"""The certificate we show after STARTTLS."""

from __future__ import annotations

import ssl
from pathlib import Path


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """A server's context with this certificate chain and key (both PEM), TLS 1.2 or newer.

    Raises OSError where a file cannot be read, and ssl.SSLError, which is one, where the
    two do not fit together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Forward secrecy and authenticated encryption for all; our order, not the peer's.
    context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM")
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE | ssl.OP_NO_RENEGOTIATION
    context.options |= ssl.OP_NO_COMPRESSION
    context.load_cert_chain(certificate, key)
    return context

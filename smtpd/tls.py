"""The certificates we show after STARTTLS: chosen by name, read again when their files change."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509

from smtpd.events import Event, log

LOOK_EVERY_S = 1.0

# Whatever changes when a file is written, replaced, or made readable; None where it is not there.
_Stamp = tuple[tuple[int, ...] | None, ...]


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """A server's context with this certificate chain and key (both PEM), TLS 1.2 or newer.

    Raises OSError where a file cannot be read, and ssl.SSLError, which is one, where the
    two do not fit together or the key has a password.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Forward secrecy and authenticated encryption for all; our order, not the peer's.
    context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM")
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE | ssl.OP_NO_RENEGOTIATION
    context.options |= ssl.OP_NO_COMPRESSION
    # Without a password here OpenSSL would ask for one at the terminal, and wait.
    context.load_cert_chain(certificate, key, password="")
    return context


@dataclass(frozen=True, slots=True, kw_only=True)
class _Loaded:
    """One pair of files, as they were when they last fitted together."""

    context: ssl.SSLContext
    names: frozenset[str]
    not_after: datetime


class Certificates:
    """Every certificate of ours, each for the names it holds; the first where none fits.

    A session keeps the one it began with. Raises OSError as server_context() does.
    """

    def __init__(
        self,
        pairs: Sequence[tuple[Path, Path]],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pairs = tuple(pairs)
        self._clock = clock
        self._looked_at = clock()
        # Before the files are read: what changes meanwhile is then found at the next look.
        self._stamps = [_stamp(pair) for pair in self._pairs]
        self._loaded = [_load(*pair) for pair in self._pairs]
        self._arrange()

    def context(self) -> ssl.SSLContext:
        """For the handshake that now begins."""
        self._look()
        return self._loaded[0].context

    def not_after(self) -> datetime:
        """When the first of them expires."""
        self._look()
        return min(loaded.not_after for loaded in self._loaded)

    def _look(self) -> None:
        """Read again what changed; what cannot be used is tried again at its next change."""
        now = self._clock()
        if now - self._looked_at < LOOK_EVERY_S:
            return
        self._looked_at = now
        stamps = [_stamp(pair) for pair in self._pairs]
        for number, pair in enumerate(self._pairs):
            if stamps[number] == self._stamps[number]:
                continue
            try:
                self._loaded[number] = _load(*pair)
            except OSError as error:
                log(Event.CERTIFICATE, file=str(pair[0]), because=error.strerror or str(error))
        self._stamps = stamps
        self._arrange()

    def _arrange(self) -> None:
        self._number_of: dict[str, int] = {}
        for number, loaded in enumerate(self._loaded):
            for name in loaded.names:
                self._number_of.setdefault(name, number)
        if len(self._loaded) > 1:
            self._loaded[0].context.sni_callback = self._choose

    def _choose(
        self, connection: ssl.SSLSocket | ssl.SSLObject, name: str | None, _: ssl.SSLContext
    ) -> None:
        """Show the certificate for the name the client asks for (RFC 6066 section 3)."""
        exact = (name or "").lower().removesuffix(".")
        # RFC 9525 section 6.3: the asterisk stands for exactly one label, the leftmost.
        wildcard = f"*.{exact.partition('.')[2]}"
        number = self._number_of.get(exact, self._number_of.get(wildcard))
        if number is not None:
            connection.context = self._loaded[number].context


def _load(certificate: Path, key: Path) -> _Loaded:
    context = server_context(certificate, key)
    try:
        own = x509.load_pem_x509_certificates(certificate.read_bytes())[0]
        names = frozenset(_names(own))
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise ssl.SSLError(f"not a certificate: {error}") from None
    return _Loaded(context=context, names=names, not_after=own.not_valid_after_utc)


def _names(certificate: x509.Certificate) -> Iterable[str]:
    """Its DNS names. RFC 9525 section 2: what the subject calls itself does not count."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return ()
    return map(str.lower, found.value.get_values_for_type(x509.DNSName))


def _stamp(pair: tuple[Path, Path]) -> _Stamp:
    return tuple(map(_state, pair))


def _state(path: Path) -> tuple[int, ...] | None:
    """Of what a symbolic link leads to: a renewal may only turn the link."""
    try:
        found = path.stat()
    except OSError:
        return None
    return (
        found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns,
    )  # fmt: skip

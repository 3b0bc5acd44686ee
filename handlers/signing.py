"""DKIM signatures (RFC 6376) over our own mail, and the key they are made with.

The header section's canonical form is dkimpy's: we wrote its lines, and they are short.
The body's is our own, because what is passed on to the operator holds a stranger's lines,
on which dkimpy's expressions take seconds. The RSA is OpenSSL's, with the key object kept,
which costs a twentieth of dkimpy's own.
"""

from __future__ import annotations

import base64
import os
import stat
import textwrap
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import dkim
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key

from smtpd.checks.dkim_canonical import SignedMail

KEY_BITS = 2048  # RFC 8301 section 3.2 asks for at least this; longer keys fit few TXT records
KEY_FILE_MAX_BYTES = 65536
TXT_STRING_MAX = 255  # bytes of one string in a TXT record, RFC 1035 section 3.3

# Every field a reader sees or a robot acts on. Each is named once more than it occurs:
# a second one added on the way breaks the signature (RFC 6376 section 8.15).
OVERSIGNED = (
    b"from",
    b"to",
    b"cc",
    b"reply-to",
    b"subject",
    b"date",
    b"message-id",
    b"in-reply-to",
    b"references",
    b"mime-version",
    b"content-type",
    b"auto-submitted",
)

_RELAXED = dkim.canonicalization.Relaxed

_Field = tuple[bytes, bytes]  # name and value, folding kept


class Signer:
    """Signs mail for one domain with one key.

    Raises ValueError where domain or selector cannot stand in a signature, or the key
    is shorter than 2048 bits.
    """

    def __init__(self, domain: str, selector: str, key: RSAPrivateKey) -> None:
        for word in (domain, selector):
            if not (word.isascii() and word.replace(".", "").replace("-", "").isalnum()):
                raise ValueError(f"{word!r} is no DNS name to sign with")
        _check_size(key)
        self._names = f"d={domain}; s={selector}".encode()
        self._key = key

    def sign(self, raw: bytes, now: datetime) -> bytes:
        """The mail with a DKIM-Signature field before all others.

        Raises ValueError for bytes that are no mail with CRLF line ends.
        """
        head, separator, _ = raw.partition(b"\r\n\r\n")
        if not separator:
            raise ValueError("there is no header section that ends")
        fields = list(_fields(head))
        h = b":".join(_signed_names(fields))
        body_hash = SignedMail(raw).body_hash(True, None)
        unsigned = b"\r\n\t".join(
            (
                b" v=1; a=rsa-sha256; c=relaxed/relaxed;",
                b"%b; t=%d;" % (self._names, int(now.timestamp())),
                _folded(b"h=" + h) + b";",
                b"bh=%b;" % base64.b64encode(body_hash),
                b"b=",
            )
        )
        signed = _canonical(fields, h, (b"DKIM-Signature", unsigned))
        signature = self._key.sign(signed, padding.PKCS1v15(), hashes.SHA256())
        lines = textwrap.wrap(base64.b64encode(signature).decode("ascii"), 72)
        b = "\r\n\t".join(lines).encode("ascii")
        return b"DKIM-Signature:" + unsigned + b + b"\r\n" + raw


def load_key(path: Path) -> RSAPrivateKey:
    """The RSA key in a PEM file. Raises ValueError with one sentence for the administrator."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            pem = file.read(KEY_FILE_MAX_BYTES)
    except OSError as error:
        raise ValueError(f"DKIM_KEY_FILE {path} cannot be read: {error.strerror}") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ValueError(f"DKIM_KEY_FILE {path} can be read by others: chmod 600 it")
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError(f"DKIM_KEY_FILE {path} holds no PEM key without a password") from None
    if not isinstance(key, RSAPrivateKey):
        raise ValueError(f"DKIM_KEY_FILE {path} holds no RSA key")  # noqa: TRY004 (for a person)
    _check_size(key)
    return key


def new_key() -> bytes:
    """A new RSA key, PEM. It belongs into a file of mode 600."""
    return generate_private_key(65537, KEY_BITS).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def public_record(key: RSAPrivateKey) -> str:
    """The TXT record to publish, as a zone file takes it: strings of at most 255 bytes."""
    der = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    text = f"v=DKIM1; k=rsa; p={base64.b64encode(der).decode('ascii')}"
    starts = range(0, len(text), TXT_STRING_MAX)
    return " ".join(f'"{text[at : at + TXT_STRING_MAX]}"' for at in starts)


def _check_size(key: RSAPrivateKey) -> None:
    if key.key_size < KEY_BITS:
        raise ValueError(f"the DKIM key has {key.key_size} bits; {KEY_BITS} is the least")


def _fields(head: bytes) -> Iterator[_Field]:
    """The header fields in their order. Raises ValueError for what is none."""
    lines = head.split(b"\r\n")
    at = 0
    while at < len(lines):
        end = at + 1
        while end < len(lines) and lines[end][:1] in (b" ", b"\t"):
            end += 1
        name, colon, value = b"\r\n".join(lines[at:end]).partition(b":")
        if not colon or b"\n" in value.replace(b"\r\n", b""):
            raise ValueError("a line of the header section is no field")
        yield name, value
        at = end


def _signed_names(fields: list[_Field]) -> Iterator[bytes]:
    there = [name.lower() for name, _ in fields]
    for name in OVERSIGNED:
        yield from [name] * (there.count(name) + 1)


def _canonical(fields: list[_Field], h: bytes, signature: _Field) -> bytes:
    """What is signed: the fields of h= in its order, the lowest of each name first."""
    canonical: list[_Field] = _RELAXED.canonicalize_headers([*fields, signature])
    *rest, (own_name, own_value) = canonical
    by_name: dict[bytes, list[bytes]] = {}
    for name, value in rest:
        by_name.setdefault(name, []).append(value)
    parts = []
    for name in h.split(b":"):
        if by_name.get(name):
            parts.append(name + b":" + by_name[name].pop())
    # RFC 6376 section 3.7: our own field comes last, without the CRLF at its end.
    return b"".join(parts) + own_name + b":" + own_value.removesuffix(b"\r\n")


def _folded(names: bytes) -> bytes:
    """The h= list on lines of at most 72 bytes, broken behind its colons."""
    lines = [b""]
    for name in names.split(b":"):
        if len(lines[-1]) + len(name) > 70:
            lines.append(b"")
        lines[-1] += name + b":"
    return b"\r\n\t".join(lines)[:-1]

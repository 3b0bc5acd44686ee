"""Encryption at rest: master key wraps house and person keys, person keys seal mail.

Losing a person's key makes everything that was sealed with it unreadable for
ever: that is how a person is erased, old backups included.
"""

from __future__ import annotations

import hmac
import os
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from smtpd.errors import Permanent

KEY_BYTES = 32
# 96 bits, drawn at random: NIST SP 800-38D section 8.3 allows 2**32 messages under
# one key, far more than one person writes.
_NONCE_BYTES = 12


def derived(secret: bytes, purpose: str) -> bytes:
    """A key for one purpose from a longer-lived secret (HKDF, RFC 5869)."""
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=purpose.encode()).derive(
        secret
    )


@dataclass(frozen=True, slots=True)
class Seal:
    """Seals and opens with one key. `place` binds the bytes to where they are stored."""

    cipher: AESGCM

    @classmethod
    def of(cls, key: bytes) -> Seal:
        return cls(AESGCM(key))

    def close(self, plain: bytes | memoryview, place: str) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self.cipher.encrypt(nonce, plain, place.encode())

    def close_text(self, plain: str, place: str) -> bytes:
        # A mail may have smuggled a lone surrogate this far; it must not stop the sealing.
        return self.close(plain.encode("utf-8", "replace"), place)

    def open(self, sealed: bytes, place: str) -> bytes:
        """The plain bytes. Raises Permanent when key, bytes or place do not fit."""
        try:
            return self.cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], place.encode())
        except InvalidTag:
            raise Permanent(f"{place} cannot be opened with this key") from None

    def open_text(self, sealed: bytes, place: str) -> str:
        return self.open(sealed, place).decode()


def unopenable() -> Seal:
    """For what is said of an erased person's mail: nobody can open it, as all the rest of it."""
    return Seal.of(os.urandom(KEY_BYTES))


@dataclass(frozen=True, slots=True)
class Hasher:
    """Keyed hashes for look-ups, so that the database never holds what was hashed."""

    key: bytes

    def __call__(self, kind: str, *parts: bytes | memoryview) -> str:
        """128 bits in hexadecimal of the parts, none of which can run into the next."""
        mac = hmac.new(self.key, kind.encode(), sha256)
        for part in parts:
            mac.update(len(part).to_bytes(8, "big"))
            mac.update(part)
        return mac.hexdigest()[:32]

    def address(self, address: str) -> str:
        return self("address", address.lower().encode("utf-8", "replace"))

    def message_id(self, message_id: str) -> str:
        return self("message-id", message_id.encode("utf-8", "replace"))

    def relay_id(self, message_id: str) -> str:
        """Of what stands before the @, which is all that a relay tells of the one it wrote."""
        left = message_id.partition("@")[0].removeprefix("<")
        return self("relay-id", left.encode("utf-8", "replace"))

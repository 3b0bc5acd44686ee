"""DKIM keys made for a test, and what a resolver gives of their records."""

from __future__ import annotations

import re
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from handlers.signing import new_key, public_record


def new_key_file(path: Path) -> Path:
    """A new key's file, readable for nobody else."""
    path.touch(mode=0o600)
    path.write_bytes(new_key())
    return path


def published(key: RSAPrivateKey) -> str:
    """The strings of the key's TXT record, joined."""
    return "".join(re.findall(r'"([^"]*)"', public_record(key)))

"""The name a mail goes by from its first second here: sortable by time, not to be guessed."""

from __future__ import annotations

import base64
import secrets
from datetime import datetime

# base32hex keeps the order of the bytes; Crockford's letters leave out i, l, o and u,
# which people misread when they type a ticket's id.
_BASE32HEX = b"0123456789ABCDEFGHIJKLMNOPQRSTUV"
_CROCKFORD = b"0123456789abcdefghjkmnpqrstvwxyz"
_TO_CROCKFORD = bytes.maketrans(_BASE32HEX, _CROCKFORD)


def new_ticket_id(now: datetime) -> str:
    """26 characters: 48 bits of milliseconds, then 80 random bits."""
    return _id(now, secrets.token_bytes(10))


def first_ticket_id(moment: datetime) -> str:
    """No ticket of this moment or of a later one sorts before it."""
    return _id(moment, bytes(10))


def _id(moment: datetime, more: bytes) -> str:
    milliseconds = int(moment.timestamp() * 1000).to_bytes(6, "big")
    encoded = base64.b32hexencode(milliseconds + more)
    return encoded[:26].translate(_TO_CROCKFORD).decode("ascii")

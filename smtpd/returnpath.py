"""The address a bounce of our reply comes back to: it names the ticket and proves itself.

    bounces+<ticket id>.<code>@<our domain>

The code is the first 80 bits of HMAC-SHA256 over the ticket's id, so that nobody can
post us a bounce for a mail we never sent.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

from smtpd.addresses import domain_of, local_of

PREFIX = "bounces+"
CODE_BYTES = 10  # 80 bits: 16 characters of base32, no padding


def return_path(ticket_id: str, key: bytes, domain: str) -> str:
    """MAIL FROM for the reply to this ticket."""
    return f"{PREFIX}{ticket_id}.{_code(ticket_id, key)}@{domain}"


def ticket_of(address: str, key: bytes, domain: str) -> str | None:
    """The ticket a return path names; None where it is no return path of ours."""
    local = local_of(address)
    if not local.startswith(PREFIX) or domain_of(address) != domain.lower():
        return None
    ticket_id, _, code = local.removeprefix(PREFIX).rpartition(".")
    right = hmac.compare_digest(code.encode(), _code(ticket_id, key).encode())
    return ticket_id if ticket_id and right else None


def _code(ticket_id: str, key: bytes) -> str:
    # Relays may change the case of a local part; the code must survive that.
    digest = hmac.digest(key, ticket_id.lower().encode(), hashlib.sha256)
    return base64.b32encode(digest[:CODE_BYTES]).decode("ascii").lower()

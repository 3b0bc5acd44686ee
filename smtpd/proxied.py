"""Whose connection a proxy brings: reads the header that comes before everything else.

The header's form is proxy.py's.
"""

from __future__ import annotations

import asyncio

from smtpd.intake import HungUp, Intake
from smtpd.proxy import BadProxyHeader, read_header

# A proxy sends its header with the first bytes, before the client says anything.
HEADER_S = 3.0


class NoClientNamed(Exception):
    """A connection to the proxy's port whose client nobody named: kind says why."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


async def client_behind(intake: Intake) -> str:
    """The address the header names, "" where it names none; what follows stays unread.

    Raises NoClientNamed, or HungUp where the peer went without a word, as those do that
    only ask whether we are there.
    """
    deadline = asyncio.get_running_loop().time() + HEADER_S
    read = b""
    try:
        while (header := read_header(read)) is None:
            read += await intake.block(deadline)
    except BadProxyHeader:
        raise NoClientNamed("bad_header") from None
    except TimeoutError:
        raise NoClientNamed("too_late") from None
    except HungUp:
        if not read:
            raise
        raise NoClientNamed("bad_header") from None
    intake.put_back(read[header.size_bytes :])
    return header.source_ip

"""A nameserver that knows no name: whoever asks hears so at once, and nothing leaves loopback."""

from __future__ import annotations

import functools
import socket
import struct
import threading

from tests.servers.process import HOST

_NXDOMAIN = 0x8183  # response, recursion desired and available, no such name
_HEADER_BYTES = 12


@functools.cache
def no_names() -> str:
    """Its address, as DNS_SERVERS wants it; one serves the whole run, and ends with it."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((HOST, 0))
    threading.Thread(target=_serve, args=(server,), name="no names", daemon=True).start()
    return f"{HOST}:{server.getsockname()[1]}"


def _serve(server: socket.socket) -> None:
    while True:
        query, asker = server.recvfrom(4096)
        # The question is repeated, and what follows it (EDNS) left out.
        end = query.find(b"\0", _HEADER_BYTES) + 5
        head = query[:2] + struct.pack("!5H", _NXDOMAIN, 1, 0, 0, 0)
        server.sendto(head + query[_HEADER_BYTES:end], asker)

"""A server that takes connections and does not read: what it is sent stays with the sender."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from tests.servers.process import HOST


@contextmanager
def deaf() -> Iterator[int]:
    """Its port."""
    with socket.socket() as listening:
        listening.bind((HOST, 0))
        listening.listen()
        yield int(listening.getsockname()[1])


def connections_to(port: int) -> int:
    """How many this process has open to a port."""
    ours = psutil.Process().net_connections("tcp")
    return sum(bool(one.raddr) and one.raddr.port == port for one in ours)

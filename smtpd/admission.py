"""Who may come in: connections counted in all, by address and by network.

Counted per process. When the house is full, who has kept us waiting longest goes.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Protocol

from smtpd import replies
from smtpd.neighbourhood import unmapped
from smtpd.replies import Reply

# Nobody is sent away who was heard this lately: a client needs a moment for its next command.
PATIENT_S = 1.0

# Sockets for each connection we mean to have: who was sent away may read why for a moment,
# and a proxy's connection is counted only once it says whose it is.
_SOCKETS_PER_CONNECTION = 2


class Guest(Protocol):
    """A session, as far as admission knows it."""

    def make_room(self) -> None:
        """End soon: somebody else has the place already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacities:
    """How many connections at one time."""

    in_all: int
    per_address: int
    per_network: int

    @property
    def sockets(self) -> int:
        """More than these are never held, whatever anybody waits for."""
        return self.in_all * _SOCKETS_PER_CONNECTION


class Admission:
    """Counts who is in, and says who may enter."""

    def __init__(self, capacities: Capacities) -> None:
        self._capacities = capacities
        self._closed = False
        self._inside: dict[Guest, tuple[bytes, ...]] = {}  # each with its address and network
        self._from: Counter[bytes] = Counter()
        # Who owes us a command, and since when; the longest wait comes first.
        self._waiting: dict[Guest, float] = {}

    def enter(self, guest: Guest, ip: str, now: float) -> Reply | None:
        """Count one more, making room where that is needed; or say why not.

        An `ip` of "" is nobody's in particular, and has no limit of its own.
        """
        if self._closed:
            return replies.CLOSING_DOWN
        origin = origin_of(ip)
        if origin:
            address, network = origin
            # Asked before there is room: who has too many shall not push others out.
            if self._from[address] >= self._capacities.per_address:
                return replies.TOO_MANY_FROM_ADDRESS
            if self._from[network] >= self._capacities.per_network:
                return replies.TOO_MANY_FROM_NETWORK
        if len(self._inside) >= self._capacities.in_all and not self._make_room(now):
            return replies.TOO_MANY_CONNECTIONS
        self._inside[guest] = origin
        self._from.update(origin)
        return None

    def leave(self, guest: Guest) -> None:
        """Count one less; harmless when repeated."""
        self._waiting.pop(guest, None)
        for place in self._inside.pop(guest, ()):
            self._from[place] -= 1
            if not self._from[place]:
                del self._from[place]

    def waits(self, guest: Guest, now: float) -> None:
        """The guest owes us a command from now on."""
        self._waiting.pop(guest, None)
        self._waiting[guest] = now

    def works(self, guest: Guest) -> None:
        """The guest brings a mail: it is not sent away until that is over."""
        self._waiting.pop(guest, None)

    def close(self) -> None:
        """Admit nobody any more."""
        self._closed = True

    def _make_room(self, now: float) -> bool:
        guest = next(iter(self._waiting), None)
        if guest is None or now - self._waiting[guest] <= PATIENT_S:
            return False
        self.leave(guest)
        guest.make_room()
        return True


def origin_of(ip: str) -> tuple[bytes, ...]:
    """What stands for one client and for its network; nothing for "".

    One IPv4 address and its /24. Of IPv6 whoever has one address has a /64 of them
    (RFC 4291 section 2.5.4), and is given a /48 just as easily (RFC 6177).
    """
    if not ip:
        return ()
    address = ip_address(ip)
    packed = address.packed
    return (packed[:8], packed[:6]) if address.version == 6 else (packed, packed[:3])


def ip_of(peername: object) -> str:
    """The address in what a transport calls the peer's name, "" where it holds none.

    An IPv4 peer of a dual-stack socket comes as ::ffff:192.0.2.1 and is named 192.0.2.1.
    """
    if not isinstance(peername, tuple) or not peername:
        return ""
    ip = str(peername[0]).partition("%")[0]
    if ":" not in ip:
        return ip
    return str(unmapped(ip_address(ip)))

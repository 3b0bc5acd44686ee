"""Whose address a connection shows: the client's own, or that of something in between.

Neighbour: smtpd/proxy.py, which reads what a trusted proxy says about its client.
"""

from __future__ import annotations

import functools
import ipaddress
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path

ADDRESSES_REMEMBERED = 4096
ADDRESS_MAX = 64  # characters; an IPv6 address is written in 45, and may name its interface

_MAPPED = IPv6Network("::ffff:0:0/96")  # RFC 4291 section 2.5.5.2
_ROUTE_BY_GATEWAY = 0x2  # RTF_GATEWAY of Linux's route.h


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbourhood:
    """Which addresses stand for a client, and which for a proxy, a bridge or ourselves.

    Raises ValueError where `trusted` holds something that is no network.
    """

    trusted: tuple[str, ...] = ()
    gateways: frozenset[str] = frozenset()
    _networks: tuple[IPv4Network | IPv6Network, ...] = field(init=False, repr=False, compare=False)
    _ways_out: frozenset[IPv4Address | IPv6Address | None] = field(
        init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "_networks", tuple(map(_network, self.trusted)))
        object.__setattr__(self, "_ways_out", frozenset(map(_address, self.gateways)))

    def trusts(self, ip: str) -> bool:
        """May this peer speak the PROXY protocol, and is its address its own though private?"""
        address = _address(ip)
        return address is not None and any(address in network for network in self._networks)

    def knows(self, ip: str) -> bool:
        """Is this the address of the client itself?

        A private one, or that of the way out of here, says that something stands in between
        and hides it: SPF and limits per address would then judge the wrong one.
        """
        address = _address(ip)
        if address is None:
            return False
        return self.trusts(ip) or (_is_public(address) and address not in self._ways_out)


def unmapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """An IPv4 peer as such: a socket of both families shows it as ::ffff:192.0.2.1."""
    return (address.version == 6 and address.ipv4_mapped) or address


def default_gateways(tables: Path = Path("/proc/net")) -> frozenset[str]:
    """The gateways of this machine's default routes; none where Linux does not tell them."""
    found = {*_gateways_v4(tables / "route"), *_gateways_v6(tables / "ipv6_route")}
    return frozenset(map(str, found))


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """None where it is none."""
    return _parsed(text) if len(text) <= ADDRESS_MAX else None


@functools.lru_cache(maxsize=ADDRESSES_REMEMBERED)
def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return unmapped(ipaddress.ip_address(text))
    except ValueError:
        return None


def _network(text: str) -> IPv4Network | IPv6Network:
    network = ipaddress.ip_network(text)
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        mapped = network.network_address.ipv4_mapped
        return IPv4Network((str(mapped), network.prefixlen - _MAPPED.prefixlen))
    return network


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    # Multicast is global for the library, and so is what RFC 3879 took out of use.
    obsolete = isinstance(address, IPv6Address) and address.is_site_local
    return address.is_global and not address.is_multicast and not obsolete


def _gateways_v4(table: Path) -> Iterator[IPv4Address]:
    """Iface Destination Gateway Flags RefCnt Use Metric Mask …, numbers as the machine has them."""
    for row in _rows(table):
        match row:
            case [_, _, gateway, flags, _, _, _, "00000000", *_] if _by_gateway(flags):
                yield IPv4Address(int(gateway, 16).to_bytes(4, sys.byteorder))


def _gateways_v6(table: Path) -> Iterator[IPv6Address]:
    """Destination, its length, source, its length, next hop, metric, two counts, flags, name."""
    for row in _rows(table):
        match row:
            case [_, "00", _, _, gateway, _, _, _, flags, *_] if _by_gateway(flags):
                yield IPv6Address(bytes.fromhex(gateway))


def _by_gateway(flags: str) -> bool:
    return bool(int(flags, 16) & _ROUTE_BY_GATEWAY)


def _rows(table: Path) -> list[list[str]]:
    try:
        lines = table.read_text("ascii").splitlines()
    except OSError:
        return []
    return [line.split() for line in lines if not line.startswith("Iface")]

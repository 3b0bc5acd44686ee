"""Whether a host is this server: a relay that is ourselves would give us our own replies back."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Collection, Iterable

from config.settings import Settings, SettingsError

RESOLVE_TIMEOUT_S = 5.0


def is_loopback(host: str) -> bool:
    """Whether `host` is an address (or the usual name) of this machine's loopback."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def relay_is_this_server(
    settings: Settings, resolved: Collection[str], own_addresses: Collection[str]
) -> bool:
    """Whether replies handed to SMTP_HOST would come back to us.

    `resolved` are the addresses of SMTP_HOST, `own_addresses` those of this machine. The
    listener's own address does not narrow it: a proxy on another may lead to it.
    """
    host = settings.relay.smtp_host
    if host == settings.house.mx_hostname:
        return True
    here = {*own_addresses, settings.door.listen_host}
    leads_here = any(address in here or is_loopback(address) for address in (host, *resolved))
    return leads_here and settings.relay.smtp_port == settings.door.listen_port


def own_addresses(candidates: Iterable[str]) -> frozenset[str]:
    """Those of `candidates` that are addresses of this machine.

    A socket can be bound to no other (unless net.ipv4.ip_nonlocal_bind is on: then all are
    taken for ours). No packet is sent.
    """
    return frozenset(address for address in candidates if _can_be_bound(address))


def _can_be_bound(address: str) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True


async def addresses_of(host: str) -> frozenset[str]:
    """The IP addresses of `host`; none when it cannot be resolved within five seconds."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(RESOLVE_TIMEOUT_S):
            found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:  # socket.gaierror and TimeoutError are both
        return frozenset()
    return frozenset(str(entry[4][0]) for entry in found)


async def refuse_ourselves_as_relay(settings: Settings) -> None:
    """Resolve SMTP_HOST. Raises SettingsError when it is this server."""
    resolved = await addresses_of(settings.relay.smtp_host)
    if relay_is_this_server(settings, resolved, own_addresses(resolved)):
        raise SettingsError(
            "SMTP_HOST is this server, so replies would come back to it; name the upstream "
            "relay, or set MX_HOSTNAME and LISTEN_PORT to what this server really has."
        )

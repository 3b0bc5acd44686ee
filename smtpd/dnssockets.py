"""A nameserver as dnspython asks it, but with bounded messages. Neighbour: smtpd/dnswire.py.

A UDP socket is connected: the kernel drops what comes from elsewhere, and a nameserver
that is not running is known at once.
"""

from __future__ import annotations

import socket
import struct
from typing import Any

import dns.asyncquery
import dns.exception
import dns.flags
import dns.inet
import dns.message
import dns.nameserver

from smtpd.dnswire import bounded

_LENGTH = struct.Struct("!H")  # before a message by TCP, RFC 1035 section 4.2.2


class BoundedNameserver(dns.nameserver.Do53Nameserver):
    """At an address and a port."""

    async def async_query(
        self,
        request: dns.message.QueryMessage,
        timeout: float,  # noqa: ASYNC109 (dnspython's signature)
        source: str | None,
        source_port: int,
        max_size: bool,
        backend: Any,
        one_rr_per_rrset: bool = False,
        ignore_trailing: bool = False,
    ) -> dns.message.Message:
        """Its reply. Raises DNSException, EOFError and OSError."""
        family = dns.inet.af_for_address(self.address)
        kind = socket.SOCK_STREAM if max_size else socket.SOCK_DGRAM
        there = (self.address, self.port)
        connected = await backend.make_socket(family, kind, 0, None, there, timeout)
        async with connected:
            if max_size:
                stream: Any = _Stream(connected)
                reply = await dns.asyncquery.tcp(request, self.address, timeout, sock=stream)
                if reply.flags & dns.flags.TC:
                    raise dns.exception.FormError  # nothing longer is left to ask for
                return reply
            datagrams: Any = _Datagrams(connected)
            # What is broken or has another id is passed over: the true reply may follow.
            return await dns.asyncquery.udp(
                request,
                self.address,
                timeout,
                self.port,
                ignore_unexpected=True,
                ignore_errors=True,
                raise_on_truncation=True,
                sock=datagrams,
            )


class _Datagrams:
    def __init__(self, connected: Any) -> None:
        self.family = connected.family  # dnspython compares addresses by it
        self._connected = connected

    async def sendto(self, what: bytes, _destination: object, timeout_s: float | None) -> int:
        # To where it is connected: the loops differ in how they compare an IPv6 address.
        return int(await self._connected.sendto(what, None, timeout_s))

    async def recvfrom(self, size: int, timeout_s: float | None) -> tuple[bytes, Any]:
        data, sender = await self._connected.recvfrom(size, timeout_s)
        return bounded(data), sender


class _Stream:
    """One message is read whole and then given out as a stream again."""

    def __init__(self, connected: Any) -> None:
        self._connected = connected
        self._unread = b""

    async def getpeername(self) -> Any:
        return await self._connected.getpeername()

    async def sendall(self, what: bytes, timeout_s: float | None) -> None:
        await self._connected.sendall(what, timeout_s)

    async def recv(self, size: int, timeout_s: float | None) -> bytes:
        if not self._unread:
            (length,) = _LENGTH.unpack(await self._exactly(_LENGTH.size, timeout_s))
            message = bounded(await self._exactly(length, timeout_s))
            self._unread = _LENGTH.pack(len(message)) + message
        given, self._unread = self._unread[:size], self._unread[size:]
        return given

    async def _exactly(self, size: int, timeout_s: float | None) -> bytes:
        """So many bytes. Raises EOFError."""
        parts, missing = [], size
        while missing:
            part = await self._connected.recv(missing, timeout_s)
            if not part:
                raise EOFError
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)

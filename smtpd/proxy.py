"""What a proxy says about the client behind it: the PROXY protocol's header, versions 1 and 2.

Pure: bytes in, an address out. Whether a peer may say such a thing is decided by
smtpd/neighbourhood.py. https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from smtpd.neighbourhood import unmapped

V1_MAX_BYTES = 107  # section 2.1: the longest line, with its CRLF
# Section 2.2 allows 65535. Two socket paths take 216, a client's certificate name and the like
# some hundred more.
V2_MAX_BYTES = 2048

_V1_BEGINS = b"PROXY "
_V2_BEGINS = b"\r\n\r\n\x00\r\nQUIT\n"
_V2_FIXED_BYTES = 16  # signature, version and command, family and protocol, length
_LOCAL, _PROXY = 0x20, 0x21  # version 2, and the command

# Family and protocol of version 2: how many bytes the addresses and ports take. Datagrams
# carry no mail, and what is not in section 2.2 must be refused.
_UNSPECIFIED, _TCP4, _TCP6, _UNIX = 0x00, 0x11, 0x21, 0x31
_ADDRESS_BYTES: Mapping[int, int] = {_UNSPECIFIED: 0, _TCP4: 12, _TCP6: 36, _UNIX: 216}


class BadProxyHeader(ValueError):
    """What came first is no header of the PROXY protocol that we take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxied:
    """A header, read."""

    source_ip: str  # "" where it names none: the proxy's own check, or a local socket
    size_bytes: int  # how much of the input it took


def read_header(data: bytes) -> Proxied | None:
    """The header that `data` begins with; None while more bytes are needed.

    Raises BadProxyHeader as soon as no further byte could make it one.
    """
    if _V1_BEGINS.startswith(data[: len(_V1_BEGINS)]):
        return _read_v1(data[:V1_MAX_BYTES])
    if _V2_BEGINS.startswith(data[: len(_V2_BEGINS)]):
        return _read_v2(data[: _V2_FIXED_BYTES + V2_MAX_BYTES])
    raise BadProxyHeader("no signature of either version")


def _read_v1(data: bytes) -> Proxied | None:
    line, line_end, _ = data.partition(b"\r\n")
    if not line_end:
        if len(data) == V1_MAX_BYTES:
            raise BadProxyHeader("the line does not end")
        return None
    if b"\r" in line or b"\n" in line:
        raise BadProxyHeader("a bare CR or LF")
    # A split at each single space: two in a row make an empty word, which is no address.
    family, *words = line[len(_V1_BEGINS) :].split(b" ")
    source = "" if family == b"UNKNOWN" else _v1_source(family, words)
    return Proxied(source_ip=source, size_bytes=len(line) + len(line_end))


def _v1_source(family: bytes, words: list[bytes]) -> str:
    if family not in (b"TCP4", b"TCP6") or len(words) != 4:
        raise BadProxyHeader("neither TCP4, TCP6 nor UNKNOWN with two addresses and two ports")
    version = 4 if family == b"TCP4" else 6
    addresses = [_v1_address(word) for word in words[:2]]
    if any(address.version != version for address in addresses):
        raise BadProxyHeader("an address of the other family")
    if not all(map(_is_port, words[2:])):
        raise BadProxyHeader("not a port")
    return str(unmapped(addresses[0]))


def _v1_address(word: bytes) -> IPv4Address | IPv6Address:
    if b"%" in word:  # the name of an interface, which means nothing elsewhere
        raise BadProxyHeader("an address within one link")
    try:
        return ipaddress.ip_address(word.decode("ascii"))
    except ValueError:
        raise BadProxyHeader("not an address") from None


def _is_port(word: bytes) -> bool:
    return word.isdigit() and int(word) <= 65535 and word == b"%d" % int(word)


def _read_v2(data: bytes) -> Proxied | None:
    command = data[12] if len(data) > 12 else _PROXY
    if command not in (_LOCAL, _PROXY):
        raise BadProxyHeader("neither LOCAL nor PROXY of version 2")
    if len(data) < _V2_FIXED_BYTES:
        return None
    size_bytes = int.from_bytes(data[14:16], "big")
    if size_bytes > V2_MAX_BYTES:
        raise BadProxyHeader("too long")
    # What a proxy says on its own behalf has no family that counts (section 2.2).
    family = _UNSPECIFIED if command == _LOCAL else data[13]
    if size_bytes < _ADDRESS_BYTES.get(family, size_bytes + 1):
        raise BadProxyHeader("a family we do not know, or too short for its addresses")
    if len(data) < _V2_FIXED_BYTES + size_bytes:
        return None
    return Proxied(
        source_ip=_v2_source(family, data[_V2_FIXED_BYTES:]),
        size_bytes=_V2_FIXED_BYTES + size_bytes,
    )


def _v2_source(family: int, block: bytes) -> str:
    """The first address; what stands behind the addresses (type, length, value) is passed over."""
    if family == _TCP4:
        return str(IPv4Address(block[:4]))
    if family == _TCP6:
        return str(unmapped(IPv6Address(block[:16])))
    return ""

"""The PROXY protocol's header: whole, byte by byte, with what follows, and broken."""

from __future__ import annotations

import asyncio
import ipaddress
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smtpd.proxy import V1_MAX_BYTES, V2_MAX_BYTES, BadProxyHeader, Proxied, read_header
from tests.conftest import installed
from tests.servers.nginx import NginxProxy
from tests.servers.process import HOST

SIGNATURE = bytes.fromhex("0d0a0d0a000d0a515549540a")
LOCAL, PROXY = 0x20, 0x21
TCP4, TCP6, UNIX = 0x11, 0x21, 0x31
PORTS = bytes.fromhex("dd3f0019")
V4 = IPv4Address("203.0.113.7").packed + IPv4Address("198.51.100.1").packed + PORTS
V6 = IPv6Address("2001:db8::7").packed + IPv6Address("2001:db8::1").packed + PORTS
TLV = bytes([0x04, 0x00, 0x03]) + b"pad"  # section 2.2.5: PP2_TYPE_NOOP


def v2(block: bytes, *, command: int = PROXY, family: int = TCP4) -> bytes:
    return SIGNATURE + bytes([command, family]) + len(block).to_bytes(2, "big") + block


GOOD = [
    (b"PROXY TCP4 203.0.113.7 198.51.100.1 56639 25\r\n", "203.0.113.7"),
    (b"PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n", "0.0.0.0"),
    (b"PROXY TCP6 2001:db8::7 2001:db8::1 56639 25\r\n", "2001:db8::7"),
    (b"PROXY TCP6 2001:DB8:0:0:0:0:0:7 ::1 56639 25\r\n", "2001:db8::7"),
    (b"PROXY TCP6 ::ffff:203.0.113.7 ::ffff:198.51.100.1 1 25\r\n", "203.0.113.7"),
    (b"PROXY UNKNOWN\r\n", ""),
    (b"PROXY UNKNOWN " + b"ffff:" * 7 + b"ffff " + b"ffff:" * 7 + b"ffff 65535 65535\r\n", ""),
    (b"PROXY UNKNOWN any thing\xff at  all\r\n", ""),
    (v2(V4), "203.0.113.7"),
    (v2(V4 + TLV), "203.0.113.7"),
    (v2(V4 + b"\xff" * (V2_MAX_BYTES - len(V4))), "203.0.113.7"),
    (v2(V6, family=TCP6), "2001:db8::7"),
    (v2(IPv6Address("::ffff:203.0.113.7").packed + V6[16:], family=TCP6), "203.0.113.7"),
    (v2(b"/run/socket".ljust(216, b"\0"), family=UNIX), ""),
    (v2(b"", family=0), ""),
    (v2(TLV, family=0), ""),
    (v2(b"", command=LOCAL, family=0), ""),
    (v2(V4 + TLV, command=LOCAL, family=TCP4), ""),
    (v2(b"", command=LOCAL, family=0xFF), ""),  # section 2.2: its family is ignored
]
BAD = {
    "nothing like it": b"EHLO mx.example\r\n",
    "the word alone in lower case": b"proxy TCP4 203.0.113.7 198.51.100.1 56639 25\r\n",
    "no space behind the word": b"PROXYTCP4 203.0.113.7 198.51.100.1 56639 25\r\n",
    "a tab": b"PROXY\tTCP4 203.0.113.7 198.51.100.1 56639 25\r\n",
    "two spaces": b"PROXY TCP4  203.0.113.7 198.51.100.1 56639 25\r\n",
    "a space at the end": b"PROXY TCP4 203.0.113.7 198.51.100.1 56639 25 \r\n",
    "no family": b"PROXY \r\n",
    "another family": b"PROXY UDP4 203.0.113.7 198.51.100.1 56639 25\r\n",
    "a longer unknown": b"PROXY UNKNOWN4 203.0.113.7 198.51.100.1 56639 25\r\n",
    "one port": b"PROXY TCP4 203.0.113.7 198.51.100.1 56639\r\n",
    "three ports": b"PROXY TCP4 203.0.113.7 198.51.100.1 56639 25 25\r\n",
    "IPv6 as TCP4": b"PROXY TCP4 2001:db8::7 2001:db8::1 56639 25\r\n",
    "IPv4 as TCP6": b"PROXY TCP6 203.0.113.7 198.51.100.1 56639 25\r\n",
    "both": b"PROXY TCP4 203.0.113.7 2001:db8::1 56639 25\r\n",
    "a leading zero": b"PROXY TCP4 203.0.113.07 198.51.100.1 56639 25\r\n",
    "a name": b"PROXY TCP4 localhost 198.51.100.1 56639 25\r\n",
    "an interface": b"PROXY TCP6 fe80::1%eth0 2001:db8::1 56639 25\r\n",
    "three numbers": b"PROXY TCP4 203.0.7 198.51.100.1 56639 25\r\n",
    "a port too high": b"PROXY TCP4 203.0.113.7 198.51.100.1 65536 25\r\n",
    "a port below zero": b"PROXY TCP4 203.0.113.7 198.51.100.1 -1 25\r\n",
    "a port with a zero": b"PROXY TCP4 203.0.113.7 198.51.100.1 056 25\r\n",
    "a port with a sign": b"PROXY TCP4 203.0.113.7 198.51.100.1 +56 25\r\n",
    "a port of other digits": b"PROXY TCP4 203.0.113.7 198.51.100.1 5\xb2 25\r\n",
    "a port without end": b"PROXY TCP4 203.0.113.7 198.51.100.1 " + b"9" * 40 + b" 25\r\n",
    "a bare LF": b"PROXY UNKNOWN \nEHLO mx.example\r\n",
    "a bare CR": b"PROXY UNKNOWN \rEHLO mx.example\r\n",
    "a NUL": b"PROXY TCP4 203.0.113.7\0 198.51.100.1 56639 25\r\n",
    "108 bytes": b"PROXY UNKNOWN".ljust(106) + b"\r\n",
    "no end": b"PROXY UNKNOWN".ljust(100_000),
    "a broken signature": SIGNATURE[:-1] + b"\r" + bytes(4),
    "version 1 in binary": v2(V4, command=0x11),
    "version 3": v2(V4, command=0x31),
    "another command": v2(V4, command=0x22),
    "a family of none": v2(V4, family=0x41),
    "a protocol of none": v2(V4, family=0x13),
    "half unspecified": v2(V4, family=0x10),
    "datagrams": v2(V4, family=0x12),
    "cut short": v2(V4[:-1]),
    "IPv6 in the length of IPv4": v2(V4, family=TCP6),
    "half a socket": v2(bytes(215), family=UNIX),
    "too long": v2(V4 + bytes(V2_MAX_BYTES + 1 - len(V4))),
    "far too long": SIGNATURE + bytes([PROXY, TCP4, 0xFF, 0xFF]) + V4,
    "too long and its own": v2(bytes(V2_MAX_BYTES + 1), command=LOCAL),
}


def outcome(data: bytes) -> Proxied | type[BadProxyHeader] | None:
    try:
        return read_header(data)
    except BadProxyHeader:
        return BadProxyHeader


@pytest.mark.parametrize(("header", "source_ip"), GOOD)
@pytest.mark.parametrize("following", [b"", b"EHLO mx.example\r\n", b"\r\n", b"\0" * 100_000])
def test_a_header_is_read_and_what_follows_left_alone(
    header: bytes, source_ip: str, following: bytes
) -> None:
    expected = Proxied(source_ip=source_ip, size_bytes=len(header))
    assert read_header(header + following) == expected


@pytest.mark.parametrize(("header", "_source_ip"), GOOD)
def test_of_a_header_in_pieces_more_is_awaited(header: bytes, _source_ip: str) -> None:
    assert [outcome(header[:size]) for size in range(len(header))] == [None] * len(header)


@pytest.mark.parametrize("header", BAD.values(), ids=BAD.keys())
def test_what_is_no_header_is_refused(header: bytes) -> None:
    with pytest.raises(BadProxyHeader):
        read_header(header)


@pytest.mark.parametrize("header", BAD.values(), ids=BAD.keys())
def test_what_is_no_header_is_refused_byte_by_byte_too(header: bytes) -> None:
    sizes = range(min(len(header), 3000) + 1)
    outcomes = [outcome(header[:size]) for size in sizes]
    first = outcomes.index(BadProxyHeader)
    assert outcomes[:first] == [None] * first
    assert set(outcomes[first:]) == {BadProxyHeader}


def test_a_line_that_never_ends_is_refused_at_its_107th_byte() -> None:
    endless = b"PROXY UNKNOWN".ljust(V1_MAX_BYTES)
    assert outcome(endless[:-1]) is None
    assert outcome(endless) is BadProxyHeader


def test_too_long_a_header_is_refused_before_it_has_come() -> None:
    assert outcome(v2(bytes(V2_MAX_BYTES + 1))[:16]) is BadProxyHeader


nearly = st.one_of(
    st.binary(max_size=300),
    st.binary(max_size=100).map(lambda tail: b"PROXY " + tail),
    st.binary(max_size=100).map(lambda tail: b"PROXY TCP4 203.0.113.7 " + tail),
    st.binary(max_size=300).map(lambda tail: SIGNATURE + tail),
    st.tuples(
        st.sampled_from([LOCAL, PROXY]), st.sampled_from([0, TCP4, TCP6, UNIX]), st.binary()
    ).map(lambda made: v2(made[2], command=made[0], family=made[1])),
    st.lists(
        st.sampled_from(
            [b"PROXY ", b"TCP4", b"TCP6", b" ", b"1.2.3.4", b"::1", b"25", b"\r", b"\n"]
        )
    ).map(b"".join),
)


@given(nearly, st.binary(max_size=50))
@example(b"PROXY TCP4 1.2.3.4 1.2.3.4 1 1\r", b"\n")
def test_more_bytes_never_change_what_was_said(data: bytes, more: bytes) -> None:
    before, after = outcome(data), outcome(data + more)
    assert before in (None, after)


@given(nearly)
def test_what_is_read_is_an_address_and_lies_within_the_input(data: bytes) -> None:
    match outcome(data):
        case Proxied(source_ip=source_ip, size_bytes=size_bytes):
            assert outcome(data[:size_bytes]) == outcome(data)
            assert outcome(data[: size_bytes - 1]) is None
            assert source_ip in ("", str(ipaddress.ip_address(source_ip or "::")))


@given(st.ip_addresses(), st.ip_addresses(), st.integers(0, 65535), st.integers(0, 65535))
def test_every_address_and_port_is_read_from_both_versions(
    source: IPv4Address | IPv6Address, target: IPv4Address | IPv6Address, out: int, to: int
) -> None:
    target = source if target.version != source.version else target
    line = b"PROXY TCP%d %s %s %d %d\r\n" % (
        source.version, str(source).encode(), str(target).encode(), out, to,
    )  # fmt: skip
    block = source.packed + target.packed + out.to_bytes(2, "big") + to.to_bytes(2, "big")
    family = TCP4 if source.version == 4 else TCP6
    read = {read_header(line), read_header(v2(block, family=family))}
    plain = (source.version == 6 and source.ipv4_mapped) or source
    assert {header.source_ip for header in read if header} == {str(plain)}


async def test_nginx_says_whom_it_speaks_for() -> None:
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.put_nowait(await reader.readuntil(b"EHLO\r\n"))
        writer.close()

    async with asyncio.timeout(60), await asyncio.start_server(hear, HOST) as server:
        upstream = server.sockets[0].getsockname()[1]
        nginx = installed(lambda: NginxProxy(upstream=upstream))
        with nginx:
            client = await asyncio.open_connection(HOST, nginx.port, local_addr=("127.0.0.7", 0))
            client[1].write(b"EHLO\r\n")
            data = await heard.get()
            client[1].close()
    header = read_header(data)
    assert header is not None
    assert header.source_ip == "127.0.0.7"
    assert data[header.size_bytes :] == b"EHLO\r\n"

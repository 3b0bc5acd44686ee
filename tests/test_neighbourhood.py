"""Whose address a connection shows."""

from __future__ import annotations

import sys
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpd.neighbourhood import ADDRESSES_REMEMBERED, Neighbourhood, _parsed, default_gateways

BRIDGE = "172.17.0.1"
CLIENTS = ["8.8.8.8", "2a01:4f8::1", "::ffff:8.8.8.8", "172.32.0.1", "100.128.0.1"]
IN_BETWEEN = [
    "127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1",  # ourselves
    "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "::ffff:10.0.0.1",  # RFC 1918
    "fc00::1", "fd12:3456::1", "fec0::1",  # RFC 4193, and what it replaced
    "169.254.1.1", "fe80::1", "fe80::1%eth0",  # one link
    "100.64.0.1", "100.127.255.255",  # RFC 6598
    "0.0.0.0", "::", "255.255.255.255", "224.0.0.1", "ff02::1", "240.0.0.1",  # nobody's
    "192.0.2.1", "2001:db8::1", "198.18.0.1",  # documentation, benchmarks
]  # fmt: skip
JUNK = [
    "", " ", "unix:/run/socket", "mx.example", "8.8.8", "8.8.8.8.8", "8.8.8.8 ", "8.8.8.08",
    "8.8.8.8%eth0", "[8.8.8.8]", "8.8.8.0/24", "2a01:4f8::1::", "\ud800", "\0", "٨.٨.٨.٨",
    "9" * 100_000, ":" * 100_000, "2a01:4f8::1%" + "x" * 100_000,
]  # fmt: skip


@pytest.mark.parametrize("ip", CLIENTS)
def test_a_public_address_is_the_clients_own(ip: str) -> None:
    assert Neighbourhood().knows(ip)
    assert not Neighbourhood().trusts(ip)


@pytest.mark.parametrize("ip", IN_BETWEEN)
def test_an_address_that_no_client_has_across_the_internet_is_not_known(ip: str) -> None:
    assert not Neighbourhood().knows(ip)


@pytest.mark.parametrize("ip", JUNK, ids=lambda ip: ip[:20].encode("unicode_escape").decode())
def test_what_is_no_address_is_nobody_and_never_an_error(ip: str) -> None:
    everybody = Neighbourhood(trusted=("0.0.0.0/0", "::/0"))
    assert not everybody.knows(ip)
    assert not everybody.trusts(ip)


@given(st.text() | st.from_regex(r"[0-9a-f:.%/]{1,50}"))
def test_no_text_is_an_error(text: str) -> None:
    near = Neighbourhood(trusted=("10.0.0.0/8",), gateways=frozenset({BRIDGE}))
    assert not near.trusts(text) or near.knows(text)


@given(st.ip_addresses())
def test_an_ipv4_client_is_the_same_on_a_socket_of_both_families(ip: object) -> None:
    near = Neighbourhood(trusted=("10.0.0.0/8", "192.0.0.0/16"))
    if isinstance(ip, IPv4Address):
        assert near.knows(str(ip)) == near.knows(f"::ffff:{ip}")
        assert near.trusts(str(ip)) == near.trusts(f"::ffff:{ip}")


@pytest.mark.parametrize(
    ("network", "inside", "outside"),
    [
        ("10.1.0.0/16", "10.1.255.255", "10.2.0.0"),
        ("10.1.2.3/32", "10.1.2.3", "10.1.2.4"),
        ("10.1.0.0/16", "::ffff:10.1.0.1", "::ffff:10.2.0.1"),
        ("::ffff:10.1.0.0/112", "10.1.0.1", "10.2.0.1"),
        ("fd00::/8", "fd12::1", "fc12::1"),
        ("127.0.0.0/8", "127.0.0.1", "::1"),
        ("fe80::/10", "fe80::1%eth0", "fd00::1"),
    ],
)
def test_a_trusted_network_is_believed_to_its_edge(network: str, inside: str, outside: str) -> None:
    near = Neighbourhood(trusted=(network,), gateways=frozenset({inside}))
    assert near.trusts(inside)
    assert near.knows(inside)
    assert not near.trusts(outside)
    assert not near.knows(outside)


def test_a_public_address_may_be_a_trusted_proxys() -> None:
    near = Neighbourhood(trusted=("8.8.8.0/24",))
    assert near.trusts("8.8.8.8")
    assert not near.trusts("8.8.9.8")


@pytest.mark.parametrize("gateway", ["8.8.8.8", "2a01:4f8::1", "2A01:04F8:0::1"])
def test_the_way_out_is_no_client_even_where_its_address_is_public(gateway: str) -> None:
    near = Neighbourhood(gateways=frozenset({gateway}))
    assert not near.knows(gateway)
    assert near.knows("8.8.4.4")


def test_the_gateways_of_the_default_routes_are_read(tmp_path: Path) -> None:
    gateway = int.from_bytes(IPv4Address(BRIDGE).packed, sys.byteorder)
    other = int.from_bytes(IPv4Address("172.17.0.9").packed, sys.byteorder)
    (tmp_path / "route").write_text(
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
        f"eth0\t00000000\t{gateway:08X}\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
        f"eth0\t0000000A\t{other:08X}\t0003\t0\t0\t0\t000000FF\t0\t0\t0\n"
        "eth0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n"
        "ppp0\t00000000\t00000000\t0001\t0\t0\t0\t00000000\t0\t0\t0\n"
    )
    nowhere, length, end = "0" * 32, "00", "00000400 00000001 00000000"
    via = "fd000000000000000000000000000001"
    (tmp_path / "ipv6_route").write_text(
        f"{nowhere} {length} {nowhere} 00 {via} {end} 00000003 eth0\n"
        f"fd{nowhere[2:]} 40 {nowhere} 00 {via[:-1]}2 {end} 00000003 eth0\n"
        f"{nowhere} {length} {nowhere} 00 {nowhere} {end} 00200200 lo\n"
    )
    assert default_gateways(tmp_path) == {BRIDGE, "fd00::1"}


@pytest.mark.parametrize("text", [None, "", "nonsense\n", "\n\n", "Iface\tDestination\n"])
def test_tables_that_are_not_there_or_empty_name_no_gateway(
    tmp_path: Path, text: str | None
) -> None:
    if text is not None:
        (tmp_path / "route").write_text(text)
        (tmp_path / "ipv6_route").write_text(text)
    assert default_gateways(tmp_path) == frozenset()


def test_this_machines_own_tables_can_be_read() -> None:
    assert all(Neighbourhood(trusted=(ip,)).trusts(ip) for ip in default_gateways())


def test_a_network_that_is_none_is_refused_at_birth() -> None:
    with pytest.raises(ValueError, match="10"):
        Neighbourhood(trusted=("10.0.0.0.0/8",))


def test_what_is_remembered_of_strangers_is_bounded() -> None:
    near = Neighbourhood()
    for number in range(2 * ADDRESSES_REMEMBERED):
        near.knows(str(IPv4Address(number)))
    assert _parsed.cache_info().currsize == ADDRESSES_REMEMBERED

"""Law 9 for addresses: nothing but public unicast, in whatever clothes it comes.

The ranges are those of the IANA special-purpose address registries (RFC 6890), each with its first
and last address, and the neighbours on both sides where these are public.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetcher.policy.addresses import is_public


def words(text: str) -> list[str]:
    return text.split()


NOT_PUBLIC_V4 = [
    ("0.0.0.0", "0.255.255.255"),
    ("10.0.0.0", "10.255.255.255"),
    ("100.64.0.0", "100.127.255.255"),
    ("127.0.0.0", "127.255.255.255"),
    ("168.63.129.16", "168.63.129.16"),
    ("169.254.0.0", "169.254.255.255"),
    ("172.16.0.0", "172.31.255.255"),
    ("192.0.0.0", "192.0.0.255"),
    ("192.0.2.0", "192.0.2.255"),
    ("192.88.99.0", "192.88.99.255"),
    ("192.168.0.0", "192.168.255.255"),
    ("198.18.0.0", "198.19.255.255"),
    ("198.51.100.0", "198.51.100.255"),
    ("203.0.113.0", "203.0.113.255"),
    ("224.0.0.0", "255.255.255.255"),
]
PUBLIC_V4 = words(
    """
    1.0.0.0 1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255
    128.0.0.0 168.63.129.15 168.63.129.17 169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0
    191.255.255.255 192.0.1.0
    192.0.3.0 192.88.98.255 192.88.100.0 192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0
    198.51.99.255 198.51.101.0 203.0.112.255 203.0.114.0 223.255.255.255
"""
)
NOT_PUBLIC_V6 = words(
    """
    :: ::1 ::2 ::8.8.8.8 ::ffff:0:0 ::ffff:0:8.8.8.8 64:ff9b:1:: 64:ff9b:1::808:808
    64:ff9b:1:ffff:ffff:ffff:ffff:ffff 100:: 100::ffff:ffff:ffff:ffff 100:0:0:1:: 200::1
    1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 2001:1::1 2001:2::1 2001:3::1 2001:4:112::1
    2001:10::1 2001:20::1 2001:30::1 2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff 2001:db8::1
    2001:db8:ffff:ffff:ffff:ffff:ffff:ffff 3fff:: 3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff 4000::
    5f00::1 fc00:: fd00:ec2::254 fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff fe80::1
    febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff fec0::1 feff::1 ff02::1 ff0e::1
    ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff
"""
)
PUBLIC_V6 = words(
    """
    2000::1 2001:200:: 2001:4860:4860::8888 2001:db7:ffff::1 2001:db9::1 2003::1
    2606:4700:4700::1111 2620:fe::fe 2a00:1450:4001:800::200e 3ffe:ffff::1 3fff:1000::1
"""
)


def teredo(server: int, client: int) -> int:
    """RFC 4380 section 4: the client's address is stored inverted."""
    return (0x2001_0000 << 96) | (server << 64) | (client ^ 0xFFFF_FFFF)


EMBEDDINGS: dict[str, Callable[[int], int]] = {
    "IPv4-mapped": lambda v4: (0xFFFF << 32) | v4,
    "NAT64": lambda v4: (0x64_FF9B << 96) | v4,
    "6to4": lambda v4: (0x2002 << 112) | (v4 << 80) | 1,
    "Teredo server": lambda v4: teredo(v4, int(IPv4Address("8.8.8.8"))),
    "Teredo client": lambda v4: teredo(int(IPv4Address("8.8.8.8")), v4),
}
EDGES_V4 = [edge for edges in NOT_PUBLIC_V4 for edge in edges]


@pytest.mark.parametrize("address", EDGES_V4)
def test_special_ipv4(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC_V4)
def test_public_ipv4(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("address", NOT_PUBLIC_V6)
def test_special_ipv6(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC_V6)
def test_public_ipv6(address: str) -> None:
    assert is_public(address)


@given(st.sampled_from(NOT_PUBLIC_V4), st.data())
def test_no_address_inside_of_a_special_range_passes(
    edges: tuple[str, str], data: st.DataObject
) -> None:
    first, last = (int(IPv4Address(edge)) for edge in edges)
    v4 = data.draw(st.integers(first, last))
    assert not is_public(str(IPv4Address(v4)))
    embed = EMBEDDINGS[data.draw(st.sampled_from(sorted(EMBEDDINGS)))]
    assert not is_public(str(IPv6Address(embed(v4))))


@pytest.mark.parametrize("how", EMBEDDINGS)
@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "169.254.169.254", "192.168.1.1"])
def test_an_embedded_private_address_does_not_pass(how: str, address: str) -> None:
    assert not is_public(str(IPv6Address(EMBEDDINGS[how](int(IPv4Address(address))))))


@pytest.mark.parametrize("how", EMBEDDINGS)
@pytest.mark.parametrize("address", PUBLIC_V4)
def test_an_embedded_public_address_is_what_it_embeds(how: str, address: str) -> None:
    assert is_public(str(IPv6Address(EMBEDDINGS[how](int(IPv4Address(address))))))


@given(st.integers(0, 2**128 - 1).map(IPv6Address))
def test_ipv6_outside_of_global_unicast_passes_only_if_it_embeds_ipv4(ip: IPv6Address) -> None:
    if not 0x2000 <= int(ip) >> 112 < 0x4000:
        assert not is_public(str(ip)) or ip.ipv4_mapped or int(ip) >> 32 == 0x64_FF9B << 64


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("fe80::1%eth0", False),
        ("fe80::1%1", False),
        ("::1%lo", False),
        ("::ffff:127.0.0.1%eth0", False),
        ("2606:4700:4700::1111%eth0", True),
    ],
)
def test_a_zone_changes_nothing(address: str, public: bool) -> None:  # noqa: FBT001
    assert is_public(address) is public


@pytest.mark.parametrize("spelling", ["0:0:0:0:0:0:0:1", "0000::0001", "::FFFF:7F00:1", "FE80::1"])
def test_spelling_changes_nothing(spelling: str) -> None:
    assert not is_public(spelling)


@pytest.mark.parametrize("text", ["", "a.example", "127.1", "2130706433", "0x7f.0.0.1", "[::1]"])
def test_what_is_no_address_is_refused_loudly(text: str) -> None:
    with pytest.raises(ValueError, match="does not appear to be"):
        is_public(text)

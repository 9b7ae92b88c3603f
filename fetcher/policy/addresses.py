"""Which network addresses may be connected to.

Image lists are untrusted input: a URL must not make this machine talk to its own network. What is
judged is the address that the connection is about to use, not the name that led to it; see
``fetcher.transport.connector``, which hands on only what passed here, so that nothing can be
rebound between the check and the use.

Source of the ranges: the IANA IPv4 and IPv6 special-purpose address registries (RFC 6890), and the
ways to write an IPv4 address inside of an IPv6 one. ``ipaddress`` has such tables too, but they
have changed between patch releases of Python. One address is no special one, and leads to the same
place as clouds' link-local ones: to what configures this machine.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

_NOT_PUBLIC_V4: Final = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this network (RFC 791)
        "10.0.0.0/8",  # private use (RFC 1918)
        "100.64.0.0/10",  # shared by customers of a provider (RFC 6598)
        "127.0.0.0/8",  # loopback (RFC 1122)
        "168.63.129.16/32",  # not special, but what every machine of one cloud reaches its host by
        "169.254.0.0/16",  # link-local (RFC 3927); clouds serve their metadata there
        "172.16.0.0/12",  # private use
        "192.0.0.0/24",  # protocol assignments (RFC 6890)
        "192.0.2.0/24",  # documentation (RFC 5737)
        "192.88.99.0/24",  # 6to4 relays, deprecated (RFC 7526)
        "192.168.0.0/16",  # private use
        "198.18.0.0/15",  # benchmarks (RFC 2544)
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast (RFC 5771)
        "240.0.0.0/4",  # reserved, and broadcast (RFC 1112)
    )
)
_UNICAST_V6: Final = IPv6Network("2000::/3")  # RFC 4291: all that is assigned as global unicast
_NOT_PUBLIC_V6: Final = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments (RFC 2928)
        "2001:db8::/32",  # documentation (RFC 3849)
        "3fff::/20",  # documentation (RFC 9637)
    )
)
_NAT64: Final = IPv6Network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an IPv4 address


def is_public(address: str) -> bool:
    """Whether ``address`` (any textual form that ``ipaddress`` reads, with or without a zone) is a
    globally reachable unicast address; one that embeds IPv4 addresses is what these are.

    Raises ``ValueError`` if it is no address at all.
    """
    ip = ip_address(address.partition("%")[0])
    if isinstance(ip, IPv4Address):
        return _is_public_v4(ip)
    if embedded := _embedded(ip):
        return all(_is_public_v4(v4) for v4 in embedded)
    return ip in _UNICAST_V6 and not any(ip in network for network in _NOT_PUBLIC_V6)


def _is_public_v4(ip: IPv4Address) -> bool:
    return not any(ip in network for network in _NOT_PUBLIC_V4)


def _embedded(ip: IPv6Address) -> tuple[IPv4Address, ...]:
    """The IPv4 addresses that a packet to ``ip`` may end up at."""
    if ip.ipv4_mapped is not None:
        return (ip.ipv4_mapped,)
    if ip in _NAT64:
        return (IPv4Address(int(ip) & 0xFFFF_FFFF),)
    if ip.sixtofour is not None:
        return (ip.sixtofour,)
    if ip.teredo is not None:
        return ip.teredo
    return ()

"""URLs and names that mean to make this machine talk to its own network. No packet leaves it."""

from __future__ import annotations

import ssl

import aiohttp
import pytest

from fetcher.transport.connector import (
    BlockedAddressError,
    CheckedConnector,
    CheckedResolver,
    NameServers,
)
from tests.transport.harness import MakeRig, Names
from tests.transport.test_addresses import (
    PUBLIC,
    PUBLIC_TOO,
    Connections,
    connections,
    ipv6_everywhere,
)

__all__ = ["connections", "ipv6_everywhere"]

REFUSED = [
    # Parts that parsers take for each other.
    "http://public.example@127.0.0.1/",
    "http://public.example:80@127.0.0.1:80/",
    "http://127.0.0.1\\.public.example/",
    "http://public.example%00.127.0.0.1/",
    "http://public.example%2f@10.0.0.1/",
    "http://%31%32%37.0.0.1/",
    "http://127.0.0.1%20/",
    "http://127.0.0.1%2epublic.example/",
    "http://127.0.0.1:080@127.0.0.1/",
    "http:127.0.0.1/",
    "http:///127.0.0.1/",
    # Spellings.
    "http://0/",
    "http://127.0.0.1../",
    "http://0x7f.0x0.0x0.0x1/",
    "http://0177.0.0.01/",
    "http://127.0.513/",
    "http://\N{CIRCLED DIGIT ONE}\N{CIRCLED DIGIT TWO}\N{CIRCLED DIGIT SEVEN}.0.0.1/",
    "http://127\N{IDEOGRAPHIC FULL STOP}0\N{IDEOGRAPHIC FULL STOP}0\N{IDEOGRAPHIC FULL STOP}1/",
    "http://\N{ARABIC-INDIC DIGIT ONE}\N{ARABIC-INDIC DIGIT ZERO}.0.0.1/",
    # IPv4 inside of IPv6.
    "http://[::ffff:169.254.169.254]/",
    "http://[0:0:0:0:0:ffff:10.0.0.1]/",
    "http://[::ffff:0:10.0.0.1]/",
    "http://[::10.0.0.1]/",
    "http://[64:ff9b::169.254.169.254]/",
    "http://[64:ff9b:1::808:808]/",
    "http://[2002:a9fe:a9fe::1]/",
    "http://[2001:0:a00:1::1]/",
    # Ranges.
    "http://[::1%25lo]/",
    "http://[fe80::1%25eth0]/",
    "http://[fec0::1]/",
    "http://[fd00:ec2::254]/",
    "http://[100::1]/",
    "http://[2001:db8::1]/",
    "http://[2001:20::1]/",
    "http://[3fff::1]/",
    "http://[5f00::1]/",
    "http://[ff05::2]/",
    "http://192.0.0.192/",
    "http://192.88.99.1/",
    "http://198.18.0.1/",
    "http://240.0.0.1/",
]


async def test_what_is_refused(make_rig: MakeRig, connections: Connections) -> None:
    names = Names({"public.example": [PUBLIC]})
    rig = make_rig(allow_private=False, parts={"look_up": names})
    for url in REFUSED:
        fault = await rig.fault(url)
        assert fault.code in ("blocked-address", "bad-url", "bad-scheme", "dns-not-found"), url
        assert connections.to == [], url


async def test_what_only_looks_like_it(make_rig: MakeRig, connections: Connections) -> None:
    names = Names({"public.example": [PUBLIC], "127.0.0.1.public.example": [PUBLIC_TOO]})
    rig = make_rig(allow_private=False, parts={"look_up": names})
    for url in (
        "http://public.example#@127.0.0.1/",
        "http://127.0.0.1@public.example/",
        "http://127.0.0.1:80\\@public.example/",
    ):
        assert (await rig.fault(url)).code == "connection-refused"
    assert (await rig.fault("http://127.0.0.1.public.example/")).code == "connection-refused"
    assert {address for tried in connections.to for address in tried} == {PUBLIC, PUBLIC_TOO}


async def test_a_name_is_checked_each_time_that_it_is_looked_up(
    make_rig: MakeRig,
    connections: Connections,
) -> None:
    names = Names({"h.example": [PUBLIC]})
    rig = make_rig(allow_private=False, parts={"look_up": names})
    assert (await rig.fault("http://h.example/")).code == "connection-refused"
    names.table["h.example"] = ["169.254.169.254"]
    rig.transport._requests.pool._connector.clear_dns_cache()  # type: ignore[attr-defined]
    assert (await rig.fault("http://h.example/")).code == "blocked-address"
    assert connections.to == [[PUBLIC]]


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.0.0.1.", "127.1", "2130706433", "::1", "::1%lo", "fe80::1%x", "1:2", "::g"],
)
async def test_nothing_that_looks_like_an_address_passes_the_resolver_by(host: str) -> None:
    """The library connects unasked to what it takes for an address, were it asked for it."""
    servers = NameServers(lambda _: ["127.0.0.1"], patience=1.0)
    resolver = CheckedResolver(servers, {}, allow_private=False)
    connector = CheckedConnector(resolver, tls=ssl.create_default_context)
    try:
        with pytest.raises((BlockedAddressError, OSError, aiohttp.InvalidURL)):
            await connector._resolve_host(host, 80)
    finally:
        await connector.close()
        await servers.close()

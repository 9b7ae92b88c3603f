"""Targets: URLs from lists, redirects from servers, and the addresses that they lead to.

The law behind all of them: who judges a URL, who asks for it and who checks its address must see
the same host in it.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from fetcher.manifest.origins import standing
from fetcher.policy import urls
from fetcher.policy.addresses import is_public
from fetcher.policy.redirects import MAX_HOPS, RedirectRule, resolve
from fetcher.ports import FetchRequest
from fetcher.transport.asking import RefusedError, prepare
from fetcher.transport.connector import (
    BlockedAddressError,
    CheckedResolver,
    NameServers,
    is_address,
)
from scripts.fuzzing.laws import Choices, Target, header, require

_REFUSALS: Final = frozenset({"bad-url", "bad-scheme"})
_SECRET: Final = "s3cr3t"  # noqa: S105  nobody's
_ON_THE_WIRE: Final = re.compile(r"[\x21-\x7e]+")
_UNTOUCHED: Final = re.compile(r"[A-Za-z0-9/_.~!$&'()*+,;=:@%-]*")


def _url(data: bytes) -> None:
    url = Choices(data).rest().decode(errors="surrogateescape")
    judged = urls.judge(url)
    _stands(url, judged)
    _hides(url, judged)
    try:
        asked, headers = prepare(FetchRequest(url, 1, 0, Path("spool")))
    except RefusedError as refused:
        require(refused.code in _REFUSALS, f"the code {refused.code}")
        address = isinstance(judged, urls.Target) and is_address(judged.host)
        require(not (address and url.isascii()), f"{judged} is an address, and refused")
        return
    if isinstance(judged, str):
        return  # never asked for, as it was judged first
    whom = asked.origin.url
    require(whom.scheme == judged.scheme, f"{judged} is asked by {whom.scheme}")
    require(whom.port == judged.port, f"{judged} is asked at port {whom.port}")
    require(asked.origin.host == judged.host, f"{judged} is asked of {asked}")
    require(
        whom.user is None and whom.password is None,
        "the URL on the wire has credentials",
    )
    line = asked.target
    require(line.startswith("/") and _ON_THE_WIRE.fullmatch(line), f"asked for {line!r}")
    _same_path(url, line)
    require("@" in url or not headers, f"headers of nobody: {headers}")
    for value in headers.values():
        require(_ON_THE_WIRE.fullmatch(value.replace(" ", "")), "a header is broken")
    _reaches(judged.host)


def _stands(url: str, judged: urls.Target | str) -> None:
    """The manifest's short cut says what the judge does."""
    stands = standing(url)
    if isinstance(judged, str):
        require((stands.code, stands.host) == (judged, ""), f"{judged}, but stands as {stands}")
    else:
        require((stands.code, stands.host) == (None, judged.host), f"{judged}, stands as {stands}")
        host = f"[{judged.host}]" if ":" in judged.host else judged.host
        again = urls.judge(f"{judged.scheme}://{host}:{judged.port}/")
        require(again == judged, f"{judged} is not its own target")


def _hides(url: str, judged: urls.Target | str) -> None:
    if isinstance(judged, urls.Target):
        for change in (urls.drop_credentials, urls.redact_credentials):
            once = change(url)
            require(change(once) == once, f"{change.__name__} does more the second time")
        bare = urls.judge(urls.drop_credentials(url))
        require(bare == judged, f"without credentials it leads to {bare}")
        require(urlsplit(urls.drop_credentials(url)).username is None, "a user name is left")


def _same_path(url: str, line: str) -> None:
    """Paths that need no change have none: a signature in them would break."""
    parts = urlsplit(url)
    plain = _UNTOUCHED.fullmatch(parts.path) and _UNTOUCHED.fullmatch(parts.query)
    whole = parts.path + (f"?{parts.query}" if parts.query else "")
    if plain and not re.search(r"%(?![0-9A-Fa-f]{2})", whole) and _dotless(parts.path):
        require(line in {whole or "/", f"/{whole}"}, f"{whole} is asked for as {line}")


def _dotless(path: str) -> bool:
    return not any(part in (".", "..") for part in path.split("/"))


def _reaches(host: str) -> None:
    """Whatever a C library would take for an address is checked as the one that it is."""
    try:
        packed = socket.inet_aton(host)
    except (OSError, UnicodeError):
        pass
    else:
        require(is_address(host), f"{host} is an address to some, and a name to us")
        require(ip_address(host).packed == packed, f"{host} is another address to some")
    require(is_address(host) == (host in _checked(host)), f"{host} is looked up, or is not")


def _nobody(_name: str) -> Sequence[str]:
    return ["192.0.2.1"]


@cache
def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()


@cache
def _resolver() -> CheckedResolver:
    return CheckedResolver(NameServers(_nobody, patience=1), {}, allow_private=False)


def _checked(host: str) -> list[str]:
    """What a connection to a literal address would be made to, and that it is public."""
    if not is_address(host):
        return []
    try:
        found = _loop().run_until_complete(_resolver().resolve(host, 80))
    except BlockedAddressError:
        require(not is_public(host), f"{host} is public, and blocked")
        return [host]
    except OSError:
        return [host]  # no way there
    require(is_public(host), f"{host} is not public, and connected to")
    return [str(result["host"]) for result in found]


def _redirect(data: bytes) -> None:
    choices = Choices(data)
    base = _BASES[choices.below(len(_BASES))]
    hops = choices.below(8)
    downgrade = choices.flag()
    location = header(choices.rest())
    target = resolve(base, location)
    target.encode()  # no surrogates
    require(_SECRET in location or _SECRET not in target, "credentials are handed on")
    rule = RedirectRule(("https://*.gone.example/*",), allow_downgrade=downgrade)
    code = rule.judge(base, target, hops)
    judged = urls.judge(target)
    if isinstance(judged, urls.Target):
        require(resolve(base, target) == target, "resolved again, it is another")
    if code is None:
        require(isinstance(judged, urls.Target), "a target that cannot be asked is followed")
        require(hops < MAX_HOPS, "one hop too many")
        secure = base.startswith("https") and not downgrade
        require(not secure or target[:6].lower() == "https:", "a downgrade is followed")
    elif isinstance(judged, str) and code != "placeholder":
        require(code == judged, f"{judged} is told as {code}")
    if isinstance(judged, urls.Target) and re.match(r"[^:/\\?#]*(?:[/?#](?![/\\])|$)", location):
        here = urls.judge(base)
        require(judged == here, f"a relative target leads from {here} to {judged}")
    with suppress(RefusedError):
        asked, headers = prepare(FetchRequest(target, 1, 0, Path("spool")))
        if isinstance(judged, urls.Target):
            require(asked.origin.host == judged.host, f"{judged} is asked of {asked}")
            require("Authorization" not in headers or "@" in location, "credentials are sent on")
            require(asked.origin.url.port == judged.port, "asked at another port")


def _address(data: bytes) -> None:
    text = Choices(data).rest()
    if len(text) in (4, 16):
        text = str(ip_address(text)).encode()
    _judge_address(text.decode(errors="replace"))


def _judge_address(text: str) -> None:
    try:
        public = is_public(text)
    except ValueError:
        return
    ip = ip_address(text.partition("%")[0])
    if not public:
        return
    require(not (ip.is_multicast or ip.is_loopback or ip.is_link_local), f"{ip} is public")
    require(not (ip.is_unspecified or ip.is_reserved) or _wraps(ip), f"{ip} is public")
    require(ip.is_global or _wraps(ip), f"{ip} is public")
    if ip.version == 4:  # noqa: PLR2004  its name
        for wrapped in (f"::ffff:{ip}", f"64:ff9b::{ip}", f"2002:{_groups(ip.packed)}::"):
            require(is_public(wrapped), f"{ip} is public, and {wrapped} is not")
    elif ip.ipv4_mapped is not None:
        require(is_public(str(ip.ipv4_mapped)), f"{ip} hides what is not public")


def _groups(packed: bytes) -> str:
    return f"{packed[:2].hex()}:{packed[2:].hex()}"


def _wraps(ip: object) -> bool:
    """Whether it holds an IPv4 address, which was judged in its place."""
    return isinstance(ip, IPv6Address) and bool(
        ip.ipv4_mapped or ip.sixtofour or ip.teredo or str(ip).startswith("64:ff9b::")
    )


_BASES: Final = (
    "https://a.example/x/y.jpg",
    "http://a.example",
    f"https://me:{_SECRET}@a.example:8443/x?y#z",
    "http://[2001:db8::1]:81/a/b/../c",
    f"http://u@{_SECRET}@a.example/x",
)
_URLS: Final = (
    "https://farm1.staticflickr.com/5/a_o.jpg", "http://a.example:8080/x?y=1#z", "HTTP://A.EXAMPLE",
    "http://user:p%40w@a.example/x", "http://a。example/é?é#é", "http://xn--bcher-kva.example./",
    "http://127.0.0.1/", "http://0x7f.1/", "http://0177.0.0.1/", "http://2130706433/",
    "http://127.1/", "http://[::1]/", "http://[::ffff:127.0.0.1]:80/",
    "http://[fe80::1%25eth0]/", "http://\uff11\uff12\uff17.0.0.1/", "http://a.example\\@b.example/",
    "http://a.example@b.example:80/", "http://a%2eb/", "http://ß.de/", "//b.example/x",
    "/\\b.example/x", "..//../x", "?x", "#x", "x:y", "https:///x", "https:x",
    "http://a.example/%2e%2e/%zz%2F?%26=+", "http://a.example:080/", "http://a.example:/",
    "data:,x", "javascript:alert(1)", "file:///etc/passwd", "http://1.2.3.4.5/", "http://a.0/",
    "http://0/", "http://ⅷ.example/", "http://a\u00ad.example/", "http://a\u200d.example/",
    "http://①.example/x",
)  # fmt: skip
_URL_WORDS: Final = (
    b"http://", b"https://", b"//", b"@", b":80", b"[::1]", b"%40", b"%00", b"\\", b"%2e", b"..",
    b"xn--", b"localhost", b"0x7f", b"#", b"?", b"\xff",
    *(letter.encode() for letter in "。\uff11\u0130ß\u017f\u212a\u00ad\u200d℀"),
)  # fmt: skip
_ADDRESSES: Final = (
    "127.0.0.1", "10.0.0.1", "8.8.8.8", "192.88.99.1", "192.0.0.9", "::1", "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8", "2002:0808:0808::", "2002:7f00:1::", "2001:0:808:808::f7f7:f7f7",
    "fe80::1%x", "2606:4700::1", "::8.8.8.8", "64:ff9b:1::8.8.8.8", "ff02::1", "fc00::1",
    "3fff::1", "5f00::1",
)  # fmt: skip

TARGETS: Final = (
    Target(
        "url",
        "what is judged to be fetchable is asked of that very host and port, or refused; the "
        "request line is clean, no credentials are on it, and an address is no name to anybody",
        _url,
        tuple(url.encode() for url in _URLS),
        _URL_WORDS,
        longest=256,
    ),
    Target(
        "redirect",
        "nothing is raised; what is resolved stays resolved, leads where it says, hands on no "
        "credentials, and is followed only if the rules allow it",
        _redirect,
        tuple(bytes([n, n % 7, n // 2]) + url.encode() for n, url in enumerate(_URLS)),
        (*_URL_WORDS, b"https://x.gone.example/"),
        longest=256,
    ),
    Target(
        "address",
        "only ValueError; what is public is so by the standard library, too, in every wrapping",
        _address,
        (
            *(address.encode() for address in _ADDRESSES),
            *(ip_address(address.partition("%")[0]).packed for address in _ADDRESSES),
        ),
        (b"::", b"ffff", b"%", b"64:ff9b::", b"2002:"),
        longest=64,
    ),
)

"""What makes a URL fetchable, judged from its text alone.

The list's URLs are not trusted: they may lack a host, name another scheme, carry credentials or
control characters. Whether the host's *address* is allowed is decided where it is known, at the
connection (``fetcher.policy.addresses``).
"""

from __future__ import annotations

import re
from ipaddress import IPv6Address
from typing import Final
from urllib.parse import SplitResult, urlsplit

import idna
from msgspec import Struct

_SCHEMES: Final = frozenset({"http", "https"})
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}

# Wider than RFC 952 by the underscore, which real hosts have. What else a parser may take for a
# part of a name (a backslash, a percent sign) other parsers take for something else.
_NAME: Final = re.compile(r"[a-z0-9._-]{0,252}[a-z0-9_-]")
_IPV6: Final = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::[0-9]*)?")
# The scheme, the slashes, and what stands before the last "@" of the authority (RFC 3986 section
# 3.2.1); so put that it also finds this in what urlsplit refuses.
_USERINFO_WITHIN: Final = re.compile(r"(?<=//)[^/?#]*@")
# Possessive, as what the second group gives back is of no use, and is tried for each space of many.
_USERINFO: Final = re.compile(r"([^/?#@:]*+:)?([/\s]*+)[^/?#]*@")


class Target(Struct, frozen=True):
    """Where a URL leads. ``host`` has one spelling: lower case, in A-labels (RFC 5890), without a
    trailing dot; an IPv6 address is compressed and has no brackets.
    """

    scheme: str
    host: str
    port: int


def judge(url: str) -> Target | str:
    """The target of ``url``, or the code that says why it has none: bad-url, bad-scheme."""
    # urlsplit drops tabs and newlines silently, as browsers do; here they are a damaged row.
    if not url or any(c <= " " or c == "\x7f" for c in url):
        return "bad-url"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "bad-url"
    if not parts.scheme:
        return "bad-url"
    if parts.scheme not in _SCHEMES:
        return "bad-scheme"
    host = _host(parts)
    if host is None or port == 0:
        return "bad-url"
    return Target(parts.scheme, host, port or _DEFAULT_PORTS[parts.scheme])


def _host(parts: SplitResult) -> str | None:
    authority = parts.netloc.rpartition("@")[2]
    try:
        if authority.startswith("["):
            literal = _IPV6.fullmatch(authority)
            return IPv6Address(literal[1]).compressed if literal is not None else None
        name = _in_a_labels((parts.hostname or "").removesuffix(".")).lower()
    except ValueError:
        return None
    return name if _NAME.fullmatch(name) else None


def _in_a_labels(name: str) -> str:
    """By UTS 46, as browsers and the HTTP client read names: to IDNA 2003, which Python has built
    in, ``straße.example`` and ``strasse.example`` are one host. What only IDNA 2003 knows (emoji)
    is read by that, as the client does, too. Raises ``ValueError``.
    """
    if not name.isascii():
        try:
            return idna.encode(name, uts46=True).decode()
        except UnicodeError:
            pass
    return name.encode("idna").decode()


def drop_credentials(url: str) -> str:
    """``url`` without user name and password."""
    if "@" not in url:
        return url
    return _USERINFO.sub(r"\1\2", url, count=1) if _USERINFO.match(url) else url


def redact_credentials(url: str) -> str:
    """``url`` as it may be shown: user name and password replaced by ``***``."""
    return _USERINFO.sub(r"\1\2***@", url, count=1) if _USERINFO.match(url) else url


def redact_within(text: str) -> str:
    """``text``, which may have URLs in it (a command line, say), with ``***`` for credentials."""
    return _USERINFO_WITHIN.sub("***@", text)

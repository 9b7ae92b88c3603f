"""What of a ``FetchRequest`` goes over the wire: its URL, and the headers of this one request.

The URL is asked for as it is written. It comes from a list or from a server, so what the client
library would take for something else than it seems is refused here.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final
from urllib.parse import quote, unquote, urlsplit

from msgspec import Struct
from yarl import URL

from fetcher.model import Method
from fetcher.policy import ranges, sniff, urls
from fetcher.ports import FetchRequest
from fetcher.transport.connector import canonical, is_address

# What the URL standard of browsers calls "ends in a number": an IPv4 address to some parser.
_NUMERIC: Final = re.compile(r"(.*\.)?([0-9]+|0x[0-9a-f]*)")
# All that may stand in a path or a query, and the sign of what is escaped already.
_AS_IT_IS: Final = "!#$%&'()*+,/:;=?@[]~-._"
# Nothing to escape and nothing that could be taken for something else: nearly all URLs of a list.
_PLAIN: Final = re.compile(r"(https?://[a-z0-9.-]+(?::[0-9]{1,5})?)(/[A-Za-z0-9/_.~-]*)")
_CONTROL: Final = re.compile(r"[\x00-\x20\x7f]")


class RefusedError(Exception):
    """The URL cannot be asked for. The text never quotes it, as it may hold a password."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


Place = tuple[str, str, int | None]
"""Scheme, host and port."""


class Origin(Struct, frozen=True):
    """Whom to connect to."""

    url: URL
    place: Place
    host: str
    """As ``canonical`` spells it."""


class Destination(Struct, frozen=True):
    """Whom to ask, and for what: the path and query of a request line (RFC 9112 section 3.2.1)."""

    origin: Origin
    target: str


def prepare(request: FetchRequest) -> tuple[Destination, dict[str, str]]:
    """Destination and headers of the request. Raises ``RefusedError``."""
    headers = ranges.request_headers(request.partial) if request.partial is not None else {}
    if request.method is Method.PROBE:
        headers = {"Range": f"bytes=0-{sniff.HEAD - 1}"}
    try:
        if "@" in request.url:
            headers |= _authorization(request.url)
        return _destination(urls.drop_credentials(request.url)), headers
    except ValueError as error:
        raise RefusedError("bad-url", "the URL cannot be parsed") from error


def header_lines(headers: Mapping[str, str]) -> bytes:
    """Header lines (RFC 9112 section 5). Raises ``ValueError`` for what would make more of them."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    if lines.count("\n") != len(headers) or lines.count("\r") != len(headers) or "\0" in lines:
        raise ValueError("a header has a line break")
    return lines.encode("utf-8")


def _authorization(url: str) -> dict[str, str]:
    """HTTP Basic (RFC 7617) for user name and password, if ``url`` has them."""
    parts = urlsplit(url)
    if parts.username is None:
        return {}
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def _destination(text: str) -> Destination:
    plain = _PLAIN.fullmatch(text)
    if plain is not None:
        return Destination(_origin(plain[1]), plain[2])
    url = _url(text)
    return Destination(_origin_of(url), url.raw_path_qs)


@lru_cache(maxsize=4_096)
def _origin(text: str) -> Origin:
    """Lists name the same few origins again and again."""
    return _origin_of(_url(text + "/"))


def _origin_of(url: URL) -> Origin:
    origin = url.origin()
    host = origin.raw_host or ""
    return Origin(origin, (origin.scheme, host, origin.port), canonical(host))


@lru_cache(maxsize=4_096)
def _host_fault(host: str) -> str | None:
    """Why ``host`` cannot be asked; lists name the same few hosts again and again."""
    host = canonical(host)
    if not host:
        return "the URL has no host"
    if _NUMERIC.fullmatch(host) and not is_address(host):
        return f"{host} is no canonical address"
    if "%" in host and ":" not in host:
        return "the host has an escape, which may mean another one"
    return None


def _target(url: URL) -> urls.Target:
    return urls.Target(url.scheme, canonical(url.raw_host or ""), url.port or 0)


def _url(text: str) -> URL:
    if _CONTROL.search(text):
        raise RefusedError("bad-url", "the URL has control characters")
    if not text.isascii():
        text.encode()  # what cannot be is dropped by the library, which leaves another URL
    judged = urls.judge(text)
    if isinstance(judged, str):
        raise RefusedError(judged, "the URL is refused")
    url = URL(text)
    if _target(url) != judged:
        # Whose budget is charged, and whose consent was asked, must be who is asked.
        raise RefusedError("bad-url", "its host can be read in two ways")
    fault = _host_fault(url.raw_host or "")
    if fault is not None:
        raise RefusedError("bad-url", fault)
    if "%" not in text:
        return url
    # The library would take escapes off where RFC 3986 says that they make no difference. They do
    # where a URL is signed.
    parts = urlsplit(text)
    return URL.build(
        scheme=url.scheme,
        authority=url.raw_authority,
        path=quote(parts.path or "/", safe=_AS_IT_IS),
        query_string=quote(parts.query, safe=_AS_IT_IS),
        encoded=True,
    )

"""The one place where the client library's exceptions, and the system's, become codes.

Codes come from types and error numbers, never from message text. Whoever has taken from an
exception what there is to tell lets it go.
"""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Iterator
from typing import Final

import aiohttp

from fetcher.transport.connector import BlockedAddressError

_BY_ERRNO: Final = {
    errno.ECONNREFUSED: "connection-refused",
    errno.ECONNRESET: "connection-reset",
    errno.ECONNABORTED: "connection-reset",
    errno.EPIPE: "connection-reset",
    errno.ETIMEDOUT: "connect-timeout",
    errno.EHOSTUNREACH: "host-unreachable",
    errno.EHOSTDOWN: "host-unreachable",
    errno.ENETUNREACH: "no-route",
    errno.ENETDOWN: "no-route",
    errno.EADDRNOTAVAIL: "no-route",
    errno.EACCES: "no-route",  # a firewall of this machine
    errno.EPERM: "no-route",
    errno.EMFILE: "out-of-descriptors",
    errno.ENFILE: "out-of-descriptors",
    errno.ENOBUFS: "out-of-descriptors",
    errno.ENOMEM: "out-of-descriptors",
}

_BY_GAIERROR: Final = {
    socket.EAI_NONAME: "dns-not-found",
    socket.EAI_NODATA: "dns-not-found",
    socket.EAI_MEMORY: "out-of-descriptors",
}

PROXY_REFUSES_US: Final = 407
"""Proxy Authentication Required: about the configuration, and not about any one host."""

# The first match decides; subclasses stand before their bases.
_BY_TYPE: Final[tuple[tuple[type[Exception], str], ...]] = (
    (BlockedAddressError, "blocked-address"),
    (MemoryError, "out-of-descriptors"),
    (aiohttp.ConnectionTimeoutError, "connect-timeout"),
    (aiohttp.SocketTimeoutError, "stalled"),
    (TimeoutError, "total-timeout"),
    (aiohttp.ClientSSLError, "tls-error"),
    (ssl.SSLError, "tls-error"),
    (aiohttp.ClientProxyConnectionError, "proxy-unreachable"),
    (aiohttp.InvalidURL, "bad-url"),
)
_BY_TYPE_AT_LAST: Final[tuple[tuple[type[Exception], str], ...]] = (
    (aiohttp.ClientPayloadError, "truncated"),
    (aiohttp.ClientConnectionError, "connection-reset"),
    (OSError, "connection-reset"),
)


def classify(error: BaseException) -> str:
    """The code for an exception that ended a request before or while its body was read."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return _dns_code(error.os_error)
    if isinstance(error, aiohttp.ClientHttpProxyError):
        # It answers, and cannot or will not reach this very host, unless it refuses us.
        return "proxy-unreachable" if error.status == PROXY_REFUSES_US else "host-unreachable"
    return (
        _by_type(error, _BY_TYPE)
        or next(filter(None, map(_by_cause, _chain(error))), None)
        or _by_type(error, _BY_TYPE_AT_LAST)
        or "protocol-error"
    )


def let_go(error: BaseException) -> None:
    """Forget through which frames ``error`` came, and what caused it.

    The library keeps an exception where it raises it again: at the connection and at the stream.
    The frames that it passes know both, and what has come of the body. That is a ring: nothing of
    it is freed before the collector looks, and until then it counts against no budget.
    """
    for one in _all_behind(error):
        one.__traceback__ = None


def _all_behind(error: BaseException) -> Iterator[BaseException]:
    """``error``, and all that was raised on the way to it."""
    seen: set[int] = set()
    left = [error]
    while left:
        one = left.pop()
        if id(one) not in seen:
            seen.add(id(one))
            yield one
            left += [before for before in (one.__cause__, one.__context__) if before is not None]


def _by_type(error: BaseException, table: tuple[tuple[type[Exception], str], ...]) -> str | None:
    return next((code for kind, code in table if isinstance(error, kind)), None)


def _by_cause(cause: BaseException) -> str | None:
    if isinstance(cause, ssl.SSLError):
        return "tls-error"
    if not isinstance(cause, OSError):
        return None
    if cause.errno == errno.ETIMEDOUT and not isinstance(cause, aiohttp.ClientConnectorError):
        return "connection-reset"  # the kernel gave up on a connection that stood
    return _BY_ERRNO.get(cause.errno or 0)


def _dns_code(error: OSError) -> str:
    if not isinstance(error, socket.gaierror):
        return _BY_ERRNO.get(error.errno or 0, "dns-failure")
    return _BY_GAIERROR.get(error.errno or 0, "dns-failure")


def _chain(error: BaseException) -> Iterator[BaseException]:
    """``error`` and what caused it, as far as the library says."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        if isinstance(current, aiohttp.ClientConnectorError):
            current = current.os_error
        else:
            current = current.__cause__ or current.__context__

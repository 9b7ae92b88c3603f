"""What every code means: one table.

A code says why an asset is not (yet) verified. It is stable for ever, grouped on in reports, and
comes from types and numbers, never from message text. Each has a fate (what the engine does next)
and the state in which an asset ends when this code is its last word.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from fetcher.model import Fate, State


class CodeInfo(Struct, frozen=True):
    """``state`` is meaningless for local faults: they settle nothing."""

    code: str
    fate: Fate
    state: State
    meaning: str


_T, _P, _L = Fate.TRANSIENT, Fate.PERMANENT, Fate.LOCAL

_TABLE: Final = (
    # The host says that the image is not there.
    CodeInfo("http-404", _P, State.GONE, "the host answered 404 Not Found"),
    CodeInfo("http-410", _P, State.GONE, "the host answered 410 Gone"),
    CodeInfo("placeholder", _P, State.GONE, "redirected to, or served, a known placeholder"),
    CodeInfo("dns-not-found", _P, State.GONE, "the host name does not exist"),
    # The host, or its owner, does not let us.
    CodeInfo("http-401", _P, State.DENIED, "the host answered 401 Unauthorized"),
    CodeInfo("http-403", _P, State.DENIED, "the host answered 403 Forbidden"),
    CodeInfo("http-451", _P, State.DENIED, "the host answered 451 Unavailable For Legal Reasons"),
    CodeInfo("robots", _P, State.DENIED, "the host's robots.txt does not allow it"),
    CodeInfo("opted-out", _P, State.DENIED, "the answer's X-Robots-Tag asks not to take it"),
    # Something arrived, but it is not the listed image.
    CodeInfo("size-mismatch", _P, State.MISMATCHED, "arrived whole, with another size than listed"),
    CodeInfo("md5-mismatch", _P, State.MISMATCHED, "the listed size, with another MD5 than listed"),
    CodeInfo("not-an-image", _P, State.MISMATCHED, "the bytes are no image: HTML, XML, text …"),
    CodeInfo("too-large", _P, State.MISMATCHED, "larger than fetch.max_bytes; not fetched whole"),
    # The list's URL, or where it leads, is not to be requested.
    CodeInfo("bad-url", _P, State.INVALID, "the URL cannot be parsed, or has no host"),
    CodeInfo("bad-scheme", _P, State.INVALID, "the URL's scheme is neither http nor https"),
    CodeInfo(
        "blocked-address",
        _P,
        State.INVALID,
        "leads to an address that is not public; see network.allow_private_addresses, "
        "then fetcher retry DIR --code blocked-address",
    ),
    CodeInfo("insecure-redirect", _P, State.INVALID, "an https URL redirects to plain http"),
    # Whoever touches it dies.
    CodeInfo(
        "crashed",
        _P,
        State.FAILED,
        "worker processes died over it, one by one, that had nothing else",
    ),
    # May pass.
    CodeInfo("rate-limited", _T, State.FAILED, "the host answered 429 Too Many Requests"),
    CodeInfo("http-5xx", _T, State.FAILED, "the host answered with a server error"),
    CodeInfo("http-4xx", _T, State.FAILED, "the host answered with another client error"),
    CodeInfo("http-unexpected", _T, State.FAILED, "a status that makes no sense for a GET"),
    CodeInfo("connect-timeout", _T, State.FAILED, "no connection within fetch.timeout.connect"),
    CodeInfo("stalled", _T, State.FAILED, "no byte for fetch.timeout.stall"),
    CodeInfo("total-timeout", _T, State.FAILED, "not done within fetch.timeout.total"),
    CodeInfo("connection-refused", _T, State.FAILED, "nobody listens at the host's port"),
    CodeInfo("connection-reset", _T, State.FAILED, "the connection broke"),
    CodeInfo("host-unreachable", _T, State.FAILED, "the network knows no way to this host"),
    CodeInfo("truncated", _T, State.FAILED, "the body ended before its declared length"),
    CodeInfo("range-mismatch", _T, State.FAILED, "asked for the rest, the host sent another part"),
    CodeInfo(
        "tls-error", _T, State.FAILED, "no TLS session, or a certificate that does not verify"
    ),
    CodeInfo("dns-failure", _T, State.FAILED, "the name server failed for this host name"),
    CodeInfo("too-many-redirects", _T, State.FAILED, "more than 5 redirects"),
    CodeInfo(
        "content-coding", _T, State.FAILED, "compressed, unasked, in a way that is not taken off"
    ),
    CodeInfo("protocol-error", _T, State.FAILED, "the answer is not valid HTTP"),
    CodeInfo(
        "robots-unreachable",
        _T,
        State.FAILED,
        "the host answers, but not with its robots.txt, so nothing else may be asked",
    ),
    # Ours: no attempt is charged, nothing is settled.
    CodeInfo("no-route", _L, State.PENDING, "this machine has no route to the network"),
    CodeInfo("network-down", _L, State.PENDING, "hosts of different owners all fell silent"),
    CodeInfo(
        "out-of-descriptors",
        _L,
        State.PENDING,
        "this process may open no more files, or there is no memory left",
    ),
    CodeInfo(
        "resolver-unreachable",
        _L,
        State.PENDING,
        "no name server answers, or it knows no name at all",
    ),
    CodeInfo("proxy-unreachable", _L, State.PENDING, "the configured proxy does not answer"),
    CodeInfo("worker-lost", _L, State.PENDING, "a worker process died with the request"),
    CodeInfo("disk-full", _L, State.PENDING, "no room, or less than store.min_free, is left"),
    CodeInfo("disk-error", _L, State.PENDING, "the disk answers with errors, or is read-only"),
)

CODES: Final[dict[str, CodeInfo]] = {info.code: info for info in _TABLE}


def fate(code: str) -> Fate:
    return CODES[code].fate


def final_state(code: str) -> State:
    return CODES[code].state

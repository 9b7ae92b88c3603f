"""The table from exceptions to codes, as the client library raises them."""

from __future__ import annotations

import errno
import socket
import ssl

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.http import HttpProcessingError
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from fetcher.model import Fate
from fetcher.policy.codes import CODES
from fetcher.transport import faults
from fetcher.transport.connector import BlockedAddressError
from fetcher.transport.faults import classify
from fetcher.transport.pool import Pool
from tests.transport.harness import Rig

KEY = ConnectionKey("host", 80, False, True, None, None, None)


def on_connecting(error: OSError) -> Exception:
    return aiohttp.ClientConnectorError(KEY, error)


def while_connected(error: OSError) -> Exception:
    return aiohttp.ClientOSError(*error.args)


def on_looking_up(error: OSError) -> Exception:
    return aiohttp.ClientConnectorDNSError(KEY, error)


def caused(error: Exception, cause: BaseException) -> Exception:
    error.__cause__ = cause
    return error


def from_proxy(status: int) -> Exception:
    info = aiohttp.RequestInfo(URL("http://h"), "CONNECT", CIMultiDictProxy(CIMultiDict()))
    return aiohttp.ClientHttpProxyError(info, (), status=status)


ERRNO = {
    # number: (on connecting, while connected)
    errno.ECONNREFUSED: ("connection-refused", "connection-refused"),
    errno.ECONNRESET: ("connection-reset", "connection-reset"),
    errno.ECONNABORTED: ("connection-reset", "connection-reset"),
    errno.EPIPE: ("connection-reset", "connection-reset"),
    errno.ETIMEDOUT: ("connect-timeout", "connection-reset"),
    errno.EHOSTUNREACH: ("host-unreachable", "host-unreachable"),
    errno.EHOSTDOWN: ("host-unreachable", "host-unreachable"),
    errno.ENETUNREACH: ("no-route", "no-route"),
    errno.ENETDOWN: ("no-route", "no-route"),
    errno.EADDRNOTAVAIL: ("no-route", "no-route"),
    errno.EACCES: ("no-route", "no-route"),
    errno.EPERM: ("no-route", "no-route"),
    errno.EMFILE: ("out-of-descriptors", "out-of-descriptors"),
    errno.ENFILE: ("out-of-descriptors", "out-of-descriptors"),
    errno.ENOBUFS: ("out-of-descriptors", "out-of-descriptors"),
    errno.ENOMEM: ("out-of-descriptors", "out-of-descriptors"),
    errno.ENOPROTOOPT: ("connection-reset", "connection-reset"),
    None: ("connection-reset", "connection-reset"),
}


@pytest.mark.parametrize("number", ERRNO)
def test_errors_of_the_system(number: int | None) -> None:
    error = OSError(number, "text") if number is not None else OSError("Multiple exceptions: …")
    connecting, connected = ERRNO[number]
    assert classify(on_connecting(error)) == connecting
    assert classify(while_connected(error)) == connected
    broken = aiohttp.ClientPayloadError("Response payload is not completed")
    assert classify(caused(broken, while_connected(error))) in (connected, "truncated")


def test_every_number_of_the_table_is_in_the_test() -> None:
    assert set(faults._BY_ERRNO) < set(ERRNO)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (socket.gaierror(socket.EAI_NONAME, "x"), "dns-not-found"),
        (socket.gaierror(socket.EAI_NODATA, "x"), "dns-not-found"),
        (socket.gaierror(socket.EAI_AGAIN, "x"), "dns-failure"),
        (socket.gaierror(socket.EAI_FAIL, "x"), "dns-failure"),
        (socket.gaierror(socket.EAI_MEMORY, "x"), "out-of-descriptors"),
        # What EAI_SYSTEM stands for is raised as itself.
        (OSError(errno.EMFILE, "x"), "out-of-descriptors"),
        (OSError(errno.EHOSTUNREACH, "x"), "host-unreachable"),
        (OSError("x"), "dns-failure"),
    ],
)
def test_looking_up(error: OSError, code: str) -> None:
    assert classify(on_looking_up(error)) == code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BlockedAddressError("h", ["10.0.0.1"]), "blocked-address"),
        (aiohttp.ConnectionTimeoutError("x"), "connect-timeout"),
        (aiohttp.SocketTimeoutError("x"), "stalled"),
        (TimeoutError(), "total-timeout"),
        (aiohttp.ClientConnectorSSLError(KEY, ssl.SSLError(1, "x")), "tls-error"),
        (
            aiohttp.ClientConnectorCertificateError(KEY, ssl.SSLCertVerificationError(1, "x")),
            "tls-error",
        ),
        (caused(while_connected(OSError(1, "bad record")), ssl.SSLError(1, "x")), "no-route"),
        (caused(aiohttp.ClientOSError("x"), ssl.SSLError(1, "bad record")), "tls-error"),
        (
            aiohttp.ClientProxyConnectionError(KEY, OSError(errno.ECONNREFUSED, "x")),
            "proxy-unreachable",
        ),
        (from_proxy(407), "proxy-unreachable"),
        (from_proxy(403), "host-unreachable"),
        (from_proxy(503), "host-unreachable"),
        (aiohttp.InvalidUrlClientError("x"), "bad-url"),
        (aiohttp.ClientPayloadError("x"), "truncated"),
        (aiohttp.ServerDisconnectedError(), "connection-reset"),
        (aiohttp.ClientConnectionResetError("x"), "connection-reset"),
        (
            caused(aiohttp.ClientConnectionError("x"), OSError(errno.EMFILE, "x")),
            "out-of-descriptors",
        ),
        (MemoryError(), "out-of-descriptors"),
        (HttpProcessingError(message="x"), "protocol-error"),
        (RuntimeError("x"), "protocol-error"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value,
)
def test_types(error: Exception, code: str) -> None:
    assert classify(error) == code


def test_the_message_says_nothing() -> None:
    texts = ("Timeout", "certificate verify failed", "404", "No space left on device")
    assert {classify(aiohttp.ClientError(text)) for text in texts} == {"protocol-error"}


def test_a_circle_of_causes_ends() -> None:
    one, other = aiohttp.ClientError("one"), aiohttp.ClientError("other")
    one.__cause__, other.__cause__ = other, one
    assert classify(one) == "protocol-error"


def test_all_codes_are_known() -> None:
    tables = (faults._BY_TYPE, faults._BY_TYPE_AT_LAST)
    used = {code for table in tables for _, code in table}
    used |= {*faults._BY_ERRNO.values(), *faults._BY_GAIERROR.values(), "host-unreachable"}
    assert used <= set(CODES)


def test_a_host_s_trouble_is_never_ours() -> None:
    """Whatever one host can bring about must not stop the run."""
    for error in (
        on_connecting(OSError(errno.ECONNREFUSED, "x")),
        on_connecting(OSError(errno.EHOSTUNREACH, "x")),
        on_looking_up(socket.gaierror(socket.EAI_AGAIN, "x")),
        from_proxy(502),
        aiohttp.ServerDisconnectedError(),
    ):
        assert CODES[classify(error)].fate is not Fate.LOCAL


@pytest.mark.parametrize(
    ("address", "code"),
    [("127.0.0.1", "host-unreachable"), ("255.255.255.255", "no-route")],
    ids=["the kernel knows a way there", "it knows none"],
)
async def test_a_network_that_cannot_be_reached(
    rig: Rig, address: str, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is sent to either of them."""

    async def unreachable(*_: object) -> None:
        raise on_connecting(OSError(errno.ENETUNREACH, "x"))

    monkeypatch.setattr(Pool, "take", unreachable)
    assert (await rig.fault(f"http://{address}:{rig.web.port}/a")).code == code

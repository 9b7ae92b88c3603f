"""One request goes out; an arrival (or what an audit asks for), a redirect or a fault comes back.

Nothing is followed, repeated, scheduled or judged here: every request on the wire is one that the
frontier has charged to its host group.

What an earlier attempt kept of a body (``FetchRequest.partial``) is added to, replaced, or left as
it is. Its file is removed if another body arrives in its place, and if the fetch is cancelled.
"""

from __future__ import annotations

import asyncio
import errno
import ssl
import time
from collections.abc import Callable
from pathlib import Path

import aiohttp

from fetcher.model import Arrival, Fault, Found, Method, Redirect
from fetcher.policy.addresses import is_public
from fetcher.policy.oserrors import disk_fault
from fetcher.ports import FetchRequest, TurnedBackError
from fetcher.transport.asking import Origin, RefusedError, prepare
from fetcher.transport.connector import (
    BlockedAddressError,
    CheckedConnector,
    CheckedResolver,
    LookUp,
    NameServers,
    NeverANameError,
    is_address,
    means_this_machine,
    system_look_up,
)
from fetcher.transport.exchange import Exchange, describe
from fetcher.transport.faults import PROXY_REFUSES_US, classify, let_go
from fetcher.transport.intake import SpoolError, remove
from fetcher.transport.options import TransportOptions
from fetcher.transport.requests import Limits, Requests


class HttpTransport:
    """``ports.Transport`` over aiohttp. To be made inside of a running event loop."""

    def __init__(
        self,
        options: TransportOptions,
        *,
        wall: Callable[[], float] = time.time,
        look_up: LookUp = system_look_up,
    ) -> None:
        self._options = options
        self._wall = wall
        self._servers = NameServers(look_up, patience=options.connect_timeout)
        self._resolver = CheckedResolver(
            self._servers,
            options.connect_to,
            # With a proxy, nothing is looked up but the proxy, which is the operator's word.
            allow_private=options.allow_private or options.proxy is not None,
        )
        self._requests = Requests(
            CheckedConnector(self._resolver, tls=_tls(options.ca_file)),
            headers={
                "User-Agent": options.user_agent,
                "Accept": "image/*,*/*;q=0.8",
                "Accept-Encoding": "identity",
            },
            timeout=aiohttp.ClientTimeout(
                connect=options.connect_timeout, sock_connect=options.connect_timeout
            ),
            limits=Limits(options.total_timeout, options.stall_timeout),
            proxy=options.proxy,
        )

    async def close(self) -> None:
        await self._requests.close()
        await self._servers.close()

    async def reach(self, url: str) -> bool:
        try:
            destination, _ = prepare(FetchRequest(url, 0, 0, ""))
            await self._requests.pool.reach(destination.origin)
        except Exception:  # noqa: BLE001  the answer to the question
            return False
        return True

    async def fetch(self, request: FetchRequest) -> Arrival | Found | Redirect | Fault:
        try:
            result = await self._fetch(request)
        except asyncio.CancelledError:
            if request.partial is not None:
                remove(request.partial.path)
            raise
        if request.partial is not None and _replaces(result, request.partial.path):
            remove(request.partial.path)
        return result

    async def _fetch(self, request: FetchRequest) -> Arrival | Found | Redirect | Fault:
        try:
            destination, headers = prepare(request)
        except RefusedError as error:
            return Fault(error.code, str(error))
        consent = self._options.consent
        exchange = Exchange(
            request,
            max_bytes=self._options.max_bytes,
            wall=self._wall,
            token=consent.token if consent is not None and consent.tag_of(request.url) else None,
        )
        try:
            if self._options.proxy is not None:
                self._check(destination.origin)
            head = request.method is Method.HEAD
            ask = self._requests.ask(destination, headers, head=head, turn=request.turn)
            async with ask as response:
                if self._options.proxy is not None and response.status == PROXY_REFUSES_US:
                    return Fault("proxy-unreachable", "it refuses us", response.status)
                return await exchange.take(response)
        except TurnedBackError:
            raise
        except SpoolError as error:
            cause = error.__cause__
            assert isinstance(cause, OSError)  # noqa: S101  SpoolError is raised from nothing else
            let_go(error)
            return Fault(disk_fault(cause), describe(cause), received=exchange.received)
        except Exception as error:  # noqa: BLE001  the one boundary where all of it becomes a code
            code = await self._code(error, destination.origin)
            let_go(error)
            return Fault(code, describe(error), received=exchange.received)

    def _check(self, origin: Origin) -> None:
        """Of what a proxy connects to, only what is no name, or always the same, can be checked.

        Raises ``BlockedAddressError``.
        """
        host = origin.host
        if self._options.allow_private:
            return
        refused = not is_public(host) if is_address(host) else means_this_machine(host)
        if refused:
            raise BlockedAddressError(host, [host])

    async def _code(self, error: Exception, origin: Origin) -> str:
        """What ``classify`` says; but where that would put the blame for a silent proxy or name
        server on a host, they are blamed.
        """
        code = classify(error)
        if isinstance(error, OSError) and error.errno == errno.ENETUNREACH:
            # If the kernel would send, somebody on the way has said so: of that host's network.
            known = await self._resolver.has_a_way(origin.host, origin.url.port or 0)
            code = "host-unreachable" if known else "no-route"
        if self._options.proxy is not None:
            # Whatever is looked up is the proxy, and so is whom plain requests connect to.
            of_proxy = isinstance(error, aiohttp.ClientConnectorDNSError) or (
                code == "connect-timeout" and origin.url.scheme == "http"
            )
            return "proxy-unreachable" if of_proxy else code
        if code == "dns-not-found" and not await self._is_believed(error):
            return "resolver-unreachable"
        unanswered = code == "connect-timeout" and self._servers.is_asked(origin.host)
        if code != "dns-failure" and not unanswered:
            return code
        if unanswered and self._servers.is_queued(origin.host):
            return "resolver-unreachable"  # ours: nobody has been asked
        return "dns-failure" if await self._servers.answer() else "resolver-unreachable"

    async def _is_believed(self, error: Exception) -> bool:
        """Whether there is no such name, and not a name server that knows none."""
        cause = getattr(error, "os_error", error)
        return isinstance(cause, NeverANameError) or await self._servers.finds_names()


def _replaces(result: Arrival | Found | Redirect | Fault, kept: Path) -> bool:
    """Whether other bytes than those in ``kept`` are handed on in their place."""
    if isinstance(result, Arrival):
        return result.body.path != kept
    return isinstance(result, Fault) and result.partial is not None and result.partial.path != kept


def _tls(ca_file: Path | None) -> Callable[[], ssl.SSLContext]:
    """The file of the user's is read at once, as it may be none."""
    if ca_file is None:
        return lambda: _tls_context(None)
    context = _tls_context(ca_file)
    return lambda: context


def _tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """The system's authorities, or only those of ``ca_file``."""
    return ssl.create_default_context(cafile=ca_file)

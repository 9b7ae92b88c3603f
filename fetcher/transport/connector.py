"""Where connections go.

Every connection passes three steps, and what the last one yields is what is connected to, so that
nothing can be rebound between the check and the use:

    connect_to   the operator may send a host and port elsewhere (as curl's --connect-to does)
    resolve      a name becomes addresses
    check        addresses that are not public are taken out, unless configured otherwise, and so
                 are IPv6 addresses that this machine has no way to

An address that the operator names in ``connect_to`` is the operator's word and is not checked.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase
from functools import partial
from ipaddress import ip_address
from typing import Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.tracing import Trace
from msgspec import Struct

from fetcher.policy.addresses import is_public
from fetcher.transport.wire import Wire

LOOKUPS_AT_ONCE: Final = 128
"""Name look-ups block a thread each, which are only made when they are needed. A name whose servers
are silent blocks one for longer than anybody waits for it, and a list may have many such names."""

_NO_SUCH_NAME: Final = frozenset({socket.EAI_NONAME, socket.EAI_NODATA})
_OUR_NAMES: Final = frozenset(
    {
        *("localhost", "localhost.localdomain", "localhost4", "localhost6"),
        *("ip6-localhost", "ip6-loopback", "ip6-allnodes", "ip6-allrouters"),
    }
)

LookUp = Callable[[str], Sequence[str]]
"""The addresses of a name, best first. Blocks. Raises ``OSError``, mostly ``socket.gaierror``."""


CONTROL: Final = "example.com"
"""Exists for ever (RFC 2606 section 3), wherever names of the Internet are known at all."""


class NeverANameError(socket.gaierror):
    """No name server has to be asked to know that there is no such name."""


class BlockedAddressError(Exception):
    """A host has no address that may be connected to."""

    def __init__(self, host: str, addresses: Sequence[str]) -> None:
        super().__init__(f"{host} leads to {', '.join(addresses)}")


class Detour(Struct, frozen=True):
    """Where ``connect_to`` sends a host and port; ``suffix`` patterns begin with ``*.``."""

    pattern: str
    port: int
    to_host: str
    to_port: int

    @classmethod
    def parse(cls, key: str, value: str) -> Detour:
        pattern, _, port = key.rpartition(":")
        to_host, _, to_port = value.rpartition(":")
        return cls(pattern.strip("[]").lower(), int(port), to_host.strip("[]"), int(to_port))

    def vagueness(self) -> tuple[bool, int]:
        """Sorts names before patterns, and long patterns before short ones."""
        return self.pattern.startswith("*"), -len(self.pattern)

    def applies(self, host: str, port: int) -> bool:
        return port == self.port and fnmatchcase(host, self.pattern)


class NameServers:
    """Asks for the addresses of names, and knows whether anybody answers at all.

    ``EAI_AGAIN``, or no answer in time, may be the word of a name server on one name, or a sign
    that there is no name server. Only asking for another name tells: the witness is the name that
    was answered last.

    "No such name" is believed of a name server that has found one. Behind a captive portal, or on a
    network without a way out, one may say so of all; then a name that exists is asked for.

    What this machine knows by itself is no name server's word: a list, or a redirect, that names
    ``localhost`` would vouch for one that answers nothing.
    """

    def __init__(self, look_up: LookUp, *, patience: float) -> None:
        """``patience``: seconds in which the witness has to be answered."""
        self._look_up = look_up
        self._patience = patience
        self._threads = ThreadPoolExecutor(LOOKUPS_AT_ONCE, thread_name_prefix="resolve")
        # Its own, as the others may all be waiting for names that nobody answers for.
        self._witness_thread = ThreadPoolExecutor(1, thread_name_prefix="witness")
        self._asked: list[str] = []
        self._put: list[str] = []
        """Those of them that have found a thread."""
        self._witness: str | None = None
        self._hearing: asyncio.Task[bool] | None = None
        self._has_found = False
        self._trying: asyncio.Task[bool] | None = None

    async def addresses(self, name: str) -> Sequence[str]:
        """Raises ``OSError``, mostly ``socket.gaierror``."""
        if name == "invalid" or name.endswith(".invalid"):
            # RFC 6761 section 6.4: such names do not exist, and asking only leaks them.
            raise NeverANameError(socket.EAI_NONAME, f"{name} is reserved never to exist")
        self._asked.append(name)
        try:
            found = await self._ask(name, self._threads, self._put.append)
        except UnicodeError as error:
            raise NeverANameError(socket.EAI_NONAME, f"{name} cannot be a name") from error
        except OSError as error:
            if error.errno in _NO_SUCH_NAME and not means_this_machine(name):
                self._witness = name
            raise
        finally:
            self._asked.remove(name)
            if name in self._put:
                self._put.remove(name)
        if not means_this_machine(name):
            self._witness = name
            self._has_found = True
        return found

    async def _ask(
        self,
        name: str,
        threads: ThreadPoolExecutor,
        begins: Callable[[str], None] = lambda _: None,
    ) -> Sequence[str]:
        def look_up() -> Sequence[str]:
            begins(name)
            return self._look_up(name)

        return await asyncio.get_running_loop().run_in_executor(threads, look_up)

    def is_asked(self, name: str) -> bool:
        """Whether an answer for ``name`` is still awaited."""
        return name in self._asked

    def is_queued(self, name: str) -> bool:
        """Whether ``name`` is still to be asked for: all threads wait for other names."""
        return name in self._asked and name not in self._put

    async def finds_names(self) -> bool:
        """Whether any name is found; all who want to know at the same time share one question."""
        if not self._has_found:
            if self._trying is None or self._trying.done():
                self._trying = asyncio.create_task(self._try_control())
            self._has_found = await asyncio.shield(self._trying)
        return self._has_found

    async def _try_control(self) -> bool:
        try:
            async with asyncio.timeout(self._patience):
                await self._ask(CONTROL, self._witness_thread)
        except OSError:  # a timeout is one too
            return False
        return True

    async def answer(self) -> bool:
        """Whether anybody answers; all who want to know at the same time share one question."""
        if self._witness is None:
            return False
        if self._hearing is None or self._hearing.done():
            self._hearing = asyncio.create_task(self._hear(self._witness))
        return await asyncio.shield(self._hearing)

    async def _hear(self, witness: str) -> bool:
        try:
            async with asyncio.timeout(self._patience):
                await self._ask(witness, self._witness_thread)
        except OSError as error:  # a timeout is one too
            return error.errno in _NO_SUCH_NAME
        return True

    async def close(self) -> None:
        for question in (self._hearing, self._trying):
            if question is not None:
                question.cancel()
                await asyncio.wait([question])
        for threads in (self._threads, self._witness_thread):
            threads.shutdown(wait=False, cancel_futures=True)


class CheckedResolver(AbstractResolver):
    """Names and literal addresses to the addresses that may be connected to."""

    def __init__(
        self, servers: NameServers, connect_to: Mapping[str, str], *, allow_private: bool
    ) -> None:
        self._servers = servers
        detours = (Detour.parse(key, value) for key, value in connect_to.items())
        self._detours = tuple(sorted(detours, key=Detour.vagueness))
        self._allow_private = allow_private

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_UNSPEC,  # noqa: ARG002  the library's signature
    ) -> list[ResolveResult]:
        """Raises ``OSError`` or ``BlockedAddressError``; the list is never empty."""
        host = canonical(host)
        for detour in self._detours:
            if detour.applies(host, port):
                found = await self._addresses(detour.to_host)
                return [_result(host, address, detour.to_port) for address in found]
        found = await self._addresses(host)
        if not self._allow_private:
            allowed = [address for address in found if is_public(address)]
            if not allowed:
                raise BlockedAddressError(host, found)
            found = allowed
        return [_result(host, address, port) for address in _with_a_way(found)]

    async def has_a_way(self, host: str, port: int) -> bool:
        """Whether the kernel would know where to send a packet for ``host``; none is sent."""
        try:
            found = await self.resolve(host, port)
        except (OSError, BlockedAddressError):
            return False
        return any(_has_a_way(result["host"]) for result in found)

    async def _addresses(self, host: str) -> Sequence[str]:
        return [host] if is_address(host) else await self._servers.addresses(host)

    async def close(self) -> None:
        await self._servers.close()


class CheckedConnector(aiohttp.TCPConnector):
    """Asks the resolver for literal addresses too, which the library would connect to unasked, and
    for all that it might take for one. Its connections are bounded (``fetcher.transport.wire``).
    """

    def __init__(self, resolver: CheckedResolver, *, tls: Callable[[], ssl.SSLContext]) -> None:
        """``tls`` is called when it is first needed: reading a system's authorities takes longer
        than many a list of plain URLs.
        """
        # Limits on connections are the frontier's; the library's own would only hide them.
        super().__init__(
            resolver=resolver,
            limit=0,
            limit_per_host=0,
            keepalive_timeout=15,
            ttl_dns_cache=60,
        )
        self._checked = resolver
        self._tls = tls
        self._context: ssl.SSLContext | None = None
        self._factory: partial[Wire] = partial(Wire, loop=self._loop)  # type: ignore[assignment]

    def _get_ssl_context(self, req: aiohttp.ClientRequest) -> ssl.SSLContext | None:
        if not req.is_ssl():
            return None
        if self._context is None:
            self._context = self._tls()
        return self._context

    async def _resolve_host(
        self, host: str, port: int, traces: Sequence[Trace] | None = None
    ) -> list[ResolveResult]:
        if ":" in host or is_address(host):
            return await self._checked.resolve(host, port)
        return await super()._resolve_host(host, port, traces)


def system_look_up(name: str) -> list[str]:
    """As this machine is set up to: hosts file, name servers, and its order of preference."""
    # Not AI_ADDRCONFIG: with it, a name with IPv6 addresses only does not exist for a machine that
    # has none of its own, which would make it the image that is gone.
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


def canonical(host: str) -> str:
    return host.rstrip(".").lower()


def means_this_machine(name: str) -> bool:
    """By RFC 6761 section 6.3, or as hosts files have it since long."""
    return name in _OUR_NAMES or name.endswith(".localhost")


def is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _with_a_way(addresses: Sequence[str]) -> Sequence[str]:
    """Without IPv6 addresses, if this machine has no IPv6: that one host has no others is the
    host's trouble, while an unreachable network is ours. Raises ``OSError`` if none is left.
    """
    usable = [address for address in addresses if ":" not in address or _has_a_way(address)]
    if not usable:
        raise OSError(errno.EHOSTUNREACH, os.strerror(errno.EHOSTUNREACH), addresses[0])
    return usable


def _has_a_way(address: str) -> bool:
    """Whether the kernel would know where to send a packet; none is sent."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((address, 9))
    except OSError:
        return False
    return True


def _result(hostname: str, address: str, port: int) -> ResolveResult:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return ResolveResult(
        hostname=hostname,
        host=address,
        port=port,
        family=family,
        proto=0,
        flags=socket.AI_NUMERICHOST,
    )

"""A connection that is closed is gone, whatever its server thinks of that."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvloop

from fetcher.demo.tls import Authority
from fetcher.model import Arrival
from fetcher.ports import FetchRequest
from fetcher.transport.client import HttpTransport
from tests.transport.harness import MEMORY, options

PATIENCE = 10.0
NAME = "farm1.staticflickr.com"
KEPT = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"
SPENT = KEPT.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")


class Sticky:
    """A server of one TLS connection: it answers one request, and from then on neither says
    anything nor closes its end, also when it is told goodbye.
    """

    def __init__(self, context: ssl.SSLContext, answer: bytes) -> None:
        self._context = context
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.was_left = threading.Event()
        """The other end is closed: not only what is said over it."""
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        connection.settimeout(PATIENCE)
        with self._context.wrap_socket(connection, server_side=True) as spoken:
            while not spoken.recv(65536).endswith(b"\r\n\r\n"):
                pass
            spoken.sendall(self._answer)
            with socket.socket(fileno=spoken.detach()) as raw, contextlib.suppress(TimeoutError):
                raw.settimeout(PATIENCE)
                with contextlib.suppress(ConnectionResetError):
                    while raw.recv(65536):
                        pass
                self.was_left.set()

    def close(self) -> None:
        self._listener.close()
        self._thread.join(2 * PATIENCE)


@pytest.fixture
def sticky(authority: Authority, answer: bytes) -> Iterator[Sticky]:
    server = Sticky(authority.server_context(NAME), answer)
    yield server
    server.close()


async def fetched(transport: HttpTransport, server: Sticky, folder: Path) -> None:
    url = f"https://{NAME}:{server.port}/a.jpg"
    arrival = await transport.fetch(FetchRequest(url, 1, MEMORY, str(folder / "1.part")))
    assert isinstance(arrival, Arrival), arrival


def made(server: Sticky, ca_file: Path) -> HttpTransport:
    detour = {f"{NAME}:{server.port}": f"127.0.0.1:{server.port}"}
    return HttpTransport(options(ca_file=ca_file, connect_to=detour))


@pytest.mark.parametrize("answer", [SPENT], ids=["spent"])
async def test_a_server_cannot_hold_a_connection_that_is_of_no_use(
    sticky: Sticky, folder: Path, ca_file: Path
) -> None:
    """It would be a descriptor of ours for as long as a goodbye is waited for."""
    transport = made(sticky, ca_file)
    await fetched(transport, sticky, folder)
    assert await asyncio.to_thread(sticky.was_left.wait, PATIENCE / 2)
    await transport.close()


@pytest.mark.parametrize("answer", [KEPT, SPENT], ids=["kept", "spent"])
def test_nothing_is_open_when_the_loop_is_closed(
    sticky: Sticky, folder: Path, ca_file: Path
) -> None:
    """What is, the loop would have to close; and where warnings are errors, it cannot."""

    async def life() -> None:
        transport = made(sticky, ca_file)
        await fetched(transport, sticky, folder)
        await transport.close()

    loop = uvloop.new_event_loop()
    loop.run_until_complete(life())
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        loop.close()
    assert [str(each.message) for each in warned] == []

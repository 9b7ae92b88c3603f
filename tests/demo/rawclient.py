"""A client that sees what goes over the wire: every byte, and how it ended."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass

from fetcher.demo.web import Web


@dataclass(frozen=True)
class Heard:
    data: bytes
    reset: bool

    @property
    def status(self) -> int:
        return int(self.data.split(b" ", 2)[1])

    @property
    def headers(self) -> dict[str, str]:
        lines = self.data.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
        return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}

    @property
    def body(self) -> bytes:
        return self.data.partition(b"\r\n\r\n")[2]


def request(path: str, *headers: str, method: str = "GET", host: str = "127.0.0.1") -> bytes:
    return "\r\n".join((f"{method} {path} HTTP/1.1", f"Host: {host}", *headers, "", "")).encode()


async def connect(
    web: Web, *, trust: ssl.SSLContext | None = None, name: str | None = None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    port = web.port if trust is None else web.tls_port
    return await asyncio.open_connection(web.address, port, ssl=trust, server_hostname=name)


async def ask(
    web: Web,
    path: str,
    *headers: str,
    method: str = "GET",
    host: str = "127.0.0.1",
    trust: ssl.SSLContext | None = None,
) -> Heard:
    """One request that wants the connection closed after it, and all that came back."""
    reader, writer = await connect(web, trust=trust, name=host if trust is not None else None)
    data = bytearray()
    reset = False
    try:
        writer.write(request(path, "Connection: close", *headers, method=method, host=host))
        while piece := await reader.read(65_536):
            data += piece
    except ConnectionResetError:
        reset = True
    finally:
        await hang_up(writer)
    return Heard(bytes(data), reset)


async def hang_up(writer: asyncio.StreamWriter) -> None:
    writer.close()
    try:
        await writer.wait_closed()
    except (ConnectionError, ssl.SSLError):
        return  # it broke before, which is what some tests are about

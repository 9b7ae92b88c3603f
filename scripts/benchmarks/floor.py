"""What the same bytes cost at least: only received, only hashed, or only written.

    floor.py receive LIST CONNECTIONS [HOST:PORT ADDRESS:PORT]
    floor.py hash LIST
    floor.py write LIST DIR

LIST has a line for each image: its URL and its size. What is received comes by the same client as
fetcher's (aiohttp's connections and parser, driven by ``fetcher.transport.requests``), and is
dropped: no timeout of an image's own, no limit, no judgement, no manifest. What is asked of
HOST:PORT goes to ADDRESS:PORT. What is hashed and written lies in memory beforehand. Each fails if
it had fewer bytes than the list says.
"""

# Imports stand where they are needed: hashing and writing shall not pay for a client.
# ruff: noqa: PLC0415

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

BUFFER = 8 * 1024**2
"""More than a core's own caches hold, and little to make."""


def images(path: str) -> list[tuple[str, int]]:
    with open(path, encoding="ascii") as file:  # noqa: PTH123  pathlib costs more than the work
        return [(url, int(size)) for url, size in map(str.split, file)]


def pieces(sizes: list[int]) -> Iterator[memoryview]:
    """One of each size, from all over the buffer."""
    buffer = memoryview(os.urandom(1024**2) * (max(BUFFER, *sizes) // 1024**2 + 1))
    at = 0
    for size in sizes:
        if at + size > len(buffer):
            at = 0
        yield buffer[at : at + size]
        at += size


def hashed(path: str) -> int:
    import hashlib

    return sum(
        len(hashlib.md5(piece, usedforsecurity=False).digest()) and len(piece)
        for piece in pieces([size for _, size in images(path)])
    )


def written(path: str, directory: str) -> int:
    total = 0
    for number, piece in enumerate(pieces([size for _, size in images(path)])):
        file = os.open(f"{directory}/{number}.jpg", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        try:
            total += os.write(file, piece)
        finally:
            os.close(file)
    return total


def received(path: str, connections: int, connect_to: dict[str, str]) -> int:
    import asyncio
    import gc
    import ssl

    import aiohttp
    import uvloop

    from fetcher.ports import FetchRequest
    from fetcher.transport.asking import prepare
    from fetcher.transport.connector import (
        CheckedConnector,
        CheckedResolver,
        NameServers,
        system_look_up,
    )
    from fetcher.transport.intake import AT_ONCE
    from fetcher.transport.requests import Limits, Requests

    async def everything() -> int:
        servers = NameServers(system_look_up, patience=10)
        resolver = CheckedResolver(servers, connect_to, allow_private=True)
        requests = Requests(
            CheckedConnector(resolver, tls=ssl.create_default_context),
            headers={"User-Agent": "floor", "Accept-Encoding": "identity"},
            timeout=aiohttp.ClientTimeout(connect=10, sock_connect=10),
            limits=Limits(total=600, stall=30),
            proxy=None,
        )
        left = iter(images(path))

        async def receive() -> int:
            total = 0
            for url, _ in left:
                destination, headers = prepare(FetchRequest(url, 0, 0, ""))
                async with requests.ask(destination, headers) as response:
                    if response.status != 200:  # noqa: PLR2004  its name
                        raise ValueError(f"{url}: {response.status}")
                    if (response.content_length or 0) <= AT_ONCE and not response.content.is_eof():
                        await response.content.wait_eof()
                    async for chunk in response.content.iter_any():
                        total += len(chunk)
            return total

        try:
            return sum(await asyncio.gather(*(receive() for _ in range(connections))))
        finally:
            await requests.close()
            await servers.close()

    gc.freeze()  # as fetcher does: what is loaded by now stays
    gc.set_threshold(20_000)
    return uvloop.run(everything())


def main(what: str, path: str, *more: str) -> None:
    if what == "receive":
        total = received(path, int(more[0]), dict([(more[1], more[2])] if more[1:] else []))
    elif what == "hash":
        total = hashed(path)
    else:
        total = written(path, *more)
    wanted = sum(size for _, size in images(path))
    if total != wanted:
        sys.exit(f"{total} bytes, not {wanted}")


if __name__ == "__main__":
    main(*sys.argv[1:])

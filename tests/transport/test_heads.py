"""HEAD and probes on the wire: what is asked, what is believed, and what becomes of connections."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from fetcher.model import Arrival, Fault, Found, Method, Redirect
from fetcher.ports import FetchRequest
from fetcher.transport.client import HttpTransport
from fetcher.transport.options import TransportOptions

JPEG = b"\xff\xd8\xff\xe0" + bytes(2_000)
OK = b"HTTP/1.1 200 OK\r\nContent-Type: Image/JPEG; q=1\r\nContent-Length: 2004\r\n\r\n"
OTHER = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
PART = (
    b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-511/2004\r\n"
    b"Content-Length: 512\r\n\r\n" + JPEG[:512]
)
Result = Arrival | Found | Redirect | Fault


class Server:
    """Sends what it was given, one after another, and closes nothing."""

    def __init__(self, answers: Sequence[bytes]) -> None:
        self.answers = list(answers)
        self.heads: list[list[str]] = []
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while self.answers:
                head = await reader.readuntil(b"\r\n\r\n")
                self.heads.append(head.decode().split("\r\n"))
                writer.write(self.answers.pop(0))
            await reader.read()
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()


async def ask(
    answers: Sequence[bytes], *methods: Method, spool: Path
) -> tuple[list[Result], Server]:
    server = Server(answers)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    options = TransportOptions("test/0", 1 << 20, 5.0, 5.0, 5.0, allow_private=True)
    transport = HttpTransport(options)
    try:
        results = []
        for n, method in enumerate(methods):
            url = f"http://127.0.0.1:{port}/{n}"
            results.append(
                await transport.fetch(FetchRequest(url, n, 1 << 16, spool / str(n), method=method))
            )
        return results, server
    finally:
        await transport.close()
        listening.close()


async def test_a_head_takes_what_is_declared_and_keeps_its_connection(tmp_path: Path) -> None:
    results, server = await ask([OK, OTHER], Method.HEAD, Method.HEAD, spool=tmp_path)
    found, gone = results
    assert isinstance(found, Found)
    assert (found.size, found.content_type, found.received) == (2_004, "image/jpeg", 0)
    assert isinstance(gone, Fault)
    assert gone.code == "http-404"
    assert [head[0] for head in server.heads] == ["HEAD /0 HTTP/1.1", "HEAD /1 HTTP/1.1"]
    assert server.connections == 1


async def test_a_probe_asks_for_the_first_bytes_and_learns_the_whole_size(tmp_path: Path) -> None:
    results, server = await ask([PART, PART], Method.PROBE, Method.PROBE, spool=tmp_path)
    for found in results:
        assert isinstance(found, Found)
        assert (found.size, found.content_type, found.received) == (2_004, "image/jpeg", 512)
    assert "Range: bytes=0-511" in server.heads[0]
    assert server.heads[0][0] == "GET /0 HTTP/1.1"
    assert server.connections == 1


async def test_of_a_whole_body_a_probe_takes_no_more_than_it_needs(tmp_path: Path) -> None:
    endless = OK.replace(b"2004", b"900000000") + JPEG
    results, server = await ask([endless, OTHER], Method.PROBE, Method.HEAD, spool=tmp_path)
    found = results[0]
    assert isinstance(found, Found)
    assert (found.size, found.content_type) == (900_000_000, "image/jpeg")
    assert found.received < 10_000
    assert server.connections == 2


@pytest.mark.parametrize("body", [b"x", JPEG, OTHER, OK + JPEG])
async def test_a_body_behind_a_head_is_not_the_next_answer(body: bytes, tmp_path: Path) -> None:
    """A server that answers a HEAD with a body, or with more, speaks of nothing but itself."""
    results, server = await ask([OK + body, OTHER], Method.HEAD, Method.HEAD, spool=tmp_path)
    assert isinstance(results[0], Found | Fault)
    last = results[1]
    assert isinstance(last, Fault)
    assert last.code == "http-404"
    assert len(server.heads) == 2
    assert server.connections == 2


@pytest.mark.parametrize(
    ("label", "size"),
    [
        ("bytes 0-511/2004", 2_004),
        ("bytes 0-511/*", None),
        ("bytes 1-512/2004", None),
        ("bytes 0-511/100", None),
        ("lines 0-511/2004", None),
        ("", None),
    ],
)
async def test_sizes_are_taken_from_labels_that_make_sense(
    label: str, size: int | None, tmp_path: Path
) -> None:
    answer = PART.replace(b"bytes 0-511/2004", label.encode())
    (found,), _ = await ask([answer], Method.PROBE, spool=tmp_path)
    assert isinstance(found, Found)
    assert found.size == size


async def test_a_coded_answer_says_so(tmp_path: Path) -> None:
    answer = OK.replace(b"Content-Type", b"Content-Encoding: gzip\r\nContent-Type")
    (found,), _ = await ask([answer], Method.HEAD, spool=tmp_path)
    assert isinstance(found, Found)
    assert found.coded

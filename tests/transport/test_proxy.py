"""Through a proxy: what it is told, and whose fault it is when something goes wrong."""

from __future__ import annotations

import asyncio
import socket
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from fetcher.demo.images import picture
from fetcher.demo.steps import SILENCE, Answer, Picture, status
from fetcher.demo.tls import Authority
from fetcher.demo.web import Web
from fetcher.model import Fate
from fetcher.policy.codes import CODES
from tests.transport.harness import (
    SOON,
    Conversation,
    MakeRig,
    Names,
    bytes_of,
    closed_port,
    head_of,
    served_by,
)

NO_NAME = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
ELSEWHERE = "http://h.example/a?b"
SECRETLY = "https://farm1.staticflickr.com/a"


@asynccontextmanager
async def tunnels_to(port: int) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A proxy whose every tunnel leads to ``port``, and what it was told."""
    told: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        told.append(await head_of(reader))
        there, back = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        try:
            await asyncio.gather(pass_on(reader, back), pass_on(there, writer))
        finally:
            back.transport.abort()

    async with served_by(talk) as own:
        yield own, told


async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()


def answering(head: bytes) -> Conversation:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head_of(reader)
        writer.write(head + b"\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    return talk


# It works.


async def test_a_proxy_is_given_the_whole_url(make_rig: MakeRig, web: Web) -> None:
    """It is the operator's word: not checked. And it looks up the names, not we."""
    names = Names({})
    rig = make_rig(proxy=web.url(""), allow_private=False, parts={"look_up": names})
    web.serve("/a?b", Answer(Picture(600, "k")), host="h.example")
    arrival = await rig.arrival(ELSEWHERE)
    assert bytes_of(arrival) == picture("k", 600)
    assert arrival.final_url == ELSEWHERE
    assert web.requests[0].headers["host"] == "h.example"
    assert "proxy-authorization" not in web.requests[0].headers
    assert names.asked == []


async def test_the_request_to_a_proxy_to_the_byte(make_rig: MakeRig) -> None:
    seen = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await head_of(reader))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    async with served_by(talk) as port:
        rig = make_rig(proxy=f"http://me:pass@127.0.0.1:{port}")
        await rig.arrival("http://name:secret@h.example/a%2Fb")
    lines = seen[0].decode().split("\r\n")
    assert lines[:2] == ["GET http://h.example/a%2Fb HTTP/1.1", "Host: h.example"]
    assert f"Proxy-Authorization: Basic {b64encode(b'me:pass').decode()}" in lines
    assert f"Authorization: Basic {b64encode(b'name:secret').decode()}" in lines


async def test_a_tunnel(make_rig: MakeRig, authority: Authority) -> None:
    async with Web(tls=authority) as web, tunnels_to(web.tls_port) as (port, told):
        web.serve("/a", Answer(Picture(600, "k")), host="farm1.staticflickr.com")
        proxy = f"http://me:pass@127.0.0.1:{port}"
        rig = make_rig(on=web, proxy=proxy, allow_private=False)
        assert bytes_of(await rig.arrival(SECRETLY)) == picture("k", 600)
        assert "proxy-authorization" not in web.requests[0].headers
        assert told[0].startswith(b"CONNECT farm1.staticflickr.com:443 HTTP/1.1\r\n")
        assert b"Proxy-Authorization: Basic bWU6cGFzcw==\r\n" in told[0]
        # The name is verified inside of the tunnel as anywhere.
        assert (await rig.fault("https://h.example/a")).code == "tls-error"
        assert web.count() == 1


# It does not.


async def test_nobody_is_there(make_rig: MakeRig) -> None:
    rig = make_rig(proxy=f"http://127.0.0.1:{closed_port()}")
    for url in (ELSEWHERE, SECRETLY):
        assert (await rig.fault(url)).code == "proxy-unreachable"


async def test_its_name_is_unknown(make_rig: MakeRig) -> None:
    """That of the host may well exist."""
    names = Names({"proxy.example": NO_NAME})
    rig = make_rig(proxy="http://proxy.example:3128", parts={"look_up": names})
    for url in (ELSEWHERE, SECRETLY):
        assert (await rig.fault(url)).code == "proxy-unreachable"


async def test_no_connection_in_time(make_rig: MakeRig, monkeypatch: pytest.MonkeyPatch) -> None:
    async def for_ever(**_: object) -> None:
        await asyncio.get_running_loop().create_future()

    monkeypatch.setattr("aiohappyeyeballs.start_connection", for_ever)
    rig = make_rig(proxy="http://127.0.0.1:9", connect_timeout=SOON)
    assert (await rig.fault(ELSEWHERE)).code == "proxy-unreachable"


@pytest.mark.parametrize(
    ("head", "plain", "tunnelled"),
    [
        (b"HTTP/1.1 407 Who are you", "proxy-unreachable", "proxy-unreachable"),
        (b"HTTP/1.1 403 Not there", "http-403", "host-unreachable"),
        (b"HTTP/1.1 404 No such host", "http-404", "host-unreachable"),
        (b"HTTP/1.1 502 Refused", "http-5xx", "host-unreachable"),
        (b"HTTP/1.1 503 Does not exist", "http-5xx", "host-unreachable"),
        (b"HTTP/1.1 504 Too slow", "http-5xx", "host-unreachable"),
        (b"SSH-2.0", "protocol-error", "protocol-error"),
    ],
)
async def test_what_it_answers(make_rig: MakeRig, head: bytes, plain: str, tunnelled: str) -> None:
    """One dead host must not stop the run; a proxy that refuses us must not cost an attempt."""
    async with served_by(answering(head)) as port:
        rig = make_rig(proxy=f"http://127.0.0.1:{port}")
        codes = [(await rig.fault(url)).code for url in (ELSEWHERE, SECRETLY)]
    assert codes == [plain, tunnelled]
    local = {CODES[code].fate is Fate.LOCAL for code in codes}
    assert local == {b"407" in head}


async def test_it_falls_silent(make_rig: MakeRig, web: Web) -> None:
    web.fallback = lambda _: SILENCE
    rig = make_rig(proxy=web.url(""), stall_timeout=SOON, connect_timeout=SOON)
    assert (await rig.fault(ELSEWHERE)).code == "stalled"
    assert (await rig.fault(SECRETLY)).code == "connect-timeout"


# What it would reach that we must not.


@pytest.mark.parametrize(
    ("host", "code"),
    [
        ("127.0.0.1", "blocked-address"),
        ("10.0.0.1", "blocked-address"),
        ("169.254.169.254", "blocked-address"),
        ("[::1]", "blocked-address"),
        ("[::ffff:10.0.0.1]", "blocked-address"),
        ("localhost", "blocked-address"),
        ("a.LOCALHOST.", "blocked-address"),
        ("2130706433", "bad-url"),
        ("127.1", "bad-url"),
        ("0x7f.1", "bad-url"),
        ("93.184.216.34", None),
        ("localhost.example", None),
    ],
)
async def test_addresses_are_checked_here(
    make_rig: MakeRig, web: Web, host: str, code: str | None
) -> None:
    web.fallback = lambda _: status(410)
    rig = make_rig(proxy=web.url(""), allow_private=False)
    seen = [(await rig.fault(f"http://{host}/a")).code]
    if code is None:
        assert seen == ["http-410"]
    else:
        seen.append((await rig.fault(f"https://{host}/a")).code)
        assert seen == [code, code]
    assert web.count() == (0 if code is not None else 1)


async def test_unless_they_are_allowed(make_rig: MakeRig, web: Web) -> None:
    web.fallback = lambda _: status(410)
    rig = make_rig(proxy=web.url(""), allow_private=True)
    for host in ("127.0.0.1", "localhost", "10.0.0.1"):
        assert (await rig.fault(f"http://{host}/a")).code == "http-410"


async def test_the_environment_names_no_proxy(make_rig: MakeRig) -> None:
    """``no_environment`` sets one that nobody listens at."""
    await make_rig().arrival("/pic/k/600.jpg")


@pytest.mark.parametrize("url", [ELSEWHERE, SECRETLY])
async def test_its_password_is_not_told(make_rig: MakeRig, url: str) -> None:
    for head in (b"HTTP/1.1 407 No", b"HTTP/1.1 502 No", b"HTTP/1.1 000 No", b"no HTTP"):
        async with served_by(answering(head)) as port:
            rig = make_rig(proxy=f"http://me:s3cret@127.0.0.1:{port}")
            assert "s3cret" not in repr(await rig.fault(url))
    rig = make_rig(proxy=f"http://me:s3cret@127.0.0.1:{closed_port()}")
    assert "s3cret" not in repr(await rig.fault(url))

"""TLS proves the host that the URL names, whatever address the connection goes to."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fetcher.demo.images import picture
from fetcher.demo.steps import Answer, Chunked, Close, Picture, Reset, UntilClose
from fetcher.demo.tls import Authority
from fetcher.demo.web import Web
from fetcher.transport.client import HttpTransport
from tests.transport.harness import SOON, MakeRig, bytes_of, head_of, options, served_by

IMAGE = "/pic/k/600.jpg"
FLICKR = "farm1.staticflickr.com"


@pytest.fixture
async def tls_web(nothing_leaks: None, authority: Authority) -> AsyncIterator[Web]:  # noqa: ARG001
    async with Web(tls=authority) as running:
        yield running


@pytest.mark.parametrize(
    ("host", "code"),
    [
        (FLICKR, None),
        ("FARM1.StaticFlickr.com", None),
        (f"{FLICKR}.", None),
        ("s.yimg.com", None),
        ("staticflickr.com", "tls-error"),
        ("a.farm1.staticflickr.com", "tls-error"),
        ("flickr.example", "tls-error"),
        ("10.0.0.1", "tls-error"),
    ],
)
async def test_the_name_of_the_url_is_what_is_verified(
    make_rig: MakeRig, tls_web: Web, host: str, code: str | None
) -> None:
    name = host.rstrip(".").lower()
    rig = make_rig(on=tls_web, allow_private=False, connect_to=tls_web.connect_to(name))
    if code is None:
        arrival = await rig.arrival(f"https://{host}{IMAGE}")
        assert bytes_of(arrival) == picture("k", 600)
        assert (tls_web.requests[0].scheme, tls_web.requests[0].host) == ("https", name)
    else:
        assert (await rig.fault(f"https://{host}{IMAGE}")).code == code
        assert tls_web.count() == 0


async def test_addresses_have_certificates_too(make_rig: MakeRig, tls_web: Web) -> None:
    rig = make_rig(on=tls_web)
    await rig.arrival(tls_web.url(IMAGE, "https"))
    rig = make_rig(on=tls_web, parts={"look_up": lambda _: ["127.0.0.1"]})
    assert (await rig.fault(f"https://h.example:{tls_web.tls_port}{IMAGE}")).code == "tls-error"


async def test_an_unknown_authority(make_rig: MakeRig, tls_web: Web, tmp_path: Path) -> None:
    Authority.create().write_ca(tmp_path / "other.pem")
    for ca_file in (tmp_path / "other.pem", None):
        rig = make_rig(on=tls_web, ca_file=ca_file, connect_to=tls_web.connect_to(FLICKR))
        fault = await rig.fault(f"https://{FLICKR}{IMAGE}")
        assert (fault.code, fault.http_status, fault.partial) == ("tls-error", None, None)
    assert tls_web.count() == 0


async def test_an_expired_certificate(make_rig: MakeRig, authority: Authority) -> None:
    context = authority.server_context("127.0.0.1", expired=True)
    async with served_by(_answer, ssl=context) as port:
        fault = await make_rig().fault(f"https://127.0.0.1:{port}/")
    assert fault.code == "tls-error"
    assert "expired" in fault.detail


async def test_no_tls_at_all(make_rig: MakeRig) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        await reader.read()

    async with served_by(answer) as port:
        assert (await make_rig().fault(f"https://127.0.0.1:{port}/")).code == "tls-error"


async def test_a_handshake_that_never_ends(make_rig: MakeRig) -> None:
    async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with served_by(silence) as port:
        fault = await make_rig(connect_timeout=SOON).fault(f"https://127.0.0.1:{port}/")
    assert fault.code == "connect-timeout"


async def test_a_handshake_that_is_hung_up_on(make_rig: MakeRig) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.close()

    async with served_by(hang_up) as port:
        fault = await make_rig().fault(f"https://127.0.0.1:{port}/")
    assert fault.code in ("connection-reset", "tls-error")


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await head_of(reader)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    await writer.drain()


# Bodies over TLS.

SIZE = 300_000


@pytest.mark.parametrize("memory", [0, SIZE])
async def test_bodies(make_rig: MakeRig, tls_web: Web, memory: int) -> None:
    rig = make_rig(on=tls_web, connect_to=tls_web.connect_to(FLICKR))
    url = f"https://{FLICKR}/a"
    for framing in (Chunked(), UntilClose()):
        tls_web.serve("/a", Answer(Picture(SIZE, "k"), framing=framing))
        assert bytes_of(await rig.arrival(url, memory=memory)) == picture("k", SIZE)
    for end, code in ((Close(200_001), "truncated"), (Reset(200_001), "connection-reset")):
        tls_web.serve("/a", Answer(Picture(SIZE, "k"), end=end), Answer(Picture(SIZE, "k")))
        fault = await rig.fault(url, memory=memory)
        assert (fault.code, fault.received) == (code, 200_001)
        whole = await rig.arrival(url, memory=memory, partial=fault.partial)
        assert bytes_of(whole) == picture("k", SIZE)


async def test_connections_are_used_again(make_rig: MakeRig, tls_web: Web) -> None:
    rig = make_rig(on=tls_web, connect_to=tls_web.connect_to(FLICKR))
    for _ in range(3):
        await rig.arrival(f"https://{FLICKR}{IMAGE}")
    assert len({request.client for request in tls_web.requests}) == 1


# The authorities.


async def test_without_a_file_they_are_the_system_s(
    make_rig: MakeRig, tls_web: Web, ca_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which OpenSSL lets the environment name."""
    rig = make_rig(on=tls_web, ca_file=None)
    monkeypatch.setenv("SSL_CERT_FILE", str(ca_file))
    assert bytes_of(await rig.arrival(tls_web.url(IMAGE, "https"))) == picture("k", 600)


def test_a_file_that_is_none_is_an_error_at_once(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing of the kind")

    async def made() -> None:
        HttpTransport(options(ca_file=tmp_path / "ca.pem"))

    with pytest.raises(ssl.SSLError):
        asyncio.run(made())

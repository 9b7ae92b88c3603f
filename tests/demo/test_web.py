"""The little web on real connections: what is scripted is what a client sees."""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from itertools import pairwise

import aiohttp
import pytest

from fetcher.demo.images import picture
from fetcher.demo.journal import Request
from fetcher.demo.steps import (
    HANG_UP,
    Answer,
    Picture,
    Step,
    status,
)
from fetcher.demo.tls import Authority
from fetcher.demo.web import Web, gallery
from tests.demo.rawclient import ask

# Scripts.


async def test_steps_follow_each_other_and_the_last_repeats(web: Web) -> None:
    web.serve("/a.jpg", status(503), status(404), Answer(Picture(600, "k")))
    seen = [(await ask(web, "/a.jpg")).status for _ in range(5)]
    assert seen == [503, 404, 200, 200, 200]


async def test_serving_anew_begins_anew(web: Web) -> None:
    web.serve("/a", status(503), status(404))
    await ask(web, "/a")
    web.serve("/a", status(410), status(403))
    assert [(await ask(web, "/a")).status for _ in range(2)] == [410, 403]


async def test_a_script_may_be_for_one_host(web: Web) -> None:
    web.serve("/a", status(403), host="Farm1.staticflickr.com")
    web.serve("/a", status(410))
    for host, code in [
        ("farm1.staticflickr.com", 403),
        ("FARM1.staticflickr.com:443", 403),
        ("farm2.staticflickr.com", 410),
        ("[::1]:80", 410),
    ]:
        assert (await ask(web, "/a", host=host)).status == code


async def test_queries_tell_paths_apart(web: Web) -> None:
    web.serve("/a?b=%20c", status(410))
    assert (await ask(web, "/a?b=%20c")).status == 410
    assert (await ask(web, "/a")).status == 404


async def test_a_proxy_s_form_of_a_target(web: Web) -> None:
    web.serve("/a?b", status(410), host="example.net")
    assert (await ask(web, "http://example.net:81/a?b")).status == 410
    assert (web.requests[0].host, web.requests[0].path) == ("example.net", "/a?b")


async def test_no_steps_are_no_script(web: Web) -> None:
    with pytest.raises(ValueError, match="/a"):
        web.serve("/a")


@pytest.mark.parametrize(
    ("path", "code", "type_"),
    [
        ("/pic/a%20key/600.jpg", 200, "image/jpeg"),
        ("/pic/k/600.png", 200, "image/png"),
        ("/pic/k/600.gif", 200, "image/gif"),
        ("/pic/k/6e2.jpg", 404, "text/plain"),
        ("/pic/k/600.jpg?x", 404, "text/plain"),
        ("/pic/600.jpg", 404, "text/plain"),
    ],
)
async def test_the_gallery_needs_no_script(web: Web, path: str, code: int, type_: str) -> None:
    heard = await ask(web, path)
    assert (heard.status, heard.headers["content-type"]) == (code, type_)
    if code == 200:
        assert len(heard.body) == 600


async def test_a_fallback_answers_what_has_no_script(web: Web) -> None:
    def fallback(request: Request) -> Step:
        return status(410) if request.headers["x-mood"] == "bad" else gallery(request)

    web.fallback = fallback
    assert (await ask(web, "/pic/k/600.jpg", "X-Mood: bad")).status == 410
    assert (await ask(web, "/pic/k/600.jpg", "X-Mood: good")).status == 200


async def test_a_bug_in_a_fallback_is_told_to_whoever_runs_the_web(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.CRITICAL, "aiohttp.server")
    web = Web()
    await web.__aenter__()
    web.fallback = lambda request: status(1 // len(request.method[3:]))
    assert (await ask(web, "/")).status == 500
    with pytest.raises(ZeroDivisionError):
        await web.__aexit__(None, None, None)


# What was asked.


async def test_every_request_is_remembered(web: Web) -> None:
    web.serve("/a", status(404), HANG_UP)
    before = time.time(), asyncio.get_running_loop().time()
    await ask(web, "/a", "Range: bytes=3-", "User-Agent: u", host="Example.net:81")
    await ask(web, "/a", method="HEAD")
    await ask(web, "/pic/k/600.jpg")
    after = time.time(), asyncio.get_running_loop().time()
    first, second, third = web.requests
    assert (first.number, first.method, first.scheme, first.host) == (
        1,
        "GET",
        "http",
        "example.net",
    )
    assert first.headers["range"] == "bytes=3-"
    assert first.headers["user-agent"] == "u"
    assert (first.step, first.completed) == (status(404), True)
    assert (second.method, second.step, second.completed) == ("HEAD", HANG_UP, False)
    assert third.step == Answer(Picture(600, "k"))
    assert web.requests_to("/a") == [first, second]
    assert (web.count(), web.count("/a"), web.count("/b")) == (3, 2, 0)
    assert all(a.at <= b.at and a.wall <= b.wall for a, b in pairwise(web.requests))
    assert before[0] <= first.wall <= third.wall <= after[0]
    assert before[1] <= first.at <= (first.ended_at or 0) <= after[1]


async def test_only_the_latest_may_be_remembered() -> None:
    async with Web(remember=2) as web:
        for number in range(4):
            await ask(web, f"/{number}")
        assert [served.path for served in web.requests] == ["/2", "/3"]
        assert all(served.completed for served in web.requests)
        assert (web.count(), web.count("/0")) == (4, 1)


# Addresses.


async def test_it_serves_https_under_any_name_of_its_certificate(
    authority: Authority, trust: ssl.SSLContext
) -> None:
    async with Web(tls=authority) as web:
        web.serve("/a", status(410), host="farm3.staticflickr.com")
        for host, code in [("farm3.staticflickr.com", 410), ("127.0.0.1", 404), ("localhost", 404)]:
            assert (await ask(web, "/a", host=host, trust=trust)).status == code
        assert {served.scheme for served in web.requests} == {"https"}
        assert web.url("/a", "https") == f"https://127.0.0.1:{web.tls_port}/a"
        assert web.connect_to("*.staticflickr.com") == {
            "*.staticflickr.com:80": f"127.0.0.1:{web.port}",
            "*.staticflickr.com:443": f"127.0.0.1:{web.tls_port}",
        }
        with pytest.raises(ssl.SSLCertVerificationError):
            await ask(web, "/a", host="example.net", trust=trust)
        with pytest.raises(ssl.SSLCertVerificationError):
            await ask(web, "/a", trust=ssl.create_default_context())


async def test_without_an_authority_there_is_no_https(web: Web) -> None:
    with pytest.raises(KeyError):
        web.url("/a", "https")
    assert list(web.connect_to("a.example")) == ["a.example:80"]


@pytest.mark.parametrize("address", ["127.0.0.7", "::1"])
async def test_any_loopback_address_will_do(address: str) -> None:
    async with (
        Web(address=address) as web,
        aiohttp.ClientSession() as session,
        session.get(web.url("/pic/k/600.jpg")) as response,
    ):
        assert await response.read() == picture("k", 600)


@pytest.mark.parametrize("address", ["0.0.0.0", "192.0.2.1", "::"])
def test_no_other_address_will(address: str) -> None:
    with pytest.raises(ValueError, match="loopback"):
        Web(address=address)


async def test_a_port_that_is_taken_leaves_nothing_open(web: Web) -> None:
    with pytest.raises(OSError, match="in use"):
        async with Web(port=web.port):
            pass

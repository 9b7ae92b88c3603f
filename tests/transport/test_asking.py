"""What goes over the wire: URLs as they are written, headers, credentials, and nothing else."""

from __future__ import annotations

import asyncio
from base64 import b64decode
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetcher.demo.steps import HANG_UP, Answer, Picture, redirect, status
from fetcher.model import Arrival, Fault, Partial, Redirect, Validators
from fetcher.policy.urls import Target
from fetcher.ports import FetchRequest
from fetcher.transport.asking import RefusedError, header_lines, prepare
from tests.transport.harness import AGENT, MakeRig, Rig, head_of, served_by

IMAGE = Answer(Picture(600))


def request(url: str, partial: Partial | None = None) -> FetchRequest:
    return FetchRequest(url, 1, 0, "spool", None, partial)


# Headers.


async def test_the_headers_of_a_request(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """And nothing that a file or a variable of this machine knows of the host."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login name password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    rig.web.serve("/a", IMAGE)
    await rig.arrival("/a")
    (asked,) = rig.web.requests
    assert asked.method == "GET"
    assert asked.headers == {
        "host": f"127.0.0.1:{rig.web.port}",
        "user-agent": AGENT,
        "accept": "image/*,*/*;q=0.8",
        "accept-encoding": "identity",
    }


def test_no_header_makes_another_one() -> None:
    for text in ("b\r\nX: y", "b\nX: y", "b\rX: y", "b\0"):
        with pytest.raises(ValueError, match="line break"):
            header_lines({"A": "a", "If-Range": text})


async def test_cookies_are_never_sent_back(rig: Rig) -> None:
    cookies = (("Set-Cookie", "a=b"), ("Set-Cookie", "c=d; Path=/; Domain=127.0.0.1"))
    rig.web.serve("/a", Answer(Picture(600), headers=cookies))
    rig.web.serve("/b", redirect("/a"))
    for path in ("/a", "/b", "/a"):
        await rig.fetch(path)
    assert all("cookie" not in asked.headers for asked in rig.web.requests)
    assert rig.web.count() == 3


async def test_the_request_to_the_byte(rig: Rig) -> None:
    seen = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await head_of(reader))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    async with served_by(talk) as port:
        await rig.arrival(f"http://127.0.0.1:{port}/a?b")
    assert seen == [
        f"GET /a?b HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUser-Agent: {AGENT}\r\n"
        "Accept: image/*,*/*;q=0.8\r\nAccept-Encoding: identity\r\n\r\n".encode()
    ]


# URLs.

TARGETS = {
    "": "/",
    "?x": "/?x",
    "/a b".replace(" ", "%20"): "/a%20b",
    "/a%7Eb%2Fc": "/a%7Eb%2Fc",
    "/a%7eb": "/a%7eb",
    "/a%27b": "/a%27b",
    "/a'b": "/a'b",
    "/%zz%": "/%zz%",
    "/a?sig=ab%2Bcd/ef%2F%3D&x=+": "/a?sig=ab%2Bcd/ef%2F%3D&x=+",
    "/a?credential=K%2F2020%2Fs3&n=%E4": "/a?credential=K%2F2020%2Fs3&n=%E4",
    "/%E4": "/%E4",
    "/\N{LATIN SMALL LETTER A WITH DIAERESIS}": "/%C3%A4",
    "/\N{LATIN SMALL LETTER A WITH DIAERESIS}%20": "/%C3%A4%20",
    "/a//b;c=1,d": "/a//b;c=1,d",
    "/a?b=http://c/?d": "/a?b=http://c/?d",
    "/a#part": "/a",
    "/a%23b#part": "/a%23b",
    "/@x:y/": "/@x:y/",
    "/a%0d%0aX:%20y": "/a%0d%0aX:%20y",
    '/{"a"}%20': "/%7B%22a%22%7D%20",
}


async def test_a_url_is_asked_for_as_it_is_written(rig: Rig) -> None:
    seen = {}
    rig.web.fallback = lambda _: status(404)
    for path in TARGETS:
        await rig.fault(f"http://127.0.0.1:{rig.web.port}{path}")
        seen[path] = rig.web.requests[-1].path
    assert seen == TARGETS


@given(
    st.text(
        st.characters(codec="ascii", exclude_categories=["Cc"], exclude_characters=" #"),
        max_size=30,
    )
)
def test_what_is_escaped_is_never_changed(path: str) -> None:
    destination, _ = prepare(request(f"http://h.example/%2F{path}"))
    sent = destination.target
    assert sent.startswith("/%2F")
    assert [c for c in path if c not in '"<>\\^`{|}'] == [
        c for c in _without_new_escapes(sent[4:], path) if c not in '"<>\\^`{|}'
    ]


def _without_new_escapes(sent: str, path: str) -> str:
    """``sent`` with those characters unescaped that ``path`` has and a URL may not."""
    for character in '"<>\\^`{|}':
        if character in path:
            sent = sent.replace(f"%{ord(character):02X}", character)
    # A "?" at the very end asks nothing, and is left out.
    return sent + "?" if path.endswith("?") and not sent.endswith("?") else sent


REFUSED = {
    "": "bad-url",
    "/a": "bad-url",
    "h.example/a": "bad-url",
    "p://u@[]@/": "bad-url",
    "ftp://h.example/a": "bad-scheme",
    "file:///etc/passwd": "bad-scheme",
    "data:image/png;base64,AAAA": "bad-scheme",
    "ws://h.example/": "bad-scheme",
    "tcp://h.example/": "bad-scheme",
    "http:///a": "bad-url",
    "http://": "bad-url",
    "http://:80/a": "bad-url",
    "http://h.example:99999/": "bad-url",
    "http://h.example:x/": "bad-url",
    "http://[::1/": "bad-url",
    "http://[x]/": "bad-url",
    "http://h.example/a b": "bad-url",
    "http://h.example/\r\nX: y": "bad-url",
    "http://h.example\r\nX: y/": "bad-url",
    "http://h.example/\x00": "bad-url",
    "http://h.example/\x7f": "bad-url",
    "http://h.example/\udce9": "bad-url",
    "http://h.example/%20\udce9": "bad-url",
    "http://h.exa\udce9mple/": "bad-url",
    "http://127.1/": "bad-url",
}


def test_a_host_that_the_client_reads_in_another_way_is_not_asked() -> None:
    """No such URL is known; the day that there is one it must not be asked of a stranger."""
    other = Target("http", "other.example", 80)
    with (
        patch("fetcher.policy.urls.judge", return_value=other),
        pytest.raises(RefusedError, match="two ways"),
    ):
        prepare(request("http://h.example/%20"))


def test_what_cannot_be_asked_for() -> None:
    seen = {}
    for url in REFUSED:
        try:
            prepare(request(url))
        except RefusedError as refused:
            seen[url] = refused.code
    assert seen == REFUSED


@given(st.text(max_size=40) | st.binary(max_size=40).map(lambda raw: raw.decode("latin-1")))
def test_any_text_is_prepared_or_refused(text: str) -> None:
    for url in (text, f"http://{text}", f"http://h.example/{text}", f"http://h@{text}/%"):
        try:
            asked, headers = prepare(request(url))
        except RefusedError:
            continue
        line = f"{asked.origin.host}{asked.target}{headers}"
        assert line.isascii()
        assert line.isprintable()


# Credentials.


@pytest.mark.parametrize(
    ("userinfo", "pair"),
    [
        ("name:secret", "name:secret"),
        ("name", "name:"),
        ("name:", "name:"),
        (":secret", ":secret"),
        ("na%40me:se%3Acret", "na@me:se:cret"),
        ("name:se:cret", "name:se:cret"),
        ("name:%0D%0AX-Evil:%20y", "name:\r\nX-Evil: y"),
        ("n%C3%A4me:secret", "n\N{LATIN SMALL LETTER A WITH DIAERESIS}me:secret"),
    ],
)
async def test_credentials_are_sent_to_their_host_only(rig: Rig, userinfo: str, pair: str) -> None:
    rig.web.serve("/a", IMAGE, redirect("/b"), status(404), HANG_UP)
    rig.web.serve("/b", IMAGE)
    url = f"http://{userinfo}@127.0.0.1:{rig.web.port}/a"
    results = [await rig.fetch(url) for _ in range(4)]
    for asked in rig.web.requests:
        kind, _, token = asked.headers["authorization"].partition(" ")
        assert (kind, b64decode(token).decode()) == ("Basic", pair)
        assert set(asked.headers) == {
            *("host", "user-agent", "accept", "accept-encoding", "authorization")
        }
    arrival, moved, *rest = results
    assert isinstance(arrival, Arrival)
    assert isinstance(moved, Redirect)
    assert arrival.final_url == rig.web.url("/a")
    assert moved.target == rig.web.url("/b")
    assert all(isinstance(fault, Fault) for fault in rest)
    secret = userinfo.partition(":")[2]
    assert not secret or secret not in repr(results)
    await rig.arrival(moved.target)
    assert "authorization" not in rig.web.requests[-1].headers


@pytest.mark.parametrize(
    "url",
    [
        "http://name:secret@[::1/",
        "http://name:secret@h.example:99999/",
        "http://name:secret@h\N{ACCOUNT OF}.example/",
        "http://name:secret@127.1/",
        "http://name:secret@10.0.0.1/",
        "http://name:secret@/",
        "ftp://name:secret@h.example/",
        "http://name:secret@h.invalid/",
        "http://name:secret@127.0.0.1:1/ x",
    ],
)
async def test_nor_do_faults_tell_them(make_rig: MakeRig, url: str) -> None:
    fault = await make_rig(allow_private=False).fault(url)
    assert "secret" not in repr(fault)
    assert fault.code in ("bad-url", "bad-scheme", "blocked-address", "dns-not-found")


def test_an_at_sign_elsewhere_is_no_credential() -> None:
    for path in ("/@x", "/a@b:c", "/?x@y", "/%40@"):
        destination, headers = prepare(request(f"http://h.example{path}"))
        assert headers == {}
        assert destination.target == path


def test_the_rest_of_a_body_is_asked_for_with_credentials_too() -> None:
    partial = Partial("x", 3, Validators('"t"'))  # type: ignore[arg-type]
    _, headers = prepare(request("http://name:x@h.example/", partial))
    assert set(headers) == {"Authorization", "Range", "If-Range"}

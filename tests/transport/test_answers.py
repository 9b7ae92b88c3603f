"""What an answer of each kind becomes, and what is kept of it: to the byte, for one request."""

from __future__ import annotations

import asyncio
import gzip
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest

from fetcher.demo.images import picture
from fetcher.demo.steps import (
    GARBAGE,
    HANG_UP,
    RESET,
    SILENCE,
    Answer,
    Bytes,
    Chunked,
    Close,
    End,
    Flipped,
    Framing,
    Gzipped,
    HttpDate,
    Length,
    Picture,
    Raw,
    Reset,
    Stall,
    Step,
    Trickle,
    UntilClose,
    html,
    redirect,
    status,
    throttled,
    xml,
)
from fetcher.demo.wire import LAST_MODIFIED
from fetcher.model import Arrival, Fault, Redirect, Validators
from tests.transport.harness import (
    MEMORY,
    SOON,
    MakeRig,
    Rig,
    at_some_pace,
    bytes_of,
    stalling,
)

SIZE = 50_000
BIG = 1_300_000


def head(*lines: bytes) -> bytes:
    return b"\r\n".join((b"HTTP/1.1 200 OK", *lines, b"", b""))


# Statuses, and bodies that arrive.

FAULTS: dict[str, tuple[Step, str, int | None]] = {
    # step, code, status
    "204": (status(204), "http-unexpected", 204),
    "206 unasked": (status(206), "http-unexpected", 206),
    "300": (status(300), "http-unexpected", 300),
    "302 to nowhere": (status(302), "http-unexpected", 302),
    "304": (status(304), "http-unexpected", 304),
    "400": (status(400), "http-4xx", 400),
    "401": (status(401), "http-401", 401),
    "403": (status(403), "http-403", 403),
    "404": (status(404), "http-404", 404),
    "407 from no proxy": (status(407), "http-4xx", 407),
    "410": (status(410), "http-410", 410),
    "416 unasked": (status(416), "http-4xx", 416),
    "418": (status(418), "http-4xx", 418),
    "429": (throttled(), "rate-limited", 429),
    "451": (status(451), "http-451", 451),
    "500": (status(500), "http-5xx", 500),
    "503": (throttled(code=503), "http-5xx", 503),
    "599": (status(599), "http-5xx", 599),
    "999": (status(999), "http-unexpected", 999),
    "404 in html": (html(code=404), "http-404", 404),
    "403 in xml": (xml(code=403), "http-403", 403),
    "404, endless": (Answer(Picture(BIG), 404, framing=UntilClose()), "http-404", 404),
    "404, large": (Answer(Picture(BIG), 404), "http-404", 404),
    "404, large in chunks": (Answer(Picture(BIG), 404, framing=Chunked()), "http-404", 404),
    "404, cut": (Answer(Picture(900), 404, end=Close(10)), "http-404", 404),
    "404, broken": (Answer(Picture(900), 404, end=Reset(10)), "http-404", 404),
    "404, wrong chunk": (
        Raw(b"HTTP/1.1 404 No\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nZZ\r\n", Reset()),
        "http-404",
        404,
    ),
    # What is no answer.
    "hang up": (HANG_UP, "connection-reset", None),
    "reset": (RESET, "connection-reset", None),
    "garbage": (GARBAGE, "protocol-error", None),
    "text": (Raw(b"Sorry."), "protocol-error", None),
    "half a head": (Raw(b"HTTP/1.1 200 OK\r\nConte"), "connection-reset", None),
    "half a head, reset": (Raw(b"HTTP/1.1 200 OK\r\nConte", Reset()), "connection-reset", None),
    "huge header": (Raw(head(b"X: " + b"a" * 20_000)), "protocol-error", None),
    "two lengths": (
        Raw(head(b"Content-Length: 3", b"Content-Length: 4") + b"abcd"),
        "protocol-error",
        None,
    ),
    "negative length": (Raw(head(b"Content-Length: -3") + b"abcd"), "protocol-error", None),
    "length in words": (Raw(head(b"Content-Length: ten") + b"abcd"), "protocol-error", None),
    "length, and chunks": (
        Raw(head(b"Content-Length: 3", b"Transfer-Encoding: chunked") + b"3\r\nabc\r\n0\r\n\r\n"),
        "protocol-error",
        None,
    ),
}


async def test_faults(make_rig: MakeRig) -> None:
    seen = {}
    for name, (step, _, _) in FAULTS.items():
        rig = make_rig()  # for each its own, as some end the connection without notice
        path = f"/{quote(name)}"
        rig.web.serve(path, step)
        fault = await rig.fault(path)
        seen[name] = (step, fault.code, fault.http_status)
        assert (fault.partial, fault.retry_after, fault.final_url) == (None, None, None)
    assert seen == FAULTS
    assert rig.web.count() == len(FAULTS)
    assert rig.files() == {}


ARRIVALS: dict[str, tuple[Step, bytes]] = {
    "with a length": (Answer(Picture(SIZE)), picture("", SIZE)),
    "in chunks": (Answer(Picture(SIZE), framing=Chunked(999)), picture("", SIZE)),
    "in bytes": (Answer(Picture(900), framing=Chunked(1)), picture("", 900)),
    "until the end": (Answer(Picture(SIZE), framing=UntilClose()), picture("", SIZE)),
    "more than its length": (Answer(Picture(900), framing=Length(-10)), picture("", 900)[:890]),
    "empty": (Answer(), b""),
    "empty, in chunks": (Answer(framing=Chunked()), b""),
    "empty, until the end": (Answer(framing=UntilClose()), b""),
    "html": (html(), html().body.data()),
    "xml": (xml("image/jpeg"), xml().body.data()),
    "damaged": (Answer(Flipped(Picture(900), 3)), Flipped(Picture(900), 3).data()),
    "zipped unasked": (Answer(Gzipped(Picture(SIZE))), Gzipped(Picture(SIZE)).data()),
    "said to be zipped": (
        Answer(Bytes(b"plain"), headers=(("Content-Encoding", "gzip, br"),)),
        b"plain",
    ),
    "a hint before it": (
        Raw(
            b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + head(b"Content-Length: 3") + b"abc"
        ),
        b"abc",
    ),
    "HTTP/1.0": (Raw(b"HTTP/1.0 200 OK\r\n\r\nabc"), b"abc"),
    "bare line feeds": (Raw(b"HTTP/1.1 200 OK\nContent-Length: 3\n\nabc"), b"abc"),
    "reset after all": (Answer(Picture(SIZE), end=Reset()), picture("", SIZE)),
    "silence after all": (Answer(Picture(SIZE), end=Stall()), picture("", SIZE)),
}


async def test_arrivals(make_rig: MakeRig) -> None:
    for name, (step, data) in ARRIVALS.items():
        rig = make_rig()
        path = f"/{quote(name)}?b=c"
        rig.web.serve(path, step)
        arrival = await rig.arrival(path)
        assert bytes_of(arrival) == data, name
        assert (arrival.http_status, arrival.received, arrival.resumed) == (200, len(data), False)
        assert arrival.final_url == rig.web.url(path)
    assert rig.web.count() == len(ARRIVALS)
    assert rig.files() == {}


def test_zipped_is_not_what_it_was() -> None:
    assert gzip.decompress(Gzipped(Picture(SIZE)).data()) == picture("", SIZE)


async def test_what_the_server_says_of_the_bytes(rig: Rig) -> None:
    rig.web.serve("/a", Answer(Picture(900, kind="png")))
    arrival = await rig.arrival("/a")
    tag = f'"{Picture(900, kind="png").tag()}"'
    assert arrival.content_type == "image/png"
    assert arrival.validators == Validators(tag, LAST_MODIFIED)


async def test_what_is_not_text_can_still_be_written_down(rig: Rig) -> None:
    """A header's bytes need not be UTF-8; a manifest's text has to be."""
    step = Raw(
        head(b"Content-Type: image/\xe9 \t x", b'ETag: "\xe9"', b"Content-Length: 3") + b"abc"
    )
    rig.web.serve("/a", step)
    arrival = await rig.arrival("/a")
    assert arrival.content_type == r"image/\udce9 x"


async def test_nor_need_what_a_fault_tells_be_text(rig: Rig) -> None:
    rig.web.serve("/b", Raw(b"HTTP/1.1 206 Part\r\nContent-Range: \xe9\r\n\r\n"))
    fault = await rig.fault("/b", partial=rig.kept(b"abc"))
    assert fault.detail == r"Content-Range: \udce9"


async def test_a_detail_is_one_line_of_a_sensible_length(rig: Rig) -> None:
    rig.web.serve("/a", GARBAGE, Raw(head(b"X: " + b"a" * 20_000)))
    for _ in range(2):
        detail = (await rig.fault("/a")).detail
        assert detail.isprintable()
        assert 0 < len(detail) < 400


# Redirects.


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/b?c", "http://{}/b?c"),
        ("b", "http://{}/x/b"),
        ("https://other.example/b", "https://other.example/b"),
        ("//other.example/b", "http://other.example/b"),
        ("http://127.0.0.1:1/", "http://127.0.0.1:1/"),
        ("file:///etc/passwd", "file:///etc/passwd"),
    ],
)
async def test_redirects_are_told_and_not_followed(rig: Rig, location: str, target: str) -> None:
    netloc = f"127.0.0.1:{rig.web.port}"
    for count, code in enumerate((301, 302, 303, 307, 308), start=1):
        rig.web.serve("/x/a", redirect(location, code))
        assert await rig.fetch("/x/a") == Redirect(code, target.format(netloc))
        assert rig.web.count() == count


async def test_a_redirect_to_bytes_that_are_not_utf8(rig: Rig) -> None:
    rig.web.serve("/a", Raw(b"HTTP/1.1 302 Found\r\nLocation: http://h/\xe9\r\n\r\n"))
    assert await rig.fetch("/a") == Redirect(302, "http://h/%E9")


# Retry-After.

WALL = 946_684_790.0  # ten seconds before 2000


RETRY_AFTER = {
    "2": 2.0,
    "0": 0.0,
    "Sat, 01 Jan 2000 00:00:00 GMT": 10.0,
    "Saturday, 01-Jan-00 00:00:00 GMT": 10.0,
    "Sat Jan  1 00:00:00 2000": 10.0,
    "Fri, 31 Dec 1999 00:00:00 GMT": 0.0,
    "soon": None,
    "-1": None,
    "": None,
    None: None,
}


@pytest.mark.parametrize("code", [429, 503, 404])
async def test_retry_after(make_rig: MakeRig, code: int) -> None:
    rig = make_rig(parts={"wall": lambda: WALL})
    rig.web.serve("/a", *(throttled(value, code) for value in RETRY_AFTER))
    seen = [(await rig.fault("/a")).retry_after for _ in RETRY_AFTER]
    assert seen == list(RETRY_AFTER.values())


async def test_of_several_the_longest_that_can_be_read(rig: Rig) -> None:
    headers = tuple(("Retry-After", value) for value in ("soon", "2", "", "90", "7"))
    rig.web.serve("/a", status(429, *headers))
    rig.web.serve("/b", status(429, *headers[:1], *headers[2:3]))
    assert (await rig.fault("/a")).retry_after == 90.0
    assert (await rig.fault("/b")).retry_after is None


async def test_retry_after_as_the_little_web_dates_it(rig: Rig) -> None:
    rig.web.serve("/a", throttled(HttpDate(3_600)))
    seconds = (await rig.fault("/a")).retry_after
    assert seconds == pytest.approx(3_600, abs=60)


# Ends before the end: any framing, any kind, any place; in memory and spooled.


@dataclass(frozen=True)
class Cut:
    """What should come of an end after ``at`` body bytes; ``code`` is ``None`` for an arrival."""

    code: str | None
    at: int


def expected_of(framing: Framing, end: End, size: int) -> Cut:
    at = size if end.at is None else end.at
    told = not isinstance(framing, UntilClose)
    match end:
        case _ if told and end.at is None:
            return Cut(None, at)
        case Close():
            return Cut("truncated" if told else None, at)
        case Reset():
            return Cut("connection-reset", at)
        case Stall():
            return Cut("stalled", at)


@pytest.mark.parametrize(("size", "memory"), [(SIZE, MEMORY), (BIG, SIZE), (SIZE, 0), (BIG, BIG)])
@pytest.mark.parametrize("framing", [Length(), Chunked(), UntilClose()], ids=repr)
@pytest.mark.parametrize("kind", [Close, Reset, Stall])
async def test_what_came_before_the_end_is_kept(
    make_rig: MakeRig, kind: type[End], framing: Framing, size: int, memory: int
) -> None:
    async def holds(rig: Rig) -> None:
        before = rig.web.count()
        image = picture("k", size)
        ends = [kind(at) for at in (0, 1, size // 2, size - 1, None)]
        for end in ends:
            rig.web.serve(f"/{end.at}", Answer(Picture(size, "k"), framing=framing, end=end))
        results = await asyncio.gather(
            *(
                rig.fetch(f"/{end.at}", memory=memory, spool=rig.folder / f"{end.at}.part")
                for end in ends
            )
        )
        kept = {}
        for end, result in zip(ends, results, strict=True):
            cut = expected_of(framing, end, size)
            spool = rig.folder / f"{end.at}.part"
            if cut.code is None:
                assert isinstance(result, Arrival)
                assert bytes_of(result) == image[: cut.at]
                spooled = cut.at > memory
            else:
                assert isinstance(result, Fault)
                assert (result.code, result.received, result.http_status) == (cut.code, cut.at, 200)
                check_kept(spool, result, image[: cut.at])
                spooled = cut.at > 0
            if spooled:
                kept[spool.name] = cut.at
        assert rig.files() == kept
        assert rig.web.count() - before == len(ends)

    await (stalling(make_rig, holds) if kind is Stall else holds(make_rig()))


def check_kept(spool: Path, fault: Fault, data: bytes) -> None:
    if not data:
        assert fault.partial is None
        return
    assert fault.partial is not None
    assert fault.partial.path == spool
    assert fault.partial.size == len(data)
    assert fault.partial.validators.etag is not None
    assert fault.partial.ended is False
    assert spool.read_bytes() == data


async def test_less_than_its_length(rig: Rig) -> None:
    rig.web.serve("/a", Answer(Picture(SIZE), framing=Length(+10)))
    fault = await rig.fault("/a")
    assert (fault.code, fault.received) == ("truncated", SIZE)
    check_kept(rig.spool, fault, picture("", SIZE))


async def test_a_wrong_chunk(rig: Rig) -> None:
    body = b"5\r\nhello\r\n"
    for code in (b"ZZ\r\n", b"-1\r\n", b"5\r\nhelloo\r\n"):
        rig.web.serve("/a", Raw(head(b"Transfer-Encoding: chunked") + body + code))
        assert (await rig.fault("/a")).code == "protocol-error"


@pytest.mark.parametrize("end", [Close(30_000), Reset(30_000)])
async def test_an_unframed_body_that_is_shorter_than_listed(rig: Rig, end: End) -> None:
    rig.web.serve("/a", Answer(Picture(SIZE), framing=UntilClose(), end=end))
    fault = await rig.fault("/a", expected_size=SIZE)
    assert fault.code == ("truncated" if isinstance(end, Close) else "connection-reset")
    assert fault.partial is not None
    assert (fault.partial.size, fault.partial.ended) == (30_000, isinstance(end, Close))
    assert rig.spool.read_bytes() == picture("", SIZE)[:30_000]


@pytest.mark.parametrize("listed", [None, 0, SIZE - 1, SIZE])
async def test_an_unframed_body_that_is_not_shorter(rig: Rig, listed: int | None) -> None:
    rig.web.serve("/a", Answer(Picture(SIZE), framing=UntilClose()))
    assert (await rig.arrival("/a", expected_size=listed)).body.size == SIZE


@pytest.mark.parametrize("framing", [Length(), Chunked()], ids=repr)
async def test_the_listed_size_says_nothing_of_a_framed_body(rig: Rig, framing: Framing) -> None:
    rig.web.serve("/a", Answer(Picture(SIZE), framing=framing))
    assert (await rig.arrival("/a", expected_size=2 * SIZE)).body.size == SIZE


# Time.


async def test_silence_stalls(make_rig: MakeRig) -> None:
    rig = make_rig(stall_timeout=SOON)
    rig.web.serve("/a", SILENCE)
    rig.web.serve("/b", Raw(b"HTTP/1.1 200 OK\r\n", Stall()))
    rig.web.serve("/c", Raw(b"HTTP/1.1 103 Early Hints\r\n\r\n", Stall()))
    for path in ("/a", "/b", "/c"):
        fault = await rig.fault(path)
        assert (fault.code, fault.http_status, fault.partial) == ("stalled", None, None)


async def test_slow_is_not_stalled(make_rig: MakeRig) -> None:
    """Longer in all than a stall would be."""

    async def holds(factor: float) -> None:
        rig = make_rig(stall_timeout=0.5 * factor)
        rig.web.serve("/a", Answer(Picture(600), pace=Trickle(100, 0.12 * factor)))
        assert (await rig.arrival("/a")).body.size == 600

    await at_some_pace(holds)


async def test_slow_is_too_slow_in_the_end(make_rig: MakeRig) -> None:
    rig = make_rig(total_timeout=0.2)
    rig.web.serve("/a", Answer(Picture(SIZE), pace=Trickle(100, 0.02)))
    fault = await rig.fault("/a")
    assert (fault.code, fault.http_status) == ("total-timeout", 200)
    check_kept(rig.spool, fault, picture("", SIZE)[: fault.received])


async def test_the_total_is_for_one_request(make_rig: MakeRig) -> None:
    """Not for the next one over the same connection."""

    async def holds(factor: float) -> None:
        rig = make_rig(total_timeout=0.4 * factor)
        rig.web.serve("/a", Answer(Picture(600), delay=0.24 * factor))
        for _ in range(2):
            await rig.arrival("/a")
        assert len({request.client for request in rig.web.requests[-2:]}) == 1

    await at_some_pace(holds)


async def test_the_total_includes_the_wait_for_an_answer(make_rig: MakeRig) -> None:
    rig = make_rig(total_timeout=SOON)
    rig.web.serve("/a", SILENCE)
    assert (await rig.fault("/a")).code == "total-timeout"


@pytest.mark.parametrize("limit", ["stall_timeout", "total_timeout"])
async def test_a_status_counts_though_its_body_stalls(make_rig: MakeRig, limit: str) -> None:
    rig = make_rig(**{limit: SOON})
    rig.web.serve("/a", Answer(Picture(900), 404, end=Stall(3)))
    rig.web.serve("/b", Answer(Picture(900), 302, headers=(("Location", "/c"),), end=Stall(3)))
    assert (await rig.fault("/a")).code == "http-404"
    assert isinstance(await rig.fetch("/b"), Redirect)

"""Asking for the rest of a body: what is asked, what is believed, and what becomes of the file."""

from __future__ import annotations

import pytest

from fetcher.demo.images import picture
from fetcher.demo.steps import (
    HANG_UP,
    RESET,
    Answer,
    Bytes,
    Chunked,
    Close,
    Framing,
    Length,
    Picture,
    Ranges,
    Raw,
    Reset,
    Stall,
    Step,
    UntilClose,
    Validators,
    redirect,
    status,
    throttled,
)
from fetcher.demo.wire import LAST_MODIFIED
from fetcher.model import Arrival, Fault, Partial, Redirect
from fetcher.model import Validators as Told
from tests.transport.harness import MEMORY, SOON, MakeRig, Rig, bytes_of, stalling

SIZE = 50_000
CUT = 20_000
IMAGE = picture("k", SIZE)
PICTURE = Picture(SIZE, "k")
TAG = f'"{PICTURE.tag()}"'


async def cut_once(rig: Rig, *then: Step, first: Answer | None = None) -> Partial:
    """Serve /a cut at ``CUT``, then as told; what the first fetch kept."""
    rig.web.serve("/a", first or Answer(PICTURE, end=Close(CUT)), *then)
    fault = await rig.fault("/a")
    assert fault.partial is not None
    assert fault.partial.size == CUT
    return fault.partial


@pytest.mark.parametrize("memory", [0, MEMORY])
@pytest.mark.parametrize("framing", [Length(), Chunked(), UntilClose()], ids=repr)
async def test_the_rest_makes_it_whole(rig: Rig, framing: Framing, memory: int) -> None:
    partial = await cut_once(rig, Answer(PICTURE, framing=framing))
    arrival = await rig.arrival("/a", partial=partial, memory=memory)
    assert bytes_of(arrival) == IMAGE
    assert arrival.body.path == partial.path
    assert (arrival.http_status, arrival.resumed) == (206, True)
    assert arrival.received == SIZE - CUT
    assert arrival.validators == Told(TAG, LAST_MODIFIED)
    assert rig.files() == {"1.part": SIZE}
    first, second = rig.web.requests
    assert "range" not in first.headers
    assert second.headers["range"] == f"bytes={CUT}-"


@pytest.mark.parametrize(
    ("validators", "if_range"),
    [
        (Validators.ALL, TAG),
        (Validators.DATE, LAST_MODIFIED),
        (Validators.WEAK, None),
        (Validators.NONE, None),
    ],
)
async def test_the_rest_is_asked_for_if_it_is_of_the_same_image(
    rig: Rig, validators: Validators, if_range: str | None
) -> None:
    answer = Answer(PICTURE, validators=validators)
    partial = await cut_once(
        rig, answer, first=Answer(PICTURE, validators=validators, end=Close(CUT))
    )
    assert bytes_of(await rig.arrival("/a", partial=partial)) == IMAGE
    assert rig.web.requests[1].headers.get("if-range") == if_range


RANGES: dict[Ranges, str | None] = {
    # What a server does with the range → the fault; None: the whole image, resumed or not.
    Ranges.HONOURED: None,
    Ranges.IGNORED: None,
    Ranges.REFUSED: "range-mismatch",
    Ranges.SHIFTED: "range-mismatch",
    Ranges.UNLABELLED: "range-mismatch",
    Ranges.RESIZED: "range-mismatch",
    Ranges.SHORT: "range-mismatch",
}


@pytest.mark.parametrize(("ranges", "code"), RANGES.items())
async def test_servers_that_do_not_do_as_they_are_asked(
    rig: Rig, ranges: Ranges, code: str | None
) -> None:
    partial = await cut_once(rig, Answer(PICTURE, ranges=ranges))
    result = await rig.fetch("/a", partial=partial)
    if code is None:
        assert isinstance(result, Arrival)
        assert bytes_of(result) == IMAGE
        assert result.resumed == (ranges is Ranges.HONOURED)
    else:
        assert isinstance(result, Fault)
        assert (result.code, result.partial) == (code, None)
        assert result.http_status in (206, 416)
        # It is left as it is: whoever asked decides what becomes of it.
        assert partial.path.read_bytes() == IMAGE[:CUT]
    assert rig.web.count() == 2


async def test_a_part_that_is_labelled_wrongly_is_for_the_digest_to_find(rig: Rig) -> None:
    partial = await cut_once(rig, Answer(PICTURE, ranges=Ranges.MISLABELLED))
    arrival = await rig.arrival("/a", partial=partial)
    assert arrival.resumed
    assert bytes_of(arrival) == IMAGE[:CUT] + IMAGE[: SIZE - CUT]


def test_every_way_to_meet_a_range_is_in_a_test() -> None:
    assert {*RANGES, Ranges.MISLABELLED} == set(Ranges)


async def test_another_image_comes_whole_and_takes_the_place(rig: Rig) -> None:
    partial = await cut_once(rig, Answer(Picture(SIZE, "other")))
    arrival = await rig.arrival("/a", partial=partial)
    assert (arrival.http_status, arrival.resumed) == (200, False)
    assert bytes_of(arrival) == picture("other", SIZE)


@pytest.mark.parametrize("spool", ["1.part", "2.part"])
@pytest.mark.parametrize("memory", [0, MEMORY])
async def test_a_new_beginning_leaves_nothing_of_the_old_one(
    rig: Rig, memory: int, spool: str
) -> None:
    """In memory or in a file, at the old one's place or at another."""
    partial = await cut_once(rig, Answer(PICTURE, ranges=Ranges.IGNORED))
    arrival = await rig.arrival("/a", partial=partial, memory=memory, spool=rig.folder / spool)
    assert bytes_of(arrival) == IMAGE
    assert rig.files() == ({spool: SIZE} if memory == 0 else {})


@pytest.mark.parametrize("spool", ["1.part", "2.part"])
async def test_a_new_beginning_that_is_cut_too(rig: Rig, spool: str) -> None:
    partial = await cut_once(rig, Answer(PICTURE, ranges=Ranges.IGNORED, end=Close(999)))
    fault = await rig.fault("/a", partial=partial, spool=rig.folder / spool)
    assert fault.partial is not None
    assert (fault.partial.path.name, fault.partial.size) == (spool, 999)
    assert rig.files() == {spool: 999}
    assert fault.partial.path.read_bytes() == IMAGE[:999]


@pytest.mark.parametrize("memory", [0, MEMORY])
@pytest.mark.parametrize("kind", [Close, Reset, Stall])
async def test_cut_again_and_again_it_grows(
    make_rig: MakeRig, kind: type[Close | Reset | Stall], memory: int
) -> None:
    async def holds(rig: Rig) -> None:
        partial = await cut_once(
            rig, Answer(PICTURE, end=kind(0)), Answer(PICTURE, end=kind(9_000))
        )
        for size in (CUT, CUT + 9_000, CUT + 18_000):
            fault = await rig.fault("/a", partial=partial, memory=memory)
            assert fault.partial is not None
            assert (fault.partial.path, fault.partial.size) == (rig.spool, size)
            assert fault.received == size - partial.size
            assert fault.partial.validators == Told(TAG, LAST_MODIFIED)
            assert rig.spool.read_bytes() == IMAGE[:size]
            partial = fault.partial
        rig.web.serve("/a", Answer(PICTURE))
        assert bytes_of(await rig.arrival("/a", partial=partial, memory=memory)) == IMAGE
        assert rig.web.requests[-1].headers["range"] == "bytes=38000-"

    await (stalling(make_rig, holds) if kind is Stall else holds(make_rig()))


NOT_NOW: dict[str, tuple[Step, str]] = {
    "503": (throttled(2, 503), "http-5xx"),
    "429": (throttled(), "rate-limited"),
    "404": (status(404), "http-404"),
    "hang up": (HANG_UP, "connection-reset"),
    "reset": (RESET, "connection-reset"),
    "200, cut at once": (Answer(PICTURE, ranges=Ranges.IGNORED, end=Close(0)), "truncated"),
}


@pytest.mark.parametrize(("step", "code"), NOT_NOW.values(), ids=NOT_NOW)
async def test_what_was_kept_outlives_other_faults(rig: Rig, step: Step, code: str) -> None:
    partial = await cut_once(rig, step, Answer(PICTURE))
    fault = await rig.fault("/a", partial=partial)
    assert (fault.code, fault.partial) == (code, None)
    assert partial.path.read_bytes() == IMAGE[:CUT]
    assert bytes_of(await rig.arrival("/a", partial=partial)) == IMAGE


async def test_and_redirects(rig: Rig) -> None:
    partial = await cut_once(rig, redirect("/b"))
    rig.web.serve("/b", Answer(PICTURE))
    assert isinstance(await rig.fetch("/a", partial=partial), Redirect)
    assert bytes_of(await rig.arrival("/b", partial=partial)) == IMAGE


# A part says itself where it ends.


def part(label: bytes, body: bytes, *lines: bytes) -> Raw:
    head = (b"HTTP/1.1 206 Partial Content", b"Content-Range: bytes " + label, *lines)
    return Raw(b"\r\n".join((*head, b"", body)))


PARTS: dict[str, tuple[Raw, str | None, int | None]] = {
    # answer to bytes=3-, code, bytes kept of b"abcdef"
    "right": (part(b"3-5/6", b"def", b"Content-Length: 3"), None, None),
    "of unknown total": (part(b"3-5/*", b"def", b"Content-Length: 3"), None, None),
    "without a length": (part(b"3-5/6", b"def"), None, None),
    "cut, without a length": (part(b"3-5/6", b"de"), "truncated", 5),
    "empty, without a length": (part(b"3-5/6", b""), "truncated", 3),
    "shorter than labelled": (part(b"3-5/6", b"de", b"Content-Length: 2"), "truncated", 5),
    "longer than labelled": (
        part(b"3-5/6", b"defg", b"Content-Length: 4"),
        "range-mismatch",
        None,
    ),
    "from elsewhere": (part(b"2-5/6", b"cdef", b"Content-Length: 4"), "range-mismatch", None),
    "a first part": (part(b"3-4/6", b"de", b"Content-Length: 2"), "range-mismatch", None),
    "in other units": (part(b"3-5", b"def", b"Content-Length: 3"), "range-mismatch", None),
}


@pytest.mark.parametrize(("answer", "code", "kept"), PARTS.values(), ids=PARTS)
async def test_parts(rig: Rig, answer: Raw, code: str | None, kept: int | None) -> None:
    rig.web.serve("/a", answer)
    partial = rig.kept(b"abc", Told('"t"'))
    result = await rig.fetch("/a", partial=partial)
    if code is None:
        assert isinstance(result, Arrival)
        assert bytes_of(result) == b"abcdef"
        return
    assert isinstance(result, Fault)
    assert result.code == code
    if kept is None:
        assert result.partial is None
    else:
        # Without validators of its own, the part is of what the request was conditional on.
        assert result.partial == Partial(rig.spool, kept, Told('"t"'))
        assert rig.spool.read_bytes() == b"abcdef"[:kept]


# Whole, and not known to be.


async def test_all_was_there_already(rig: Rig) -> None:
    rig.web.serve("/a", Answer(PICTURE))
    partial = rig.kept(IMAGE, Told(TAG))
    arrival = await rig.arrival("/a", partial=partial)
    assert (arrival.http_status, arrival.resumed, arrival.received) == (416, True, 0)
    assert bytes_of(arrival) == IMAGE
    assert arrival.body.path == rig.spool


@pytest.mark.parametrize("label", [b"bytes */49999", b"bytes */*", b"*/50000", None])
async def test_not_all_was_there(rig: Rig, label: bytes | None) -> None:
    line = b"Content-Range: " + label + b"\r\n" if label is not None else b""
    rig.web.serve("/a", Raw(b"HTTP/1.1 416 No\r\n" + line + b"Content-Length: 0\r\n\r\n"))
    fault = await rig.fault("/a", partial=rig.kept(IMAGE))
    assert (fault.code, fault.http_status) == ("range-mismatch", 416)


@pytest.mark.parametrize("ranges", [Ranges.IGNORED, Ranges.HONOURED])
async def test_an_end_at_the_same_byte_twice_is_the_end(rig: Rig, ranges: Ranges) -> None:
    """The list says more; the server says, without a length, that this is all there is."""
    rig.web.serve("/a", Answer(PICTURE, framing=UntilClose(), ranges=ranges))
    fault = await rig.fault("/a", expected_size=SIZE + 1)
    assert fault.partial is not None
    assert (fault.code, fault.partial.ended) == ("truncated", True)
    arrival = await rig.arrival("/a", expected_size=SIZE + 1, partial=fault.partial)
    assert bytes_of(arrival) == IMAGE


async def test_ends_at_other_bytes_are_not(rig: Rig) -> None:
    cuts = (
        Answer(PICTURE, framing=UntilClose(), ranges=Ranges.IGNORED, end=Close(n)) for n in (9, 5)
    )
    rig.web.serve("/a", *cuts)
    partial = None
    for size in (9, 5):
        fault = await rig.fault("/a", expected_size=SIZE, partial=partial)
        partial = fault.partial
        assert partial is not None
        assert (fault.code, partial.size, partial.ended) == ("truncated", size, True)


# The file is not what it was.


async def test_bytes_beyond_what_was_kept_are_cut_off(rig: Rig) -> None:
    rig.web.serve("/a", Answer(PICTURE))
    partial = rig.kept(IMAGE[:CUT])
    with partial.path.open("ab") as file:
        file.write(b"x" * SIZE)
    assert bytes_of(await rig.arrival("/a", partial=partial)) == IMAGE


@pytest.mark.parametrize("left", [0, CUT - 1, None])
async def test_a_file_that_lost_bytes_is_an_error_of_the_disk(rig: Rig, left: int | None) -> None:
    """It must not become an image with a hole."""
    rig.web.serve("/a", Answer(PICTURE))
    partial = rig.kept(IMAGE[:CUT])
    if left is None:
        partial.path.unlink()
    else:
        partial.path.write_bytes(IMAGE[:left])
    fault = await rig.fault("/a", partial=partial)
    assert (fault.code, fault.partial) == ("disk-error", None)
    assert rig.files() == ({} if left is None else {"1.part": left})


# Sizes count whole.


@pytest.mark.parametrize("framing", [Length(), Chunked()], ids=repr)
async def test_the_limit_is_for_the_whole_body(make_rig: MakeRig, framing: Framing) -> None:
    rig = make_rig(max_bytes=SIZE - 1)
    rig.web.serve("/a", Answer(PICTURE, framing=framing))
    fault = await rig.fault("/a", partial=rig.kept(IMAGE[:CUT]), memory=0)
    assert (fault.code, fault.partial) == ("too-large", None)
    assert (fault.received == 0) == isinstance(framing, Length)
    rig = make_rig(max_bytes=SIZE)
    assert bytes_of(await rig.arrival("/a", partial=rig.kept(IMAGE[:CUT]))) == IMAGE


async def test_a_tag_that_cannot_be_repeated_is_left_out(rig: Rig) -> None:
    head = b'HTTP/1.1 200 OK\r\nETag: "\xe9"\r\nContent-Length: 6\r\n\r\nabc'
    rig.web.serve("/a", Raw(head), Answer(Bytes(b"abcdef")))
    fault = await rig.fault("/a")
    assert bytes_of(await rig.arrival("/a", partial=fault.partial)) == b"abcdef"
    assert "if-range" not in rig.web.requests[1].headers


async def test_a_stall_while_it_is_asked_for(make_rig: MakeRig) -> None:
    rig = make_rig(stall_timeout=SOON)
    partial = rig.kept(b"abc")
    rig.web.serve("/a", Raw(end=Stall()))
    assert (await rig.fault("/a", partial=partial)).code == "stalled"
    assert rig.files() == {"1.part": 3}

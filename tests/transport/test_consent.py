"""X-Robots-Tag is obeyed before a byte is kept; a robots.txt is read to its limit, no further."""

from __future__ import annotations

import asyncio

import pytest

from fetcher.demo.images import picture
from fetcher.demo.steps import (
    HANG_UP,
    Answer,
    Bytes,
    Chunked,
    Close,
    End,
    Framing,
    Length,
    Picture,
    Reset,
    Stall,
    Step,
    UntilClose,
    redirect,
    status,
)
from fetcher.model import Arrival, Fault, Found, Redirect
from fetcher.policy.consent import ConsentRule
from fetcher.ports import FetchRequest
from fetcher.transport.exchange import DRAIN_AT_MOST
from tests.transport.harness import SOON, MakeRig, Rig, bytes_of

RULE = ConsentRule("fetcher", exempt=("localhost",))
NOAI = ("X-Robots-Tag", "noai")
SHOWN = Picture(20_000, "k")
LARGE = Picture(3 * DRAIN_AT_MOST, "k")


@pytest.fixture
async def rig(make_rig: MakeRig) -> Rig:
    return make_rig(consent=RULE)


# X-Robots-Tag.


@pytest.mark.parametrize(
    "headers",
    [
        (NOAI,),
        (("x-robots-tag", "NOINDEX"),),
        (("X-Robots-Tag", "nofollow"), ("X-Robots-Tag", "noimageai")),
        (("X-Robots-Tag", "otherbot: all, fetcher: noindex"),),
    ],
)
async def test_who_asks_not_to_is_obeyed(rig: Rig, headers: tuple[tuple[str, str], ...]) -> None:
    rig.web.serve("/a", Answer(SHOWN, headers=headers))
    fault = await rig.fault("/a", memory=0)
    assert (fault.code, fault.http_status) == ("opted-out", 200)
    assert fault.detail == f"X-Robots-Tag: {headers[-1][1]}"
    assert rig.files() == {}


@pytest.mark.parametrize("value", ["all", "nofollow", "otherbot: noai", "unavailable_after: 1"])
async def test_who_asks_something_else_is_not(rig: Rig, value: str) -> None:
    rig.web.serve("/a", Answer(SHOWN, headers=(("X-Robots-Tag", value),)))
    assert bytes_of(await rig.arrival("/a")) == SHOWN.data()


async def test_a_small_body_is_read_away_and_a_large_one_costs_the_connection(rig: Rig) -> None:
    for number, body in enumerate((SHOWN, SHOWN, LARGE, SHOWN)):
        rig.web.serve(f"/{number}", Answer(body, headers=(NOAI,)))
        fault = await rig.fault(f"/{number}")
        assert fault.received == (len(body.data()) if body is SHOWN else 0)
    clients = [request.client for request in rig.web.requests]
    assert clients[0] == clients[1] == clients[2] != clients[3]


async def test_the_rest_of_a_body_may_be_refused_too(rig: Rig) -> None:
    rig.web.serve("/a", Answer(SHOWN, end=Close(5_000)), Answer(SHOWN, headers=(NOAI,)))
    cut = await rig.fault("/a")
    fault = await rig.fault("/a", partial=cut.partial)
    assert (fault.code, fault.http_status, fault.partial) == ("opted-out", 206, None)


@pytest.mark.parametrize(
    ("step", "code"), [(status(404, NOAI), "http-404"), (status(503, NOAI), "http-5xx")]
)
async def test_an_error_stays_what_it_is(rig: Rig, step: Step, code: str) -> None:
    rig.web.serve("/a", step)
    assert (await rig.fault("/a")).code == code


async def test_a_redirect_is_followed_to_the_answer_that_counts(rig: Rig) -> None:
    moved = redirect("/b")
    rig.web.serve("/a", Answer(status=302, headers=(*moved.headers, NOAI)))
    assert isinstance(await rig.fetch("/a"), Redirect)


async def test_it_does_not_count_of_hosts_that_are_exempt(rig: Rig) -> None:
    rig.web.serve("/a", Answer(SHOWN, headers=(NOAI,)))
    assert (await rig.fault("/a")).code == "opted-out"
    await rig.arrival(f"http://localhost:{rig.web.port}/a")


@pytest.mark.parametrize("consent", [None, ConsentRule("fetcher", robots_tag=False)])
async def test_it_can_be_turned_off(make_rig: MakeRig, consent: ConsentRule | None) -> None:
    rig = make_rig(consent=consent)
    rig.web.serve("/a", Answer(SHOWN, headers=(NOAI,)))
    await rig.arrival("/a")


async def test_what_it_says_is_shown_harmlessly(rig: Rig) -> None:
    rig.web.serve("/a", Answer(SHOWN, headers=(("X-Robots-Tag", "noai, \tx" + "y" * 1_000),)))
    detail = (await rig.fault("/a")).detail
    assert detail.isprintable()
    assert len(detail) <= 300


# A text, cut.

LIMIT = 1_000


async def text(rig: Rig, path: str = "/robots.txt") -> Arrival | Found | Redirect | Fault:
    request = FetchRequest(rig.web.url(path), -1, 0, rig.spool, cut_at=LIMIT)
    return await rig.transport.fetch(request)


@pytest.mark.parametrize("framing", [Length(), Chunked(7), UntilClose()], ids=repr)
@pytest.mark.parametrize("size", [0, 1, LIMIT - 1, LIMIT, LIMIT + 1, 100 * LIMIT])
async def test_so_much_of_a_text_and_no_more(rig: Rig, size: int, framing: Framing) -> None:
    data = picture("text", max(size, 300))[:size]
    rig.web.serve("/robots.txt", Answer(Bytes(data), framing=framing, headers=(NOAI,)))
    arrival = await text(rig)
    assert isinstance(arrival, Arrival), arrival
    assert arrival.body.data == data[:LIMIT]
    assert rig.files() == {}


async def test_a_text_without_an_end_is_not_waited_for(rig: Rig) -> None:
    body = Bytes(b"#" * (LIMIT + 1))
    rig.web.serve("/robots.txt", Answer(body, framing=Length(off=10**12), end=Stall(LIMIT + 1)))
    assert isinstance(await text(rig), Arrival)


@pytest.mark.parametrize("end", [Close(500), Reset(500), Stall(500)], ids=repr)
@pytest.mark.parametrize("framing", [Length(), Chunked(7)], ids=repr)
async def test_a_text_that_breaks_off_is_none(
    make_rig: MakeRig, end: End, framing: Framing
) -> None:
    rig = make_rig(consent=RULE, stall_timeout=SOON)
    rig.web.serve("/robots.txt", Answer(Bytes(b"x" * 900), framing=framing, end=end), HANG_UP)
    fault = await text(rig)
    assert isinstance(fault, Fault)
    assert fault.code in {"truncated", "connection-reset", "stalled"}
    assert (fault.http_status, fault.partial) == (200, None)
    assert rig.files() == {}
    assert isinstance(await text(rig), Fault)


async def test_cancelling_leaves_nothing(rig: Rig) -> None:
    rig.web.serve("/robots.txt", Answer(Bytes(b"x" * 900), end=Stall(500)))
    asking = asyncio.create_task(text(rig))
    await rig.web.arrived(1)
    asking.cancel()
    await asyncio.wait([asking])
    assert asking.cancelled()
    assert rig.files() == {}

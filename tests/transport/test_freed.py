"""Law 7: what an attempt held is freed when it ends, and not when the collector happens to look.

An exception, its traceback and the frames that know the exception are a ring, which only the
collector frees. It looks once in 20,000 objects, and a frame of ours may know megabytes of a body.
"""

from __future__ import annotations

import asyncio
import gc
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import aiohttp
import pytest

from fetcher.demo.steps import (
    GARBAGE,
    HANG_UP,
    RESET,
    SILENCE,
    Answer,
    Chunked,
    Close,
    Length,
    Picture,
    Reset,
    Stall,
    Step,
    Trickle,
    UntilClose,
    redirect,
    status,
)
from fetcher.demo.web import Web
from fetcher.model import Fault
from fetcher.transport.exchange import Exchange
from fetcher.transport.inflow import Inflow
from fetcher.transport.intake import Intake
from fetcher.transport.requests import Ask
from fetcher.transport.wire import Wire
from tests.transport.harness import MEMORY, MakeRig, closed_port

HOLDERS = (Exchange, Inflow, Intake, Ask, Wire, aiohttp.StreamReader)
"""What has, or leads to, the bytes of a body."""
SHOWN = Picture(20_000)
LARGE = Picture(600_000)
TIMES = 2

ENDS: dict[str, Step] = {
    "whole": Answer(SHOWN),
    "404": status(404),
    "500": status(500),
    "redirect": redirect("/elsewhere"),
    "reset": RESET,
    "hung up": HANG_UP,
    "garbage": GARBAGE,
    "silence": SILENCE,
    "closed midway": Answer(SHOWN, end=Close(9_000)),
    "reset midway": Answer(SHOWN, end=Reset(9_000)),
    "stalled midway": Answer(SHOWN, end=Stall(9_000)),
    "too slow": Answer(SHOWN, pace=Trickle(50, 0.01)),
    "chunks, closed midway": Answer(SHOWN, framing=Chunked(700), end=Close(9_000)),
    "chunks, reset midway": Answer(SHOWN, framing=Chunked(700), end=Reset(9_000)),
    "until it is closed": Answer(SHOWN, framing=UntilClose(), end=Close(9_000)),
    "too long a length": Answer(SHOWN, framing=Length(10)),
    "404, closed midway": Answer(SHOWN, 404, end=Close(9_000)),
    "too large": Answer(Picture(1_000_000)),
    "large": Answer(LARGE),
    "large, closed midway": Answer(LARGE, end=Close(500_000)),
    "large, reset midway": Answer(LARGE, end=Reset(500_000)),
    "large, stalled midway": Answer(LARGE, end=Stall(500_000)),
    "large, too slow": Answer(LARGE, pace=Trickle(50, 0.01)),
}


@contextmanager
def uncollected() -> Iterator[Callable[[], Counter[str]]]:
    """While it lasts, the collector frees nothing; the answer is what of ``HOLDERS`` there is now
    that was not there before.
    """

    def there() -> Counter[str]:
        found = (type(one) for one in gc.get_objects())
        return Counter(kind.__name__ for kind in found if kind in HOLDERS)

    gc.collect()
    gc.disable()
    try:
        before = there()
        yield lambda: there() - before
    finally:
        gc.enable()


async def settled() -> None:
    """Let the loop do what is left to do about connections that were closed."""
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.mark.parametrize("step", ENDS.values(), ids=ENDS)
@pytest.mark.parametrize("memory", [MEMORY, 5_000], ids=["in memory", "spooled"])
async def test_no_end_of_an_attempt_leaves_a_ring(
    make_rig: MakeRig, step: Step, memory: int
) -> None:
    rig = make_rig(stall_timeout=0.1, total_timeout=0.2, max_bytes=900_000)
    rig.web.serve("/a.jpg", step)
    await rig.fetch("/a.jpg", memory=memory, expected_size=SHOWN.size)  # what is made once is made
    with uncollected() as alive:
        for _ in range(TIMES):
            await rig.fetch("/a.jpg", memory=memory, expected_size=SHOWN.size)
        await settled()
        kept = alive()
    assert not {"Exchange", "Inflow", "Intake", "Ask"} & kept.keys(), kept
    # A connection that is kept for the next request knows the last answer's stream.
    assert max(kept.values(), default=0) <= 1, kept


def looked_up(name: str) -> list[str]:
    match name:
        case "inside.test":
            return ["10.0.0.1"]
        case "example.com":
            return ["127.0.0.1"]
        case "nobody.test":
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        case _:
            raise socket.gaierror(socket.EAI_FAIL, "no answer")


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://closed.test/a.jpg", "connection-refused"),
        ("https://plain.test/a.jpg", "tls-error"),
        ("http://nobody.test/a.jpg", "dns-not-found"),
        ("http://broken.test/a.jpg", "dns-failure"),
        ("http://inside.test/a.jpg", "blocked-address"),
        ("http://0x7f000001/a.jpg", "bad-url"),
    ],
)
async def test_no_request_in_vain_leaves_a_ring(
    make_rig: MakeRig, web: Web, url: str, code: str
) -> None:
    led = {
        "closed.test:80": f"127.0.0.1:{closed_port()}",
        "plain.test:443": f"127.0.0.1:{web.port}",
    }
    rig = make_rig(allow_private=False, connect_to=led, parts={"look_up": looked_up})
    rig.transport._servers._witness = "nobody.test"  # so that somebody answers
    await rig.fetch(url)
    with uncollected() as alive:
        for _ in range(TIMES):
            result = await rig.fetch(url)
        await settled()
        kept = alive()
    assert isinstance(result, Fault)
    assert result.code == code
    assert not kept

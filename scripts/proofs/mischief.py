"""What can be wrong with an image's URL, in the mixture that a soak mirrors: with what must come of
it in the end, however often its host, its workers or its run went down on the way.

A kind's steps begin anew when a web does, so each ends as said from whichever step it is begun.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from fetcher.demo.steps import (
    GARBAGE,
    HANG_UP,
    PLACEHOLDER,
    RESET,
    SILENCE,
    Answer,
    Chunked,
    Close,
    Flipped,
    Gzipped,
    HttpDate,
    Length,
    Picture,
    Ranges,
    Reset,
    Stall,
    Step,
    Trickle,
    UntilClose,
    html,
    redirect,
    status,
    throttled,
)
from scripts.proofs.mirrors import Row

HOST: Final = "h{}.test"
SMALL: Final = 2_000
LARGE: Final = 120_000
SPOOLED: Final = 50_000
"""Bytes above which a run that mirrors this should spool."""
STALLED: Final = 1.5
"""Seconds of silence that such a run should bear, at most: nobody here is as silent on purpose and
then goes on."""
TOTAL: Final = 4.0
"""Seconds that it should give to one attempt; who drips takes twice as long."""
PRIVATE: Final = "/private/"
ROBOTS: Final = f"User-agent: *\nDisallow: {PRIVATE}\n"
_EVERY: Final = 500
"""One row in so many is no row at all, and another is there twice."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A way to behave, as a line of the table."""

    name: str
    share: int
    """Of a thousand."""
    steps: Callable[[Picture, str], tuple[Step, ...]]
    """Of what is listed, and the path of an honest copy of it on this host."""
    state: str = "verified"
    code: str | None = None
    size: int = SMALL
    folder: str = "/"
    listed: bool = True


def _first(*steps: Step) -> Callable[[Picture, str], tuple[Step, ...]]:
    return lambda shown, _: (*steps, Answer(shown))


def _always(step: Step) -> Callable[[Picture, str], tuple[Step, ...]]:
    return lambda _shown, _copy: (step,)


def _cut(ranges: Ranges) -> Callable[[Picture, str], tuple[Step, ...]]:
    """Cut short once; the request for the rest is met as ``ranges`` says, any later one well."""
    return lambda shown, _: (
        Answer(shown, end=Close(shown.size // 2)),
        Answer(shown, ranges=ranges),
        Answer(shown),
    )


KINDS: Final = (
    Kind("503 once", 20, _first(status(503))),
    Kind("500, then 502", 5, _first(status(500), status(502))),
    Kind("throttled for a second", 3, _first(throttled(1))),
    Kind("throttled until a date", 3, _first(throttled(HttpDate(1)))),
    Kind("throttled without a word", 5, _first(throttled())),
    Kind("throttled with nonsense", 2, _first(throttled("soon"))),
    Kind("503 for a second", 3, _first(throttled(1, 503))),
    Kind("reset", 10, _first(RESET)),
    Kind("reset midway", 10, lambda s, _: (Answer(s, end=Reset(s.size // 2)), Answer(s))),
    Kind("hung up", 10, _first(HANG_UP)),
    Kind("garbage", 5, _first(GARBAGE)),
    Kind("silent", 5, _first(SILENCE)),
    Kind("stalled midway", 5, lambda s, _: (Answer(s, end=Stall(s.size // 2)), Answer(s))),
    Kind("dripping", 1, lambda s, _: (Answer(s, pace=Trickle(250, STALLED * 0.6)), Answer(s))),
    Kind("slow", 5, lambda s, _: (Answer(s, pace=Trickle(500, 0.1)),)),
    *(
        Kind(f"cut, and ranges are {ranges.name.lower()}", 2, _cut(ranges), size=size)
        for ranges in Ranges
        for size in (SMALL, LARGE)
    ),
    Kind("large", 10, _first(), size=LARGE),
    Kind("in chunks", 10, lambda s, _: (Answer(s, framing=Chunked(700)),)),
    Kind("until it is closed", 10, lambda s, _: (Answer(s, framing=UntilClose()),)),
    Kind("too long a length", 3, lambda s, _: (Answer(s, framing=Length(10)),)),
    Kind("gzip that nobody asked for", 5, lambda s, _: (Answer(Gzipped(s)),)),
    Kind("moved", 10, lambda _, copy: (redirect(copy, 301),)),
    Kind("moved to another host", 10, lambda _, copy: (redirect(f"http://h0.test{copy}"),)),
    Kind("not listed", 10, _first(), "unverified", listed=False),
    Kind("404", 20, _always(status(404)), "gone", "http-404"),
    Kind("410", 5, _always(status(410)), "gone", "http-410"),
    Kind("placeholder", 20, _always(redirect(PLACEHOLDER)), "gone", "placeholder"),
    Kind("403", 5, _always(status(403)), "denied", "http-403"),
    Kind("451", 2, _always(status(451)), "denied", "http-451"),
    Kind("private", 5, _first(), "denied", "robots", folder=PRIVATE),
    Kind(
        "opted out",
        5,
        lambda s, _: (Answer(s, headers=(("X-Robots-Tag", "noai"),)),),
        "denied",
        "opted-out",
    ),
    Kind(
        "a byte wrong", 10, lambda s, _: (Answer(Flipped(s, 1_500)),), "mismatched", "md5-mismatch"
    ),
    Kind(
        "another size",
        5,
        lambda s, _: (Answer(replace(s, size=s.size - 1)),),
        "mismatched",
        "size-mismatch",
    ),
    Kind("a page", 5, _always(html()), "mismatched", "not-an-image"),
    Kind("never well", 2, _always(status(500)), "failed", "http-5xx"),
    Kind("in a circle", 1, _always(redirect("")), "failed", "too-many-redirects"),
    Kind("inside", 2, _always(redirect("http://127.0.0.1/inside")), "invalid", "blocked-address"),
    Kind("to a file", 1, _always(redirect("file:///etc/passwd")), "invalid", "bad-scheme"),
)
HONEST: Final = Kind("honest", 1_000 - sum(kind.share for kind in KINDS), _first())


@dataclass(frozen=True, slots=True)
class Planted:
    """An image of the mixture: where it is, how its host behaves, and what is listed."""

    web: int
    kind: Kind
    row: Row
    path: str
    steps: tuple[Step, ...]


def planted(count: int, webs: int, seed: int) -> Iterator[Planted]:
    """``count`` images in a random mixture, spread evenly over ``webs`` webs."""
    chance = random.Random(seed)  # noqa: S311  a mixture, no secret
    kinds = (HONEST, *KINDS)
    drawn = chance.choices(kinds, [kind.share for kind in kinds], k=count)
    for n, kind in enumerate(drawn):
        shown = Picture(kind.size + n % 100, f"{n:x}")
        copy = f"/pic/{n:x}/{shown.size}.jpg"
        path = copy if kind is HONEST else f"{kind.folder}{n:x}"
        url = f"http://{HOST.format(n % webs)}{path}"
        row = Row.of(f"{n:016x}", url, shown.data())
        if not kind.listed:
            row = replace(row, size="", md5="")
        steps = () if kind is HONEST else kind.steps(shown, copy)
        yield Planted(n % webs, kind, row, path, steps)


def listed(images: list[Planted]) -> tuple[list[Row], int, int]:
    """The rows of an image list, bad and repeated ones among them; how many of these there are."""
    rows: list[Row] = []
    for n, image in enumerate(images):
        rows.append(image.row)
        if n % _EVERY == 0:
            rows.append(image.row)
            rows.append(replace(image.row, image_id=f"bad{n:013x}", md5="none of this"))
    extra = len(range(0, len(images), _EVERY))
    return rows, extra, extra

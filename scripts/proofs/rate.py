"""A limit of requests per second, as the web sees it: law 4, and that the limit is used.

What is measured at the web is the limit and the way there. A machine that stops for a moment
between the two makes requests arrive together that were not sent together, so a measurement that
finds a breach is repeated, twice at most: a limit that is not kept shows every time.

The slow variant goes over TLS by way of a relay. Each request needs a connection of its own, which
takes up to ``SLOWEST`` seconds to stand: the request was decided on long before it can be sent. So
many become ready together, and the burst is used up to its edge, where the plain variant never is:
a millisecond on the way counts there. Up to one request is therefore let pass, and the run's end,
where the last ones wait for their connections, is part of what is not used.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from fetcher.demo.process import WebProcess
from fetcher.demo.steps import Answer, Close, Picture
from scripts.proofs import mirrors
from scripts.proofs.beside import serving
from scripts.proofs.relay import Relay


@dataclass(frozen=True, slots=True)
class Limit:
    rate: int
    burst: int
    least: float
    """Share of the rate that is to be used."""


PLAIN: Final = Limit(200, 20, least=0.97)
SLOW: Final = Limit(40, 8, least=0.9)
"""Each costs a handshake, so there are fewer; what the last of them waits counts as unused."""
SLOWEST: Final = 1.0
CONCURRENCY: Final = 256
TRIALS: Final = 3
_PATIENCE: Final = 60.0


@dataclass(frozen=True, slots=True)
class Report:
    seconds: float
    """Between the first request and the last."""
    requests: int
    worst: float
    """Requests in the worst of all windows, less what the budget allows there."""
    used: float
    """Share of the rate."""
    limit: Limit

    @property
    def holds(self) -> bool:
        return self.worst <= 0 and self.used >= self.limit.least


def prove(place: Path, *, seconds: float, processes: int = 1, slowly: bool = False) -> Report:
    """Mirror for about ``seconds``; the last of the trials that were needed."""
    for trial in range(TRIALS):
        report = _measure(place / f"trial-{trial}", seconds, processes, slowly=slowly)
        if report.holds:
            break
    return report


def _measure(place: Path, seconds: float, processes: int, *, slowly: bool) -> Report:
    limit = SLOW if slowly else PLAIN
    place.mkdir(parents=True)
    with WebProcess(place, tls=slowly) as web, _way(web, slowly=slowly) as port:
        config = mirrors.write_config(
            place / "config.yaml",
            {
                "network": {
                    "connect_to": {
                        f"*.staticflickr.com:{443 if slowly else 80}": f"{web.address}:{port}"
                    },
                    "ca_file": str(web.ca_file) if web.ca_file is not None else None,
                },
                # The ramp is no matter here: the limit itself is measured.
                "hosts": {"default": {"rate": limit.rate, "burst": limit.burst, "adapt": False}},
                "fetch": {"processes": processes},
            },
            {
                "fetch": {"concurrency": CONCURRENCY},
                "hosts": {"default": {"concurrency": CONCURRENCY}},
            }
            if slowly
            else {},
        )
        scheme = "https" if slowly else "http"
        rows = mirrors.gallery(int(limit.rate * seconds), size=600, scheme=scheme)
        if slowly:
            for row in rows:
                path = urlsplit(row.url).path
                web.serve(path, Answer(Picture(int(row.size), path.split("/")[2]), end=Close()))
        image_list = mirrors.write_list(place / "images.csv", rows)
        command = ("mirror", image_list, "--to", place / "mirror", "--config", config, "--quiet")
        with mirrors.start(*command) as process:
            _, errors = process.communicate(timeout=seconds + _PATIENCE)
        if process.returncode != 0:
            raise RuntimeError(f"the mirror ended with {process.returncode}: {errors}")
        times = [request.at for request in web.requests()]
    span = times[-1] - times[0]
    return Report(
        span,
        len(times),
        worst_window(times, limit.rate, limit.burst),
        (len(times) - 1) / span / limit.rate,
        limit,
    )


@contextmanager
def _way(web: WebProcess, *, slowly: bool) -> Iterator[int]:
    """The port to connect to."""
    if not slowly:
        yield web.port
        return
    chance = random.Random(1)  # noqa: S311  no secret

    async def hold() -> None:
        await asyncio.sleep(SLOWEST * chance.random())

    with serving(Relay(web.tls_port, hold).serve) as port:
        yield port


def worst_window(times: Sequence[float], rate: float, burst: int) -> float:
    """Over all windows that begin and end with a request: requests in it, less ``burst + rate t``.

    One pass: a window from i to j holds j - i + 1 requests, so what counts is the least value of
    ``i - rate * times[i]`` before each j.
    """
    least = float("inf")
    worst = -float("inf")
    for n, at in enumerate(times):
        least = min(least, n - rate * at)
        worst = max(worst, n - rate * at - least + 1 - burst)
    return worst

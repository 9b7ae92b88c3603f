"""A limit of requests per second, as the web sees it: law 4, and that the limit is used.

What is measured at the web is the limit and the way there. A machine that stops for a moment
between the two makes requests arrive together that were not sent together, so a measurement that
finds a breach is repeated, twice at most: a limit that is not kept shows every time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fetcher.demo.process import WebProcess
from scripts.proofs import mirrors

RATE: Final = 200
BURST: Final = 20
LEAST_USED: Final = 0.97
TRIALS: Final = 3
_PATIENCE: Final = 60.0


@dataclass(frozen=True, slots=True)
class Report:
    seconds: float
    """Between the first request and the last."""
    requests: int
    worst: float
    """Requests in the worst of all windows, less what the budget allows there: at most 0."""
    used: float
    """Share of the rate."""

    @property
    def holds(self) -> bool:
        return self.worst <= 0 and self.used >= LEAST_USED


def prove(place: Path, *, seconds: float, processes: int = 1) -> Report:
    """Mirror for about ``seconds``; the last of the trials that were needed."""
    for trial in range(TRIALS):
        report = _measure(place / f"trial-{trial}", seconds, processes)
        if report.holds:
            break
    return report


def _measure(place: Path, seconds: float, processes: int) -> Report:
    place.mkdir(parents=True)
    with WebProcess(place) as web:
        config = mirrors.write_config(
            place / "config.yaml",
            {
                "network": {"connect_to": {"*.staticflickr.com:80": f"{web.address}:{web.port}"}},
                # The ramp is no matter here: the limit itself is measured.
                "hosts": {"default": {"rate": RATE, "burst": BURST, "adapt": False}},
                "fetch": {"processes": processes},
            },
        )
        rows = mirrors.gallery(int(RATE * seconds), size=600)
        image_list = mirrors.write_list(place / "images.csv", rows)
        command = ("mirror", image_list, "--to", place / "mirror", "--config", config, "--quiet")
        with mirrors.start(*command) as process:
            _, errors = process.communicate(timeout=seconds + _PATIENCE)
        if process.returncode != 0:
            raise RuntimeError(f"the mirror ended with {process.returncode}: {errors}")
        times = [request.at for request in web.requests()]
    span = times[-1] - times[0]
    return Report(
        span, len(times), worst_window(times, RATE, BURST), (len(times) - 1) / span / RATE
    )


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

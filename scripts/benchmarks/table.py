"""Results for people (a Markdown table that also reads well as text) and for machines (JSON)."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from typing import Any, Final

from scripts.benchmarks.contenders import ALL, FETCHER
from scripts.benchmarks.experiments import MemoryResult, SpeedResult
from scripts.benchmarks.race import Spread, Standing, spread

_MIB: Final = 1024**2
_QUIET: Final = 0.5
"""Load up to which nobody else is at work, as far as one can see."""
_PROVES: Final = {contender.name: contender.proves for contender in ALL}
_SPEED_HEAD: Final = (
    "contender",
    "checks",
    "wall, s",
    "wall ÷ fetcher's",
    "CPU, ms/image",
    "CPU, s/GB",
    "peak, MiB",
)


def preamble(versions: Mapping[str, str | None], load: float) -> str:
    """Which programs were found, and which not (``None``); and how busy the machine was before."""
    programs = ", ".join(f"{name} {version or 'not found'}" for name, version in versions.items())
    doubt = "" if load <= _QUIET else ": busy with something else, so trust ratios, not seconds"
    return f"{programs}\n{os.cpu_count()} CPUs, load {load:.1f} before the start{doubt}"


def speed(result: SpeedResult) -> str:
    base = _named(FETCHER.name, result.standings)
    where = "to memory" if result.in_memory else "to a disk"
    size = f"{result.size / 1e6:,.1f} MB"
    title = f"{result.corpus}: {result.images:,} images, {size}, written {where}"
    rows = [_speed_row(standing, base, result) for standing in result.standings]
    return _page(title, _grid(_SPEED_HEAD, rows), result.standings)


def _speed_row(standing: Standing, base: Standing | None, result: SpeedResult) -> tuple[str, ...]:
    checks = "MD5" if _PROVES[standing.name] else "none"
    if not standing.usages:
        return (standing.name, checks, "failed", "", "", "", "")
    ratio = standing.against(base, lambda usage: usage.wall) if base else None
    cpu = spread([usage.cpu for usage in standing.usages]).median
    peak = max(usage.peak for usage in standing.usages)
    return (
        standing.name,
        checks,
        _shown(spread([usage.wall for usage in standing.usages])),
        _shown(ratio) if ratio else "",
        f"{1000 * cpu / result.images:.2f}",
        f"{1e9 * cpu / result.size:.2f}",
        f"{peak / _MIB:,.0f}",
    )


def memory(result: MemoryResult) -> str:
    rows = [
        (standing.name, _shown(spread([usage.peak / _MIB for usage in standing.usages]), 1))
        if standing.usages
        else (standing.name, "failed")
        for standing in result.standings
    ]
    page = _page(
        "Peak memory of fetcher, by the length of the list",
        _grid(("list", "peak, MiB"), rows),
        result.standings,
    )
    ratio = _growth(result)
    return page if ratio is None else f"{page}\nlong ÷ short: {_shown(ratio, 3)}"


def as_json(
    versions: Mapping[str, str | None],
    load: float,
    speeds: Sequence[SpeedResult],
    memories: Sequence[MemoryResult],
) -> dict[str, Any]:
    """Seconds and bytes; one number per round."""
    return {
        "machine": {
            "cpus": os.cpu_count(),
            "load_before": load,
            "system": platform.platform(),
            "python": platform.python_version(),
        },
        "programs": dict(versions),
        "speed": [_speed_json(result) for result in speeds],
        "memory": [
            {
                "rows": list(result.rows),
                "standings": [_standing_json(standing) for standing in result.standings],
                "ratio": _spread_json(_growth(result)),
            }
            for result in memories
        ],
    }


def _speed_json(result: SpeedResult) -> dict[str, Any]:
    base = _named(FETCHER.name, result.standings)
    return {
        "corpus": result.corpus,
        "images": result.images,
        "bytes": result.size,
        "in_memory": result.in_memory,
        "standings": [
            {
                **_standing_json(standing),
                "checks": _PROVES[standing.name],
                "ratio": _spread_json(standing.against(base, lambda u: u.wall) if base else None),
            }
            for standing in result.standings
        ],
    }


def _standing_json(standing: Standing) -> dict[str, Any]:
    return {
        "name": standing.name,
        "failure": standing.failure.reason if standing.failure else None,
        "wall": [usage.wall for usage in standing.usages],
        "cpu": [usage.cpu for usage in standing.usages],
        "peak": [usage.peak for usage in standing.usages],
    }


def _spread_json(value: Spread | None) -> dict[str, float] | None:
    if value is None:
        return None
    return {"median": value.median, "min": value.low, "max": value.high}


def _growth(result: MemoryResult) -> Spread | None:
    short, long = result.standings
    return long.against(short, lambda usage: usage.peak)


def _named(name: str, standings: Sequence[Standing]) -> Standing | None:
    return next((standing for standing in standings if standing.name == name), None)


def _shown(value: Spread, digits: int = 2) -> str:
    return f"{value.median:.{digits}f} ({value.low:.{digits}f}-{value.high:.{digits}f})"


def _grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = [head, ["-" * width for width in widths], *rows]
    return "\n".join(
        f"| {' | '.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))} |"
        for line in lines
    )


def _page(title: str, grid: str, standings: Sequence[Standing]) -> str:
    failures = "".join(
        f"\n{standing.name}: {standing.failure.reason}"
        for standing in standings
        if standing.failure
    )
    return f"{title}\n\n{grid}{failures}"

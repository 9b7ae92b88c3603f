"""Results for people (a Markdown table that also reads well as text) and for machines (JSON)."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from scripts.benchmarks.contenders import ALL, FETCHER
from scripts.benchmarks.figures import figures, told
from scripts.benchmarks.hosts import HostsResult
from scripts.benchmarks.imports import FETCHER as FETCHER_IMPORT
from scripts.benchmarks.imports import SETTLED, ImportResult
from scripts.benchmarks.measure import Failure
from scripts.benchmarks.memory import Held, MemoryResult
from scripts.benchmarks.race import Spread, Standing, spread
from scripts.benchmarks.results import Results
from scripts.benchmarks.speeds import SpeedResult

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
    base = named(FETCHER.name, result.standings)
    where = "to memory" if result.in_memory else "to a disk"
    size = f"{result.size / 1e6:,.1f} MB"
    title = f"{result.corpus}: {result.images:,} images, {size}, written {where}"
    rows = [_speed_row(standing, base, result) for standing in result.standings]
    page = _page(title, _grid(_SPEED_HEAD, rows), result.standings)
    for what, ratio in (
        ("fetcher's CPU ÷ the floor's", result.floor),
        ("the manifest's share of fetcher's CPU", result.manifest),
    ):
        page += f"\n{what}: {_shown(ratio, 3)}" if ratio is not None else ""
    return page


def _speed_row(standing: Standing, base: Standing | None, result: SpeedResult) -> tuple[str, ...]:
    checks = "MD5" if _PROVES[standing.name] else "none"
    if not standing.usages:
        return (standing.name, checks, "failed", "", "", "", "")
    ratio = standing.against(base, lambda usage: usage.wall) if base else None
    cpu = spread([usage.cpu for usage in standing.usages]).median
    peak = f"{max(standing.peaks) / _MIB:,.0f}" if standing.peaks else ""
    return (
        standing.name,
        checks,
        _shown(spread([usage.wall for usage in standing.usages])),
        _shown(ratio) if ratio else "",
        f"{1000 * cpu / result.images:.2f}",
        f"{1e9 * cpu / result.size:.2f}",
        peak,
    )


def hosts(result: HostsResult) -> str:
    title = (
        f"{result.hosts:,} hosts that answer after {1000 * result.latency:g} ms: "
        f"{result.images:,} images, {result.size / 1e6:,.1f} MB; at most {result.limit:,.0f}/s"
    )
    head = (
        *("contender", "wall, s", "of it over all", "sustained"),
        *("CPU, ms/image", "server's CPU", "at once"),
    )
    rows = [_hosts_row(standing, result) for standing in result.standings]
    return _page(title, _grid(head, rows), result.standings)


def _hosts_row(standing: Standing, result: HostsResult) -> tuple[str, ...]:
    overall, sustained = result.overall_share(standing), result.sustained_share(standing)
    if overall is None:
        return (standing.name, "failed", "", "", "", "", "")
    cpu = spread([usage.cpu for usage in standing.usages]).median
    return (
        standing.name,
        _shown(spread([usage.wall for usage in standing.usages])),
        _shown(overall),
        _shown(sustained) if sustained else "",
        f"{1000 * cpu / result.images:.2f}",
        f"{1000 * result.served[standing.name] / result.images:.2f}",
        f"{result.most[standing.name]:,}",
    )


def imports(result: ImportResult) -> str:
    where = "to memory" if result.in_memory else "to a disk"
    size = f"{result.list_bytes / 1e9:,.2f} GB unpacked, written {where}"
    base = named(FETCHER_IMPORT, result.standings)
    rows = [_import_row(standing, base) for standing in result.standings]
    pages = [
        _page(
            f"Import of {result.rows:,} rows, {size}",
            _grid(("by", "wall, s", "wall ÷ fetcher's", "CPU, s"), rows),
            result.standings,
        )
    ]
    if result.failure is not None:
        pages.append(f"failed: {result.failure}")
    starts = [
        (name, _shown(spread(seconds)))
        for name, seconds in (
            ("fresh", result.fresh),
            (f"resumed, {SETTLED:.0%} settled", result.resumed),
        )
        if seconds
    ]
    pages.append(_grid(("start", "first request after, s"), starts))
    if result.manifest is not None:
        sizes = [
            (name, f"{size / result.rows:.1f}", f"{size / result.kept_bytes:.3f}")
            for name, size in (
                ("imported", result.manifest.imported),
                (f"{SETTLED:.0%} settled", result.manifest.settled),
            )
        ]
        head = ("manifest", "bytes per row", f"÷ {result.kept_bytes / result.rows:.1f} of the list")
        pages.append(_grid(head, sizes))
    return "\n\n".join(pages)


def _import_row(standing: Standing, base: Standing | None) -> tuple[str, ...]:
    if not standing.usages:
        return (standing.name, "failed", "", "")
    ratio = standing.against(base, lambda usage: usage.wall) if base else None
    return (
        standing.name,
        _shown(spread([usage.wall for usage in standing.usages])),
        _shown(ratio) if ratio else "",
        _shown(spread([usage.cpu for usage in standing.usages])),
    )


def memory(result: MemoryResult) -> str:
    both = [_held_row(held) for held in (result.short, result.long)]
    grid = _grid(("list", "peak, MiB", "in flight at most", "images"), both)
    page = f"Peak memory of all processes of fetcher together, images of 2 MB\n\n{grid}"
    return page if result.growth is None else f"{page}\nlong ÷ short: {result.growth:.3f}"


def _held_row(held: Held | Failure) -> tuple[str, ...]:
    if isinstance(held, Failure):
        return ("", f"failed: {held.reason}", "", "")
    peak = f"{held.peak / _MIB:,.0f}"
    return (f"{held.rows:,} rows", peak, f"{held.in_flight:,}", f"{held.verified:,}")


def reached(results: Results, *, expected: bool) -> str:
    """The figures, as far as they were measured; empty if none was. ``expected`` says that all
    should have been.
    """
    found = figures(results)
    rows = list(told(found))
    left = [figure.what for figure in found if figure.found is None] if expected else []
    grid = _grid(("figure", "to reach", "found", "reached"), rows)
    more = f"\n\nNot measured: {'; '.join(left)}." if left else ""
    return f"{grid}{more}" if rows else ""


def as_json(
    versions: Mapping[str, str | None],
    load: float,
    results: Results,
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
        "figures": [
            {
                "what": figure.what,
                "reach": figure.reach,
                "found": _spread_json(figure.found),
                "holds": figure.holds,
            }
            for figure in figures(results)
        ],
        "speed": [_speed_json(result) for result in results.speeds],
        "hosts": [_hosts_json(result) for result in results.hosts],
        "import": [_import_json(result) for result in results.imports],
        "memory": [
            {"short": _held_json(one.short), "long": _held_json(one.long), "ratio": one.growth}
            for one in results.memories
        ],
    }


def _speed_json(result: SpeedResult) -> dict[str, Any]:
    base = named(FETCHER.name, result.standings)
    return {
        "corpus": result.corpus,
        "images": result.images,
        "bytes": result.size,
        "in_memory": result.in_memory,
        "cpu_against_floor": _spread_json(result.floor),
        "manifest_share_of_cpu": _spread_json(result.manifest),
        "standings": [
            {
                **_standing_json(standing),
                "checks": _PROVES[standing.name],
                "ratio": _spread_json(standing.against(base, lambda u: u.wall) if base else None),
            }
            for standing in result.standings
        ],
    }


def _hosts_json(result: HostsResult) -> dict[str, Any]:
    return {
        "hosts": result.hosts,
        "latency": result.latency,
        "images": result.images,
        "bytes": result.size,
        "limit": result.limit,
        "standings": [
            {
                **_standing_json(standing),
                "overall_share": _spread_json(result.overall_share(standing)),
                "sustained_share": _spread_json(result.sustained_share(standing)),
                "server_cpu": result.served.get(standing.name),
                "most_in_flight": result.most.get(standing.name),
            }
            for standing in result.standings
        ],
    }


def _import_json(result: ImportResult) -> dict[str, Any]:
    sizes = result.manifest
    return {
        "rows": result.rows,
        "list_bytes": result.list_bytes,
        "kept_bytes": result.kept_bytes,
        "in_memory": result.in_memory,
        "standings": [_standing_json(standing) for standing in result.standings],
        "first_request": {"fresh": result.fresh, "resumed": result.resumed},
        "manifest": None if sizes is None else asdict(sizes),
        "failure": result.failure,
    }


def _held_json(held: Held | Failure) -> dict[str, Any]:
    return asdict(held)


def _standing_json(standing: Standing) -> dict[str, Any]:
    return {
        "name": standing.name,
        "failure": standing.failure.reason if standing.failure else None,
        "wall": [usage.wall for usage in standing.usages],
        "cpu": [usage.cpu for usage in standing.usages],
        "peak": standing.peaks,
    }


def _spread_json(value: Spread | None) -> dict[str, float] | None:
    if value is None:
        return None
    return {"median": value.median, "min": value.low, "max": value.high}


def named(name: str, standings: Sequence[Standing]) -> Standing | None:
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

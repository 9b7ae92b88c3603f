"""What ``fetcher verify`` found: for machines as one JSON object, for people a line for each.

Findings come one at a time and go one at a time: a mirror may have lost a disk.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct
from rich.console import Console
from rich.table import Table

from fetcher.policy.findings import KINDS, Kind, Part, Put, Standing
from fetcher.report.text import printable, size


class Summary(Struct, frozen=True):
    standing: Standing
    complete: bool
    counts: Mapping[Kind, int]
    pending_again: int
    """Of the images with findings."""

    @property
    def damaged(self) -> int:
        return sum(n for kind, n in self.counts.items() if KINDS[kind].damage)


def write_json(write: Callable[[str], object], summary: Summary, puts: Iterable[Put]) -> None:
    """The contract of ``verify --json``: one object, written piece by piece."""
    standing = summary.standing
    head = {
        "check": standing.check_id,
        "sample": _part(standing.part),
        "complete": summary.complete,
        "repair": standing.repair,
        "files": standing.files,
        "bytes": standing.read,
        "damaged": summary.damaged,
        "pending_again": summary.pending_again,
        "kinds": {str(kind): summary.counts.get(kind, 0) for kind in Kind},
    }
    write(json.dumps(head)[:-1] + ', "findings": [')
    separator = ""
    for finding, moved_to in puts:
        write(
            separator
            + json.dumps(
                {
                    "kind": finding.kind,
                    "path": finding.path,
                    "detail": finding.detail,
                    "observed_size": finding.size,
                    "observed_md5": finding.md5,
                    "recorded_md5": finding.recorded_md5,
                    "moved_to": moved_to,
                }
            )
        )
        separator = ",\n"
    write("]}\n")


def show(console: Console, summary: Summary, puts: Iterable[Put]) -> None:
    for finding, moved_to in puts:
        detail = f"  ({printable(finding.detail)})" if finding.detail else ""
        now_at = f"  → {printable(moved_to)}" if moved_to else ""
        console.print(
            f"{finding.kind:<12}  {printable(finding.path)}{detail}{now_at}", soft_wrap=True
        )
    if summary.counts:
        console.print(_table(summary))
    standing = summary.standing
    share = "" if standing.part.of == 1 else f" (part {_part(standing.part)})"
    console.print(
        f"{standing.files:,} files, {size(standing.read)} read{share}: {summary.damaged:,} damaged"
    )


def _table(summary: Summary) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False, title_justify="left")
    table.add_column(justify="right")
    for _ in range(3):
        table.add_column()
    for kind, info in KINDS.items():
        if n := summary.counts.get(kind, 0):
            done = summary.standing.repair and info.damage and kind is not Kind.UNREADABLE
            advice = "done" if done else info.advice
            table.add_row(f"{n:,}", str(kind), info.meaning, advice)
    return table


def _part(part: Part) -> str:
    return f"{part.which + 1}/{part.of}"

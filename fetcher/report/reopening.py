"""What ``fetcher retry`` put back, or would: one JSON object for machines, a table for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from rich.console import Console
from rich.table import Table

from fetcher.model import State
from fetcher.policy.codes import CODES
from fetcher.policy.reopening import MAY_END, Reopening
from fetcher.report.text import counted, printable

Counts = Mapping[tuple[State, str | None], int]


def as_dict(counts: Counts, *, dry_run: bool) -> dict[str, object]:
    """The contract of ``retry --json``."""
    return {
        "reopened": sum(counts.values()),
        "dry_run": dry_run,
        "states": _summed((str(state), n) for (state, _), n in counts.items()),
        "codes": _summed((code, n) for (_, code), n in counts.items() if code is not None),
    }


def show(console: Console, counts: Counts, wanted: Reopening, *, dry_run: bool) -> None:
    total = sum(counts.values())
    if not total:
        console.print(f"No image {_described(wanted)}; nothing was changed.")
        if wanted.codes is None and wanted.states == {State.FAILED}:  # what is meant unless said
            console.print("--state and --code say which images are meant; see fetcher status DIR.")
        return
    images = counted(total, "image")
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(justify="right")
    for _ in range(3):
        table.add_column()
    for (state, code), n in sorted(counts.items(), key=lambda item: -item[1]):
        meaning = CODES[code].meaning if code in CODES else ""
        table.add_row(f"{n:,}", str(state), printable(code or ""), meaning)
    console.print(table)
    if dry_run:
        console.print(f"{images} would be put back to pending; nothing was changed.")
    else:
        verb, them = ("is", "it") if total == 1 else ("are", "them")
        console.print(f"{images} {verb} pending again; the command of the mirror fetches {them}.")


def _described(wanted: Reopening) -> str:
    states = " or ".join(sorted(str(state) for state in wanted.states))
    codes = " or ".join(sorted(wanted.codes or ()))
    if not codes:
        told = f"is {states}"
    elif wanted.states == MAY_END:
        told = f"has the code {codes}"
    else:
        told = f"is {states} with the code {codes}"
    if wanted.hosts is not None:
        told += f" on {' or '.join(wanted.hosts)}"
    if wanted.settled_by is not None:
        told += " for that long"
    return printable(told)


def _summed(pairs: Iterable[tuple[str, int]]) -> dict[str, int]:
    counter: Counter[str] = Counter()
    for name, n in pairs:
        counter[name] += n
    return dict(sorted(counter.items()))

"""The busy host groups as a table, one line each, in as many columns as there is room for.

What holds a group back is shown as long as there is a place for it; how many are in flight, its
rate, and how many wait for a retry are said shortly, and then left out, before a line would wrap.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from rich.cells import cell_len
from rich.console import Group
from rich.table import Table
from rich.text import Text

from fetcher.policy.groups import GroupStatus
from fetcher.report import holds, text

SHOWN: Final = 8
GAP: Final = 2
_NAME: Final = 24
"""Characters of a name that are worth more than words in other columns."""

_Form = Callable[[GroupStatus], str]


def _in_flight(group: GroupStatus) -> str:
    return f"{group.in_flight} of {group.concurrency} in flight"


def _waiting(group: GroupStatus) -> str:
    return f"{group.waiting:,} waiting to retry" if group.waiting else ""


def _slots(group: GroupStatus) -> str:
    return f"{group.in_flight} of {group.concurrency}"


def _rate(group: GroupStatus) -> str:
    return text.rate(group.rate) if group.rate is not None else ""


def _retrying(group: GroupStatus) -> str:
    return f"{group.waiting:,} waiting" if group.waiting else ""


_FORMS: Final[tuple[tuple[_Form, ...], ...]] = (
    (_in_flight, holds.allowed, _waiting),
    (_slots, holds.allowed, _waiting),
    (_slots, _rate, _retrying),
    (_slots, _rate),
    (_slots,),
    (),
)
"""Columns between name and hold, from the widest table to the narrowest."""


def table(groups: Sequence[GroupStatus], now: float, width: int) -> Group:
    """Those with most requests in flight, at most ``width`` wide."""
    busiest = sorted(groups, key=lambda g: (g.in_flight, g.ready), reverse=True)
    shown = busiest[:SHOWN]
    names = [text.printable(group.name) for group in shown]
    rows: list[list[str]] = []
    left = width
    for forms in _FORMS:
        rows = [[*(form(g) for form in forms), holds.live(g, now)] for g in shown]
        left = width - sum(GAP + wide for wide in _widths(rows) if wide)
        if left >= min(_NAME, max(map(cell_len, names), default=0)):
            break
    grid = Table.grid(padding=(0, GAP, 0, 0), pad_edge=False)
    grid.add_column(style="cyan", no_wrap=True, overflow="ellipsis", max_width=max(left, 1))
    kept = [at for at, wide in enumerate(_widths(rows)) if wide]
    for _ in kept:
        grid.add_column(no_wrap=True, overflow="ellipsis")
    for name, row in zip(names, rows, strict=True):
        grid.add_row(Text(name), *(Text(row[at]) for at in kept))
    more = len(groups) - len(shown)
    rest = [Text(f"… {text.counted(more, 'more host group')}")] if more else []
    return Group(grid, *rest)


def _widths(rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(cell_len, column)) for column in zip(*rows, strict=True)]

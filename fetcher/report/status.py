"""Where a mirror stands: for machines as one JSON object, for people as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from fetcher.model import HostMemory, State, Tally
from fetcher.policy.codes import CODES
from fetcher.report import holds
from fetcher.report.text import printable, size

MEANINGS: Final = {
    State.PENDING: "not settled yet",
    State.VERIFIED: "stored, and it matches the list",
    State.UNVERIFIED: "stored; the list gives nothing to check it against",
    State.ALIVE: "found by an audit, bytes not fetched",
    State.MISMATCHED: "arrived whole, but is not the listed image",
    State.GONE: "the host says that it no longer exists",
    State.DENIED: "the host or its owner does not allow it",
    State.FAILED: "passing trouble until the attempts ran out",
    State.INVALID: "not fetchable as listed",
}


def as_dict(
    tally: Tally, memories: Sequence[HostMemory] = (), wall: float = 0.0
) -> dict[str, object]:
    """The contract of ``status --json``. ``hosts`` is there only while a host group is given less
    than its budget, be it by the next run.
    """
    rows = tally.rows
    hosts = holds.remembered(memories, wall)
    return {
        "total": tally.total,
        "states": {str(state): tally.states.get(state, 0) for state in State},
        "codes": dict(sorted(tally.codes.items())),
        "bytes": {"expected": tally.expected_bytes, "stored": tally.stored_bytes},
        "rows": {
            "read": rows.read,
            "accepted": rows.accepted,
            "duplicate": rows.duplicate,
            "rejected": rows.rejected,
        },
        **({"hosts": hosts} if hosts else {}),
    }


def show(
    console: Console,
    tally: Tally,
    memories: Sequence[HostMemory] = (),
    wall: float = 0.0,
    *,
    ended: bool = False,
) -> None:
    """``ended``: no run is on, so what was learned of hosts is for the next one."""
    console.print(_picture(tally))
    held = [(memory.group, holds.sentence(memory, wall)) for memory in memories]
    if any(words for _, words in held):
        table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
        for group, words in sorted(held):
            if words:
                table.add_row(Text(printable(group)), Text(words))
        console.print(Text("\nthe next run begins with" if ended else "\nheld back"), table)


def _of_listed(tally: Tally) -> str:
    listed = f" of {size(tally.expected_bytes)} listed" if tally.expected_bytes else ""
    # They are on the disk as well, and who sees 0 B beside them wonders.
    aside = ", quarantined ones not counted" if tally.states.get(State.MISMATCHED) else ""
    return listed + aside


def _picture(tally: Tally) -> RenderableType:
    states = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    states.add_column(justify="right")
    states.add_column()
    states.add_column(style="dim")
    for state in State:
        if n := tally.states.get(state, 0):
            states.add_row(f"{n:,}", str(state), MEANINGS[state])
    states.add_row(f"{tally.total:,}", "in all", "")
    parts: list[RenderableType] = [states]
    if tally.codes:
        codes = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
        codes.add_column(justify="right")
        codes.add_column()
        codes.add_column(style="dim")
        for code, n in sorted(tally.codes.items(), key=lambda item: -item[1]):
            meaning = CODES[code].meaning if code in CODES else ""
            # As a Text it is not searched for markup: a manifest may have been made by anyone.
            codes.add_row(f"{n:,}", Text(printable(code)), meaning)
        parts += [Text("\nwhy"), codes]
    rows = tally.rows
    parts.append(
        Text(
            f"\nrows read {rows.read:,} = accepted {rows.accepted:,} + "
            f"duplicate {rows.duplicate:,} + rejected {rows.rejected:,}\n"
            f"bytes stored {size(tally.stored_bytes)}{_of_listed(tally)}"
        )
    )
    return Group(*parts)

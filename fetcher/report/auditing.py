"""What an audit found: for machines as one JSON object, for people as a table with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fetcher.model import State, Tally
from fetcher.policy.codes import CODES
from fetcher.policy.sampling import Rate, StratumCount, code_rate, rate
from fetcher.report.text import printable

RATES: Final[dict[str, frozenset[State]]] = {
    "present": frozenset({State.VERIFIED, State.UNVERIFIED, State.ALIVE}),
    "altered": frozenset({State.MISMATCHED}),
    "gone": frozenset({State.GONE}),
    "denied": frozenset({State.DENIED}),
    "failed": frozenset({State.FAILED}),
    "invalid": frozenset({State.INVALID}),
}
_MEANINGS: Final = {
    "present": "there, and as listed as far as the method tells",
    "altered": "something else is there",
    "gone": "the host says that it no longer exists",
    "denied": "the host or its owner does not allow it",
    "failed": "passing trouble until the attempts ran out",
    "invalid": "not fetchable as listed",
}


class About(Struct, frozen=True):
    """Which audit it is; ``None`` and zeros if it was stopped before it was drawn."""

    audit: int | None
    method: str
    sample: str | None
    seed: int | None
    listed: int
    asked: int
    strata: int
    resumed: bool


def as_dict(about: About, tally: Tally, strata: Sequence[StratumCount]) -> dict[str, object]:
    """The contract of ``audit --json``. Rates are shares between 0 and 1."""
    rates = {name: rate(strata, _names(states)) for name, states in RATES.items()}
    by_code = {code: code_rate(strata, code) for code in sorted(tally.codes)}
    return {
        "audit": about.audit,
        "method": about.method,
        "sample": about.sample,
        "seed": about.seed,
        "listed": about.listed,
        "asked": about.asked,
        "strata": about.strata,
        "states": {str(state): tally.states.get(state, 0) for state in State},
        "codes": dict(sorted(tally.codes.items())),
        "rates": {name: found._asdict() for name, found in rates.items() if found is not None},
        "code_rates": {c: found._asdict() for c, found in by_code.items() if found is not None},
        "rows": {
            "read": tally.rows.read,
            "accepted": tally.rows.accepted,
            "duplicate": tally.rows.duplicate,
            "rejected": tally.rows.rejected,
        },
    }


def show(console: Console, about: About, tally: Tally, strata: Sequence[StratumCount]) -> None:
    if about.audit is None:
        return
    console.print(Text(_sentence(about)))
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("images", "share", "95 % interval"):
        table.add_column(heading, justify="right")
    table.add_column("")
    table.add_column("", style="dim")
    for name, states in RATES.items():
        found = rate(strata, _names(states))
        n = sum(tally.states.get(state, 0) for state in states)
        if found is None or not n:
            continue
        table.add_row(
            f"{n:,}",
            f"{found.share:.2%}",
            _interval(found),
            name,
            _MEANINGS[name],
        )
    if tally.pending:
        table.add_row(f"{tally.pending:,}", "", "", "pending", "not asked yet")
    console.print(table)
    if tally.codes:
        codes = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
        for _ in range(3):
            codes.add_column(justify="right")
        codes.add_column()
        codes.add_column(style="dim")
        for code, n in sorted(tally.codes.items(), key=lambda item: -item[1]):
            meaning = CODES[code].meaning if code in CODES else ""
            found = code_rate(strata, code)
            share = "" if found is None else f"{found.share:.2%}"
            codes.add_row(f"{n:,}", share, _interval(found), Text(printable(code)), meaning)
        console.print(Text("\nwhy"))
        console.print(codes)
    rows = tally.rows
    console.print(
        Text(
            f"\nrows read {rows.read:,} = accepted {rows.accepted:,} + "
            f"duplicate {rows.duplicate:,} + rejected {rows.rejected:,}"
        )
    )


def _interval(found: Rate | None) -> str:
    """Nothing where there is nothing to estimate."""
    if found is None or found.low >= found.high:
        return ""
    return f"{found.low:.2%} to {found.high:.2%}"


def _names(states: frozenset[State]) -> frozenset[str]:
    return frozenset(map(str, states))


def _sentence(about: About) -> str:
    whole = f"audit {about.audit} by {about.method.upper()}: "
    if about.sample is None:
        return f"{whole}all {about.listed:,} images"
    strata = f"{about.strata:,} strata" if about.strata > 1 else "one stratum"
    return (
        f"{whole}{about.asked:,} of {about.listed:,} images "
        f"(sample {about.sample}, seed {about.seed}, {strata})"
    )

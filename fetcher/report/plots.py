"""Plots of a report's tables: SVG that stands inside of the page and takes its colours from it.

Matplotlib draws; each colour it is given is a stand-in that becomes a CSS variable afterwards, so
that one drawing serves light, dark and print. Text stays text: it can be searched, selected and
read aloud, and labels from outside are neither markup nor formulas. Drawings are narrow enough to
be read on a phone. Every plot stands beside the table that it shows, and says in a sentence what
there is to see (``Plot.alt``).
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, Final

from msgspec import Struct

from fetcher.errors import MissingExtraError
from fetcher.evidence import Cell, Table
from fetcher.model import State
from fetcher.report.cells import NOTHING, harmless, shown
from fetcher.report.text import duration, size

WIDTH: Final = 4.3
"""Inches; letters of 9 points are of 10 pixels then on a phone, and of 14 on a desk."""
_ROW: Final = 0.27
_BARS: Final = 12
_LABEL: Final = 26

_INK: Final = "#010101"
_SOFT: Final = "#020202"
_SERIES: Final = ("#030301", "#030302", "#030303")
_STATES: Final = {state: f"#0404{n:02x}" for n, state in enumerate(State, start=1)}

COLOURS: Final[Mapping[str, str]] = {
    _INK: "var(--ink)",
    _SOFT: "var(--soft)",
    **{stand_in: f"var(--series-{n})" for n, stand_in in enumerate(_SERIES, start=1)},
    **{stand_in: f"var(--{state})" for state, stand_in in _STATES.items()},
}

_STYLE: Final[dict[str, Any]] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "text.usetex": False,
    "font.size": 9,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _SOFT,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "xtick.color": _INK,
    "ytick.color": _INK,
    "grid.color": _SOFT,
    "grid.linewidth": 0.5,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
}


class Plot(Struct, frozen=True):
    svg: str
    alt: str


def draw(tables: Sequence[Table]) -> dict[str, Plot]:
    """The plots of those tables that have one and have rows, by name.

    Raises ``MissingExtraError`` without Matplotlib.
    """
    matplotlib = library()
    plots = {}
    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        # Titles and hosts may be of any script. The page's fonts show them, not Matplotlib's.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        for table in tables:
            drawer = _DRAWERS.get(table.name)
            if drawer is None or not table.rows:
                continue
            matplotlib.rcParams["svg.hashsalt"] = table.name
            figure = import_module("matplotlib.figure").Figure(layout="constrained")
            alt = drawer(figure, table)
            plots[table.name] = Plot(_svg(figure, table.name), alt)
    return plots


def library() -> Any:
    """Matplotlib. Raises ``MissingExtraError`` without."""
    try:
        return import_module("matplotlib")
    except ImportError as error:
        raise MissingExtraError("The HTML report", extra="report") from error


def _svg(figure: Any, name: str) -> str:
    file = io.StringIO()
    # Nothing that differs from one drawing of the same data to the next.
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    drawing = file.getvalue()
    drawing = drawing[drawing.index("<svg") :]
    drawing = re.sub(r"<metadata>.*?</metadata>", "", drawing, flags=re.DOTALL)
    for stand_in, colour in COLOURS.items():
        drawing = drawing.replace(stand_in, colour)
    # Ids are unique in a drawing, but there are several in a page.
    drawing = re.sub(r'\bid="([^"]*)"', rf'id="{name}-\1"', drawing)
    drawing = re.sub(r'(xlink:href="#|url\(#)', rf"\g<1>{name}-", drawing)
    head, rest = drawing.split(">", 1)
    head = re.sub(r'\s(width|height)="[^"]*"', "", head)
    return f'{head} aria-hidden="true" focusable="false">{rest}'


def _columns(table: Table, *names: str) -> list[list[Any]]:
    places = [table.columns.index(name) for name in names]
    return [[row[place] for row in table.rows] for place in places]


def _name(value: Cell) -> str:
    """Short enough to stand beside a bar. What tells URLs apart is at their end."""
    text = harmless(str(value if value is not None else NOTHING))
    if len(text) <= _LABEL:
        return text
    return f"…{text[1 - _LABEL :]}" if "://" in text else f"{text[: _LABEL - 1]}…"


def _bars(
    figure: Any,
    labels: Sequence[str],
    values: Sequence[float],
    colours: Sequence[str] | str,
    said: Sequence[str],
) -> None:
    """Horizontal bars, the first on top, each with what it amounts to."""
    figure.set_size_inches(WIDTH, _ROW * len(labels) + 0.25)
    axes = figure.add_subplot()
    places = range(len(labels))
    bars = axes.barh(places, values, color=colours, height=0.72)
    axes.bar_label(bars, said, padding=3)
    axes.set_yticks(places, labels)
    axes.invert_yaxis()
    axes.margins(x=0.28, y=0.02)
    axes.set_xlim(left=0)
    axes.tick_params(length=0)
    axes.xaxis.set_visible(False)
    axes.spines["bottom"].set_visible(False)


def _of_states(figure: Any, table: Table) -> str:
    states, images, shares = _columns(table, "state", "images", "share")
    said = [f"{n:,} ({share:.1f} %)" for n, share in zip(images, shares, strict=True)]
    _bars(figure, states, images, [_STATES[State(state)] for state in states], said)
    return "Images by state: " + _told(states, said)


def _of_codes(figure: Any, table: Table) -> str:
    codes, states, images = _columns(table, "code", "state", "images")
    colours = [_STATES[State(state)] for state in states[:_BARS]]
    said = [f"{n:,}" for n in images[:_BARS]]
    _bars(figure, [_name(code) for code in codes[:_BARS]], images[:_BARS], colours, said)
    return "Images by code: " + _told(codes, said)


def _counted(label: str, value: str, what: str) -> Callable[[Any, Table], str]:
    def drawer(figure: Any, table: Table) -> str:
        labels, values = _columns(table, label, value)
        said = [f"{n:,}" for n in values[:_BARS]]
        names = [_name(name) for name in labels[:_BARS]]
        _bars(figure, names, values[:_BARS], _SERIES[0], said)
        return f"{what}: {_told(names, said)}"

    return drawer


def _told(labels: Sequence[str], said: Sequence[str]) -> str:
    pairs = zip(labels, said, strict=False)
    return ", ".join(f"{harmless(label)} {text}" for label, text in pairs) + "."


def _stacked(label: str, what: str) -> Callable[[Any, Table], str]:
    """For each row the shares of its states, as one bar of the same length."""

    def drawer(figure: Any, table: Table) -> str:
        rows = table.records()[:_BARS]
        states = [state for state in State if str(state) in table.columns]
        names = [_row_name(row, label) for row in rows]
        figure.set_size_inches(WIDTH, _ROW * len(rows) + 0.95)
        axes = figure.add_subplot()
        left = [0.0] * len(rows)
        for state in states:
            parts = [100 * _float(row[state]) / max(1, _float(row["images"])) for row in rows]
            axes.barh(
                range(len(rows)), parts, left=left, color=_STATES[state], height=0.72, label=state
            )
            left = [a + b for a, b in zip(left, parts, strict=True)]
        axes.set_yticks(range(len(rows)), names)
        axes.invert_yaxis()
        axes.set_xlim(0, 100)
        axes.margins(y=0.02)
        axes.tick_params(length=0)
        axes.xaxis.set_major_formatter("{x:.0f} %")
        figure.legend(loc="outside lower left", ncols=3, handlelength=1, columnspacing=1.2)
        lost = [f"{_float(row['lost_share']):.1f} %" for row in rows]
        return f"States by {what}; lost of what is settled: {_told(names, lost)}"

    return drawer


def _float(value: Cell) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _row_name(row: Mapping[str, Cell], label: str) -> str:
    if label != "from_bytes":
        return _name(row[label])
    return _span(row["from_bytes"], row["below_bytes"])


def _span(low: Cell, high: Cell) -> str:
    if not isinstance(low, int | float):
        return "not listed"
    if not isinstance(high, int | float):
        return f"{size(low)} and more"
    return f"{size(low)} to {size(high)}" if low else f"below {size(high)}"


def _of_sizes(figure: Any, table: Table) -> str:
    lows, listed, received = _without_gaps(table)
    figure.set_size_inches(WIDTH, 2.7)
    axes = figure.add_subplot()
    places = list(range(len(lows)))
    axes.bar([x - 0.2 for x in places], listed, 0.4, color=_SERIES[0], label="listed")
    axes.bar([x + 0.2 for x in places], received, 0.4, color=_SERIES[1], label="received")
    axes.set_xticks(places, [size(low) for low in lows], rotation=45, ha="right")
    axes.set_xlabel("from")
    axes.set_ylabel("images")
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    figure.legend(loc="outside upper left", ncols=2, handlelength=1)
    top = max(range(len(lows)), key=listed.__getitem__)
    return (
        f"Listed and received images by size. Most are listed with {size(lows[top])} and more: "
        f"{listed[top]:,} listed, {received[top]:,} received."
    )


def _without_gaps(table: Table) -> tuple[list[int], list[int], list[int]]:
    """Where bins begin, and their counts, with those that are empty: an axis has no holes."""
    bins = {row[0]: row for row in zip(*_columns(table, *_SIZES), strict=True)}
    low, last = min(bins), max(bins)
    lows, listed, received = [], [], []
    while True:
        _, below, n, arrived = bins.get(low, (low, _next_step(low), 0, 0))
        lows.append(low)
        listed.append(n)
        received.append(arrived)
        if low >= last:
            return lows, listed, received
        low = below


_SIZES: Final = ("from_bytes", "below_bytes", "listed", "received")


def _next_step(low: int) -> int:
    """1, 2, 5, 10 … as the bins go."""
    return low * 5 // 2 if str(low).startswith("2") else low * 2


def _of_link_rot(figure: Any, table: Table) -> str:
    columns = _columns(table, "run", "audit", "day", "gone_share")
    runs, audits, days, shares = (column[-_BARS:] for column in columns)
    names = [
        _name(f"{day}, run {run}" if audit is None else f"{day}, audit {audit}")
        for day, run, audit in zip(days, runs, audits, strict=True)
    ]
    said = [shown("share", share) for share in shares]
    _bars(figure, names, shares, _STATES[State.GONE], said)
    return "Share of the clear answers that said gone, by run or audit: " + _told(names, said)


def _of_timeline(figure: Any, table: Table) -> str:
    starts, widths, answers, received, throttled, troubles = _columns(
        table, "from_seconds", "seconds", "answers", "received_bytes", "throttled", "troubles"
    )
    figure.set_size_inches(WIDTH, 3.6)
    above, below = figure.subplots(2, 1, sharex=True)
    middles = [start + width / 2 for start, width in zip(starts, widths, strict=True)]

    def rates(values: Sequence[float], scale: float = 1) -> list[float]:
        return [value / width / scale for value, width in zip(values, widths, strict=True)]

    others = [n - a - b for n, a, b in zip(answers, throttled, troubles, strict=True)]
    floor = [0.0] * len(middles)
    for values, label, colour in (
        (throttled, "throttled", _SERIES[1]),
        (troubles, "other trouble", _SERIES[2]),
        (others, "other answers", _SERIES[0]),
    ):
        heights = rates(values)
        above.bar(middles, heights, widths, bottom=floor, color=colour, label=label)
        floor = [a + b for a, b in zip(floor, heights, strict=True)]
    above.set_title("answers per second")
    below.bar(middles, rates(received, 1e6), widths, color=_SERIES[0])
    below.set_title("MB per second")
    for axes in (above, below):
        axes.grid(axis="y")
        axes.set_axisbelow(True)
        axes.set_ylim(bottom=0)
    ticker = import_module("matplotlib.ticker")
    below.xaxis.set_major_locator(ticker.MaxNLocator(5, integer=True, min_n_ticks=1))
    below.xaxis.set_major_formatter(ticker.FuncFormatter(lambda x, _: duration(x)))
    below.set_xlabel("time of the run")
    figure.legend(loc="outside upper left", ncols=3, handlelength=1, columnspacing=1.2)
    seconds = sum(widths)
    return (
        f"Answers and bytes over the run: {sum(answers) / seconds:,.1f} answers and "
        f"{size(sum(received) / seconds)} per second on average, {sum(throttled):,} answers "
        f"throttled, {sum(troubles):,} other troubles."
    )


_DRAWERS: Final[Mapping[str, Callable[[Any, Table], str]]] = {
    "states": _of_states,
    "codes": _of_codes,
    "since_kinds": _counted("change", "images", "Images by change"),
    "subsets": _stacked("subset", "subset"),
    "host_groups": _stacked("host_group", "host group"),
    "licences": _stacked("licence", "licence"),
    "upload_years": _stacked("upload_year", "year of upload"),
    "size_classes": _stacked("from_bytes", "listed size"),
    "sizes": _of_sizes,
    "mismatches": _counted("kind", "images", "Mismatches by kind"),
    "link_rot": _of_link_rot,
    "timeline": _of_timeline,
    "attempts": _counted("outcome", "attempts", "Attempts by outcome"),
    "retries": _counted("tries", "images", "Images by number of attempts"),
}

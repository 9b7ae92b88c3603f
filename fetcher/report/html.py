"""The report for people: one HTML file that needs nothing else, no network and no JavaScript.

What comes from lists and hosts is escaped by the templates, without exception; the drawings are the
only markup that is not made here, and Matplotlib escapes what stands in them. A policy in the page
forbids it to load anything, whatever a title may say.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from importlib import import_module
from pathlib import PurePath
from typing import IO, Any, Final

from msgspec import Struct

from fetcher.errors import MissingExtraError
from fetcher.evidence import Cell, Table
from fetcher.policy.codes import CODES
from fetcher.report import cells, plots, sentence
from fetcher.report.sections import SECTIONS, Section, View
from fetcher.report.status import MEANINGS

_HOSTILE_LINES: Final = 400
"""Characters of a cell that are shown in a table; data files have them all."""


class About(Struct, frozen=True):
    """What a report is of, and when and with what it was made."""

    directory: str
    made_at: str
    """ISO 8601, UTC."""
    version: str
    since: int | None = None
    redirects: tuple[str, ...] = ()
    """``placeholders.redirects`` as the last run had it."""
    digests: tuple[str, ...] = ()
    """``placeholders.digests`` likewise."""


class _Shown(Struct, frozen=True):
    """A figure, ready for the template."""

    view: View
    table: Table
    plot: plots.Plot | None
    upright: bool
    """One row of many columns, shown as two columns."""
    numeric: frozenset[str]
    """Columns of numbers."""
    paste: str
    """The line that adds the suspects to the configuration."""


def require() -> None:
    """Raises ``MissingExtraError`` without Jinja or Matplotlib."""
    environment_for("The HTML report")
    plots.library()


def write(out: IO[bytes], tables: Sequence[Table], about: About) -> None:
    """Raises ``MissingExtraError`` without Jinja or Matplotlib."""
    environment = environment_for("The HTML report")
    by_name = {table.name: table for table in tables}
    drawings = plots.draw(tables)
    sections: list[tuple[Section, list[_Shown]]] = []
    for section in SECTIONS:
        figures = [
            _shown(view, by_name[view.name], drawings.get(view.name), about)
            for view in section.views
            if view.name in by_name
        ]
        if figures:
            sections.append((section, figures))
    page = environment.get_template("report.html").render(
        about=about,
        sentence=said(by_name),
        sections=sections,
        states=MEANINGS,
    )
    out.write(page.encode())


def said(tables: dict[str, Table]) -> list[sentence.Part]:
    """The sentence that a paper would cite."""
    names = [
        cells.harmless(PurePath(str(row["list"])).name)
        for row in {row["list"]: row for row in tables["lists"].records()}.values()
    ]
    return sentence.parts(tables["summary"], names)


def environment_for(feature: str) -> Any:
    """Templates with every value escaped. Raises ``MissingExtraError`` for ``feature``."""
    try:
        jinja2 = import_module("jinja2")
    except ImportError as error:
        raise MissingExtraError(feature, extra="report") from error
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("fetcher.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters |= {
        "label": cells.label,
        "shown": _cut,
        "harmless": cells.harmless,
    }
    environment.tests["numeric"] = cells.is_number
    environment.globals["meaning"] = _meaning
    return environment


def _shown(view: View, table: Table, plot: plots.Plot | None, about: About) -> _Shown:
    upright = len(table.rows) == 1 and table.name == "summary"
    numeric = frozenset(
        column
        for at, column in enumerate(table.columns)
        if any(cells.is_number(row[at]) for row in table.rows)
    )
    return _Shown(view, table, plot, upright, numeric, _paste(table, about))


def _paste(table: Table, about: About) -> str:
    """``--set`` replaces a list, so what is known already is in the line, too."""
    key, known, column = {
        "suspect_redirects": ("redirects", about.redirects, "led_to"),
        "suspect_digests": ("digests", about.digests, "md5"),
    }.get(table.name, ("", (), ""))
    if not key or not table.rows:
        return ""
    suspects = [str(row[column]) for row in table.records()]
    value = json.dumps(list(dict.fromkeys([*known, *suspects])), ensure_ascii=True)
    return f"--set {shlex.quote(f'placeholders.{key}={value}')}"


def _cut(value: Cell, column: str) -> str:
    text = cells.shown(column, value)
    return text if len(text) <= _HOSTILE_LINES else f"{text[: _HOSTILE_LINES - 1]}…"


def _meaning(column: str, value: Cell) -> str:
    """What a code means, for its cell's tooltip and for who reads aloud."""
    info = CODES.get(str(value)) if column == "code" else None
    return info.meaning if info is not None else ""

"""The report for machines: the same tables as CSV, JSON or Parquet. ``docs/report.md`` describes
each figure and each column.

JSON has the tables as they are, each with its SQL. CSV and Parquet are one long table, a row for
each cell: the figures have different columns, and one file is easier to hand on than thirty.

A spreadsheet takes a cell that begins with ``=``, ``+``, ``-`` or ``@`` for a formula, and titles,
hosts and URLs are anyone's text. In the CSV such text gets an apostrophe in front (``tame``), which
spreadsheets take for "this is text"; numbers are in a column of their own. JSON and Parquet hold
text as it is.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import IO, Any, Final

from fetcher.errors import MissingExtraError
from fetcher.evidence import Cell, Table
from fetcher.report import sentence
from fetcher.report.html import About, said

SCHEMA: Final = 1
"""Grows when a figure or a column changes its meaning or goes; more of them do not count."""
COLUMNS: Final = ("figure", "row", "column", "number", "text")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")


def tame(text: str) -> str:
    """``text`` for a CSV that a spreadsheet may open: never a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text


class _Lines:
    """What ``csv`` writes with its own line end, with ours: it quotes only what its own has, and a
    lone carriage return, too, would end a line for who reads it.
    """

    def __init__(self, text: IO[str]) -> None:
        self._text = text

    def write(self, line: str) -> int:
        return self._text.write(line.removesuffix("\r\n") + "\n")


def csv_writer(text: IO[str]) -> Any:
    """Comma-separated, UTF-8, LF; every text comes back as it was."""
    return csv.writer(_Lines(text))


def write_json(out: IO[bytes], tables: Sequence[Table], about: About) -> None:
    spoken = said({table.name: table for table in tables})
    whole = {
        "schema": SCHEMA,
        "about": {
            "directory": about.directory,
            "made_at": about.made_at,
            "version": about.version,
            "since": about.since,
            "sentence": sentence.text(spoken),
        },
        "figures": [
            {"name": t.name, "sql": t.sql, "columns": t.columns, "rows": t.rows} for t in tables
        ],
    }
    out.write(json.dumps(whole, ensure_ascii=False, indent=1).encode("utf-8", "replace") + b"\n")


def write_csv(out: IO[bytes], tables: Sequence[Table], _about: About) -> None:
    text = io.TextIOWrapper(out, encoding="utf-8", errors="replace", newline="", write_through=True)
    writer = csv_writer(text)
    writer.writerow(COLUMNS)
    for figure, row, column, number, words in cells(tables):
        writer.writerow((figure, row, column, number, None if words is None else tame(words)))
    text.flush()
    text.detach()


def write_parquet(out: IO[bytes], tables: Sequence[Table], about: About) -> None:
    """Raises ``MissingExtraError`` without PyArrow."""
    pyarrow, parquet = arrow("A report in Parquet")
    schema = pyarrow.schema(
        [
            ("figure", pyarrow.string()),
            ("row", pyarrow.int32()),
            ("column", pyarrow.string()),
            ("number", pyarrow.float64()),
            ("text", pyarrow.string()),
        ],
        metadata={
            "fetcher.schema": str(SCHEMA),
            "fetcher.made_at": about.made_at,
            "fetcher.version": about.version,
        },
    )
    columns = zip(*cells(tables), strict=True)
    arrays = [pyarrow.array(values, f.type) for values, f in zip(columns, schema, strict=True)]
    parquet.write_table(pyarrow.Table.from_arrays(arrays, schema=schema), out)


def cells(
    tables: Sequence[Table],
) -> Iterator[tuple[str, int, str, int | float | None, str | None]]:
    """Figure, row from 1, column, and the value as a number or as text; NULL is neither."""
    for table in tables:
        for n, row in enumerate(table.rows, start=1):
            for column, value in zip(table.columns, row, strict=True):
                yield table.name, n, column, _number(value), _text(value)


def _number(value: Cell) -> int | float | None:
    return value if isinstance(value, int | float) else None


def _text(value: Cell) -> str | None:
    return value if isinstance(value, str) else None


def arrow(feature: str) -> tuple[Any, Any]:
    """PyArrow and its Parquet. Raises ``MissingExtraError`` for ``feature``."""
    try:
        return import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError as error:
        raise MissingExtraError(feature, extra="parquet") from error

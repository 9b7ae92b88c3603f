"""The sentence that a paper would cite, made of one row of numbers.

It says what was listed, what is settled and what became of it, and when. Shares are of what is
settled; what is not settled yet is said first, and what did not occur is not mentioned.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from fetcher.evidence import Cell, Table

_LOST: Final = (
    ("gone", "are gone"),
    ("altered", "have other bytes than listed"),
    ("denied", "are not accessible"),
    ("failed", "gave no clear answer"),
    ("invalid", "are not fetchable as listed"),
)


class Number(Struct, frozen=True):
    """A number of the sentence, and the column of the summary that it is."""

    column: str
    value: Cell

    @property
    def text(self) -> str:
        if isinstance(self.value, int):
            return f"{self.value:,}"
        return f"{self.value or 0:.2f} %" if self.column.endswith("_share") else str(self.value)


Part = str | Number


def parts(summary: Table, lists: Sequence[str]) -> list[Part]:
    """``lists``: names of the image lists, as they are to be called."""
    (row,) = summary.records()

    def number(column: str) -> Number:
        return Number(column, row[column])

    said: list[Part] = ["Of the ", number("listed"), f" images listed in {_names(lists)}, "]
    if not row["settled"]:
        return [*said, "none has been settled yet."]
    if row["settled"] == row["listed"]:
        said += _when(row)
    else:
        said += [number("settled"), " (", number("settled_share"), ") have been settled, "]
        said += [*_when(row), "and of these "]
    said += [number("present"), " (", number("present_share"), ") are present"]
    how: list[list[Part]] = []
    if row["matching"]:
        how.append([number("matching"), " with the listed size and MD5"])
    if row["unchecked"]:
        how.append([number("unchecked"), " with nothing listed to check against"])
    if row["alive"]:
        how.append([number("alive"), " by their headers alone"])
    if how:
        said += [" (", *_joined(how), ")"]
    lost: list[list[Part]] = [
        [number(column), " (", number(f"{column}_share"), f") {words}"]
        for column, words in _LOST
        if row[column]
    ]
    if lost:
        said += ["; ", *_joined(lost)]
    return [*said, "."]


def text(said: Sequence[Part]) -> str:
    return "".join(part if isinstance(part, str) else part.text for part in said)


def _when(row: dict[str, Cell]) -> list[Part]:
    first, last = Number("first_day", row["first_day"]), Number("last_day", row["last_day"])
    if first.value is None:
        return []
    if first.value == last.value:
        return ["asked for on ", last, ", "]
    return ["asked for between ", first, " and ", last, ", "]


def _joined(items: Sequence[list[Part]]) -> list[Part]:
    joined: list[Part] = []
    for n, item in enumerate(items):
        joined += [", "] if 0 < n < len(items) - 1 else [" and "] if n else []
        joined += item
    return joined


def _names(lists: Sequence[str]) -> str:
    shown = 3
    if not lists:
        return "no list"
    if len(lists) > shown:
        return f"{len(lists):,} image lists"
    return " and ".join(lists) if len(lists) < shown else f"{lists[0]}, {lists[1]} and {lists[2]}"

"""A list's further columns in ``details``: one JSON array for each row.

A member is the text, or the number of a row in ``texts`` where a column repeats itself: nine
million rows with the same licence need not have its URL nine million times. Which of the two it is
says nothing, so rows are compared by what they decode to.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from json.encoder import encode_basestring
from typing import Final

from fetcher.manifest.names import Names
from fetcher.model import Row

_REPEATS: Final = 8
"""How often the values of a column must occur in a batch, on average, to be kept as numbers."""

DECODED: Final = (
    "(SELECT json_group_array(iif(e.type = 'integer', "
    "(SELECT name FROM texts WHERE id = e.value), e.value)) FROM json_each(d.extra) AS e)"
)
"""The texts of ``details AS d``, as a JSON array."""


def encode(rows: Sequence[Row], texts: Names) -> list[str]:
    """What to keep of each row. All rows have the columns of one source."""
    columns = zip(*(row.extra for row in rows), strict=True)
    members = zip(*(_members(column, texts) for column in columns), strict=True)
    encoded = ["[" + ",".join(member) + "]" for member in members]
    return encoded or ["[]"] * len(rows)


def _members(column: tuple[str, ...], texts: Names) -> Iterator[str]:
    distinct = set(column)
    if len(distinct) * _REPEATS > len(column):
        return map(encode_basestring, column)
    numbers = {text: str(number) for text, number in texts.ids(sorted(distinct)).items()}
    return map(numbers.__getitem__, column)

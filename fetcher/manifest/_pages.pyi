from collections.abc import Sequence
from typing import TypeAlias

from fetcher.lines import Part

# A column of a table: the cell at a place, ``("t", place)``, with NULL for nothing
# ``("?", place)``, or as a number ``("n", place)``; the number that each line's code (32 bits)
# stands for; or NULL.
Column: TypeAlias = tuple[str, int] | tuple[bytes, list[int]] | None

# The root of a table, and the leaves below it, the first of which is to be page ``first`` of its
# database. Lines of ``width`` cuts are its rows, numbered from 1. ``None`` if a row does not fit
# into a leaf, or the leaves do not below one root.
def lay(
    parts: Sequence[Part], width: int, columns: tuple[Column, ...], page: int, first: int, /
) -> tuple[bytes, bytes] | None: ...

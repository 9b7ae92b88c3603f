"""Lines that are cut, for tests of what is done with them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest

from fetcher.lines import Part

_lines = pytest.importorskip(
    "fetcher.lines._lines", reason="the extension is not built here", exc_type=ImportError
)


def cells(text: str, kinds: str, delimiter: str = ",") -> list[tuple[str, ...]] | None:
    """Of each line; ``None`` if one of them is not ordinary. The last one need not be ended."""
    written = text.encode() if text.endswith("\n") else f"{text}\n".encode()
    cuts = _lines.cut(written, kinds.encode(), delimiter)
    if cuts is None:
        return None
    found: list[tuple[str, ...]] = _lines.cells([(written, cuts)], width_of(kinds))
    return found


def width_of(kinds: str) -> int:
    """Cuts of a line."""
    return sum(
        (kind == "u") + (not (kind == "x" and kinds[at - 1 : at] == "x"))
        for at, kind in enumerate(kinds)
    )


def parts_of(lines: Sequence[Sequence[str]], kinds: str, edges: Sequence[int] = ()) -> list[Part]:
    """The lines' parts; ``edges`` are the lines before which a new one begins."""
    ends = sorted({0, len(lines), *(edge for edge in edges if 0 < edge < len(lines))})
    parts = []
    for start, end in pairwise(ends):
        text = "".join(",".join(cells) + "\n" for cells in lines[start:end]).encode()
        cuts = _lines.cut(text, kinds.encode(), ",")
        assert cuts is not None
        parts.append((text, cuts))
    return parts

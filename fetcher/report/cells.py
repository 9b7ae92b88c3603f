"""Table cells as people read them. What a column holds is told by its name.

====================  ==================================================
the name ends in      the cell is shown as
====================  ==================================================
``_bytes``            a size in decimal units
``share``             a percentage
``ms``, ``seconds``   a duration
anything else         a number with separators, or text made harmless
====================  ==================================================
"""

from __future__ import annotations

import re
from typing import Final

from fetcher.evidence import Cell
from fetcher.report.text import printable, size

NOTHING: Final = "\N{EN DASH}"
"""For NULL."""

_SECRET: Final = re.compile(r"(?<=://)[^/@\s]*:[^/@\s]*(?=@)")

_LABELS: Final = {
    "lost_share": "lost share",
    "led_to": "led to",
    "md5": "MD5",
    "image_id": "image id",
    "http_status": "status",
    "mean_ms": "mean time",
    "url": "URL",
    "size_bytes": "size",
    "from_bytes": "from",
    "below_bytes": "below",
    "from_time": "from",
    "from_seconds": "after",
    "seconds": "for",
}


def label(column: str) -> str:
    return _LABELS.get(column) or column.removesuffix("_bytes").replace("_", " ") + (
        " bytes" if column.endswith("_bytes") else ""
    )


def is_number(value: Cell) -> bool:
    return isinstance(value, int | float)


def harmless(text: str) -> str:
    """Without what a terminal or a page's layout would act upon, and without passwords in URLs."""
    return _SECRET.sub("***", printable(text))


def shown(column: str, value: Cell) -> str:
    if value is None:
        return NOTHING
    if isinstance(value, str):
        return harmless(value)
    if column.endswith("_bytes"):
        return size(value)
    if column.endswith("share"):
        return f"{value:.2f} %"
    if column.endswith("ms"):
        return f"{value:,.0f} ms"
    if column.endswith("seconds"):
        return f"{value:,.0f} s"
    if column in {"run", "http_status", "exit_code"}:
        return str(value)
    return f"{value:,}"

"""Words and numbers as people read them, and foreign text made harmless to show."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime
from typing import Final

_HOUR: Final = 3_600
_DAY: Final = 24 * _HOUR


def printable(text: str) -> str:
    r"""``text`` without what a terminal would act upon: control and format characters (escape
    sequences, bidirectional overrides) and separators of lines become ``\xNN`` and ``\uNNNN``.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if _is_harmless(c) else _escape(c) for c in text)


def _is_harmless(char: str) -> bool:
    category = unicodedata.category(char)
    return category[0] != "C" and category not in ("Zl", "Zp")


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def size(value: float) -> str:
    """Bytes in decimal units, as networks and disks are sold: ``18.8 TB``."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 999.5:  # noqa: PLR2004  would be shown as 1000
            return f"{value:.0f} {unit}" if unit == "B" or value >= 99.5 else f"{value:.1f} {unit}"  # noqa: PLR2004
        value /= 1_000
    return f"{value:,.1f} PB"


def duration(seconds: float) -> str:
    """The two largest units: ``21d 6h``, ``3m 20s``, ``12s``."""
    whole = max(0, round(seconds))
    days, rest = divmod(whole, _DAY)
    hours, rest = divmod(rest, _HOUR)
    minutes, secs = divmod(rest, 60)
    if days:
        return f"{days}d {hours}h"
    if hours:
        return f"{hours}h {minutes:02}m"
    if minutes:
        return f"{minutes}m {secs:02}s"
    return f"{secs}s"


def moment(wall: float) -> str:
    """Seconds since the epoch as ISO 8601, UTC: ``2026-11-23T21:14:14Z``."""
    try:
        at = datetime.fromtimestamp(wall, UTC)
    except (OverflowError, ValueError, OSError):  # no run wrote that
        return "9999-12-31T23:59:59Z"
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def counted(n: int, one: str, many: str = "") -> str:
    """``1 retry``, ``2,000 retries``; ``many`` is ``one`` with an s if it is not given."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def rate(per_second: float) -> str:
    """``1,234/s``, ``3.2/s``."""
    return f"{per_second:,.0f}/s" if per_second >= 10 else f"{per_second:.1f}/s"  # noqa: PLR2004

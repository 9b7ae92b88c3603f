"""Units: how a value of the configuration is written, and what it means.

A ``Unit`` is three things that must agree: what it accepts (for people), how it is parsed, and how
a parsed value is written again; ``parse(show(value)) == value`` for every value that ``parse``
returns.

Here are the quantities. Amounts are computed in decimal, so that ``0.1s`` and ``100ms`` are the
same number and a size is exact to the byte.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from math import isfinite
from typing import Final, Generic, TypeAlias, TypeVar

from msgspec import Struct

T = TypeVar("T")

Plain: TypeAlias = str | int | float | bool | list["Plain"] | None
"""What YAML and JSON can hold, as far as a single value needs it."""

KIB: Final = 1024
MIB: Final = 1024 * KIB
GIB: Final = 1024 * MIB
MINUTE: Final = 60.0
HOUR: Final = 60 * MINUTE

UNLIMITED: Final = "unlimited"

# Beyond these, arithmetic elsewhere would overflow, and nobody can mean it.
_MAX_SECONDS: Final = 3650 * 24 * HOUR
_MAX_BYTES: Final = 2**63 - 1
_MAX_COUNT: Final = 2**31 - 1
_MIN_RATE, _MAX_RATE = Decimal("0.00001"), Decimal(1_000_000)

_DURATIONS: Final = {
    "d": Decimal(86_400),
    "h": Decimal(3_600),
    "m": Decimal(60),
    "s": Decimal(1),
    "ms": Decimal("0.001"),
}
# Upper and lower case matter: Mb is a megabit, and a bare M is read both ways.
_SIZES: Final = {
    "TiB": Decimal(2**40),
    "GiB": Decimal(2**30),
    "MiB": Decimal(2**20),
    "KiB": Decimal(2**10),
    "TB": Decimal(10**12),
    "GB": Decimal(10**9),
    "MB": Decimal(10**6),
    "KB": Decimal(10**3),
    "kB": Decimal(10**3),
    "B": Decimal(1),
}
# No leading zeros: YAML 1.1 reads 010 as 8.
_QUANTITY: Final = re.compile(
    r"((?:0|[1-9][0-9]{0,30})(?:\.[0-9]{1,30})?(?:[eE][+-]?[0-9]{1,3})?) ?([A-Za-z%]*)"
)


class RefusedError(ValueError):
    """A value that a unit does not accept; its text adds what ``Unit.accepts`` leaves unsaid."""


def reason_of(error: ValueError) -> str:
    """What to tell people of ``error``: the words of Python's own parsers help nobody."""
    return str(error) if isinstance(error, RefusedError) else ""


class Unit(Struct, Generic[T], frozen=True):
    """How values of one kind are written. ``parse`` raises ``ValueError``."""

    accepts: str
    parse: Callable[[object], T]
    show: Callable[[T], Plain]


def _quantity(value: object) -> tuple[Decimal, str]:
    """The number and the unit word, which is empty for a plain number."""
    if isinstance(value, str):
        match = _QUANTITY.fullmatch(value.strip())
        if match is None:
            raise RefusedError
        return Decimal(match[1]), match[2]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise RefusedError
    if isinstance(value, float) and not isfinite(value):
        raise RefusedError
    return Decimal(repr(value) if isinstance(value, float) else value), ""


def _scaled(value: object, scales: Mapping[str, Decimal], *, bare: str) -> tuple[Decimal, str]:
    """The amount in base units, and its unit; a plain number has the unit ``bare``."""
    number, word = _quantity(value)
    word = word or bare
    if word not in scales:
        raise RefusedError
    return number * scales[word], word


def _parse_duration(value: object) -> float:
    amount, _ = _scaled(value, _DURATIONS, bare="s")
    if not 0 <= amount <= _MAX_SECONDS:
        raise RefusedError
    return abs(float(amount))  # of -0.0, too


def show_duration(seconds: float) -> str:
    """In the largest unit that needs no fraction, else in seconds: ``5m``, ``90s``, ``1.5s``."""
    exact = Decimal(repr(float(seconds)))
    for word in ("d", "h", "m", "s"):
        if exact and exact % _DURATIONS[word] == 0:
            return f"{int(exact / _DURATIONS[word])}{word}"
    if 0 < exact < 1 and exact % _DURATIONS["ms"] == 0:
        return f"{int(exact / _DURATIONS['ms'])}ms"
    return f"{seconds!r}s" if exact else "0s"


def _parse_size(value: object) -> int:
    amount, word = _scaled(value, _SIZES, bare="B")
    if not 0 <= amount <= _MAX_BYTES:
        raise RefusedError
    # 1.1GiB is no whole number of bytes, and nobody minds; 0.5 bytes is a mistake.
    if word == "B" and amount != int(amount):
        raise RefusedError
    return int(amount)


def show_size(size: int) -> str | int:
    """The largest unit that needs no fraction, binary ones first, else the bytes as a number."""
    for word, scale in _SIZES.items():
        if size and word != "B" and size % int(scale) == 0:
            return f"{size // int(scale)}{word}"
    return size


def _parse_bandwidth(value: object) -> int:
    return _parse_size(value.removesuffix("/s") if isinstance(value, str) else value)


def _show_bandwidth(value: int) -> str:
    shown = show_size(value)
    return f"{shown}/s" if isinstance(shown, str) else f"{shown}B/s"


def _parse_rate(value: object) -> float:
    number, word = _quantity(value)
    if word or not _MIN_RATE <= number <= _MAX_RATE:
        raise RefusedError
    return float(number)


def _show_number(value: float) -> int | float:
    return int(value) if value == int(value) else value


def _parse_share(value: object) -> float:
    number, word = _quantity(value)
    if word not in ("", "%"):
        raise RefusedError
    share = number / 100 if word else number
    if not 0 <= share <= 1:
        raise RefusedError("percent need their sign" if not word and share > 1 else "")
    return float(share)


def _show_share(share: float) -> str | int | float:
    percent = f"{share * 100:g}%"
    return percent if share and _parse_share(percent) == share else _show_number(share)


def _parse_flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise RefusedError
    return value


def _same(value: Plain) -> Plain:
    return value


def positive(unit: Unit[T], accepts: str) -> Unit[T]:
    """``unit`` without its zero."""

    def parse(value: object) -> T:
        parsed = unit.parse(value)
        if not parsed:
            raise RefusedError
        return parsed

    return Unit(accepts, parse, unit.show)


def optional(unit: Unit[T], *, word: str | None) -> Unit[T | None]:
    """``unit``, or ``None`` written as ``word`` (``null`` if that is ``None``)."""

    def parse(value: object) -> T | None:
        return None if value == word else unit.parse(value)

    def show(value: T | None) -> Plain:
        return word if value is None else unit.show(value)

    return Unit(f"{unit.accepts}; or {word or 'null'}", parse, show)


def count(*, minimum: int = 1) -> Unit[int]:
    """A whole number; ``1e6`` is one, ``true`` is not."""

    def parse(value: object) -> int:
        number, word = _quantity(value)
        if word or not minimum <= number <= _MAX_COUNT or number != int(number):
            raise RefusedError
        return int(number)

    return Unit(f"a whole number, at least {minimum}", parse, _same)


_DURATION_FORMS: Final = "seconds, or a duration such as 250ms, 10s, 5m, 1h, 2d"
_SIZE_FORMS: Final = "bytes, or a size such as 512KiB, 64MiB, 1.5GiB, 10MB"
_BANDWIDTH_FORMS: Final = "bytes per second, or such as 10MiB/s, 500KB/s"

DURATION_OR_ZERO: Final = Unit(f"{_DURATION_FORMS}; or 0", _parse_duration, show_duration)
DURATION: Final = positive(DURATION_OR_ZERO, f"{_DURATION_FORMS}; more than 0")
SIZE_OR_ZERO: Final = Unit(f"{_SIZE_FORMS}; or 0", _parse_size, show_size)
SIZE: Final = positive(SIZE_OR_ZERO, f"{_SIZE_FORMS}; more than 0")
BANDWIDTH: Final = optional(
    positive(
        Unit(_BANDWIDTH_FORMS, _parse_bandwidth, _show_bandwidth),
        f"{_BANDWIDTH_FORMS}; more than 0",
    ),
    word=UNLIMITED,
)
RATE: Final = optional(
    Unit("requests per second, from 0.00001 to 1000000", _parse_rate, _show_number),
    word=UNLIMITED,
)
SHARE: Final = Unit("a share such as 20% or 0.2", _parse_share, _show_share)
FLAG: Final = Unit("true or false", _parse_flag, _same)
COUNT: Final = count()

"""What a fuzz target is, and the tools that its law is written with.

A target takes bytes, makes of them what the code under test reads, and returns if the law holds.
Whatever else it raises is a finding: ``BrokenLawError``, or an exception that the code under test
should not have let out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

PART: Final = b"\x1f"
"""Parts the texts of an input that is made of several: the unit separator of ASCII."""


class BrokenLawError(AssertionError):
    """The input breaks the target's law."""


def require(holds: object, otherwise: str) -> None:
    """Raise ``BrokenLawError`` unless it ``holds``; not an assert, which -O takes away."""
    if not holds:
        raise BrokenLawError(otherwise)


@dataclass(frozen=True, slots=True)
class Target:
    """``run`` must depend on its argument alone, and leave nothing behind."""

    name: str
    law: str
    """What holds for every input, for people."""
    run: Callable[[bytes], None]
    seeds: tuple[bytes, ...]
    """Inputs to start from; they have to be of many kinds, and short."""
    words: tuple[bytes, ...] = ()
    """What chance would be long in finding."""
    longest: int = 2_048
    """Bytes of an input."""


class Choices:
    """Takes decisions off the front of an input; past its end they are all 0."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def below(self, limit: int) -> int:
        """One of ``limit`` alternatives, by one byte, or two if that is more than 256."""
        width = 1 if limit <= 256 else 2  # noqa: PLR2004  what a byte holds
        taken = self._data[self._at : self._at + width]
        self._at += width
        return int.from_bytes(taken, "big") % limit

    def flag(self) -> bool:
        return bool(self.below(2))

    def rest(self) -> bytes:
        return self._data[self._at :]

    def texts(self, count: int) -> list[str]:
        """The rest as ``count`` texts; bytes that are not UTF-8 are replaced."""
        return [part.decode(errors="replace") for part in self.parts(count)]

    def parts(self, count: int) -> list[bytes]:
        parts = self.rest().split(PART, count - 1)
        return parts + [b""] * (count - len(parts))


def header(raw: bytes) -> str:
    """As the HTTP client decodes the value of a header: other bytes than UTF-8 become lone
    surrogates, and none has a line break or NUL.
    """
    kept = raw.translate(None, b"\r\n\0")
    return kept.decode(errors="surrogateescape")

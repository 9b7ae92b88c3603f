from collections.abc import Sequence

from fetcher.lines import Part

def cut(text: bytes, kinds: bytes, delimiter: str, /) -> bytes | None: ...

# ``width`` is the number of cuts of a line, ``place`` one of these, counted from 0. Lines of
# several parts follow each other.

def cells(parts: Sequence[Part], width: int, /) -> list[tuple[str, ...]]: ...

# Of the cells at ``place``: each text that there is, with its first line (from 0), how many lines
# have it, and the sum of the numbers that these have at ``sizes``. And for each line, in 32 bits,
# which of these its text is. With ``place`` -1 all are empty, with ``sizes`` -1 sums are 0.
def tally(
    parts: Sequence[Part], width: int, place: int, sizes: int, /
) -> tuple[list[tuple[str, int, int, int]], bytes]: ...

# Passages as ``fetcher.manifest.passages`` describes them, of at most ``most`` bytes, or of one
# line: its first line (from 1), how many there are, and the text. Of each line it is the cells at
# ``places``, or ``empty`` if these are nothing.
def passages(
    parts: Sequence[Part],
    width: int,
    places: tuple[int, ...],
    delimiter: str,
    empty: str,
    most: int,
    /,
) -> list[tuple[int, int, str]]: ...

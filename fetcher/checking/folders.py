"""What lies below a folder: every folder in a fixed order, with the names in it in pieces.

The order is that of the paths' parts, a folder before what is in it, so one that was stopped goes
on by its last folder's path. Links are not followed. A folder of millions is not held in memory;
only the folders in it are, and small folders share a piece.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from fetcher.policy.findings import Finding, Kind

PIECE: Final = 4_096
"""Names."""


class Name(NamedTuple):
    path: str
    """Relative to the root, with forward slashes."""
    stem: str
    """The last part without its extension."""
    regular: bool
    """A file, and no link to one; never a folder."""


class Piece(NamedTuple):
    names: list[Name]
    through: str | None
    """The last folder that was seen whole; ``None`` if there was none since the last piece."""
    closed: list[tuple[str, str]]
    """Folders that cannot be read, and why not."""


def walk(root: str, top: str, *, skip: frozenset[str], wanted: Wanted) -> Iterator[Piece]:
    """All folders from ``top`` on, if it is one.

    ``skip``: folders that are passed over with all that is in them. ``wanted`` says of which
    folders the names are.
    """
    names: list[Name] = []
    closed: list[tuple[str, str]] = []
    through: str | None = None
    waiting = [top] if os.path.isdir(f"{root}/{top}") else []  # noqa: PTH112  a str
    while waiting:
        folder = waiting.pop()
        takes = wanted(folder)
        below: list[str] = []
        try:
            found = os.scandir(f"{root}/{folder}")
        except OSError as error:
            closed.append((folder, error.strerror or str(error)))
            continue
        with found:
            for entry in found:
                name = entry.name
                if entry.is_dir(follow_symlinks=False):
                    below.append(f"{folder}/{name}")
                elif takes:
                    # An extension has no dot of its own (policy.paths).
                    stem = name.rpartition(".")[0]
                    regular = entry.is_file(follow_symlinks=False)
                    names.append(Name(f"{folder}/{name}", stem, regular))
                    if len(names) == PIECE:
                        yield Piece(names, through, closed)
                        names, through, closed = [], None, []
        through = folder
        waiting += sorted((path for path in below if path not in skip), reverse=True)
    yield Piece(names, through, closed)


def beside(root: str, own: frozenset[str]) -> list[Name]:
    """What lies in the root itself and is none of its ``own``, by name; folders are not entered."""
    with os.scandir(root) as entries:
        return sorted(
            Name(entry.name, entry.name.rpartition(".")[0], entry.is_file(follow_symlinks=False))
            for entry in entries
            if entry.name not in own
        )


def temporary(root: str, folder: str = ".partial") -> Iterator[Finding]:
    """What runs have begun to write. It is named, whatever it is, and left where it is."""
    try:
        with os.scandir(f"{root}/{folder}") as entries:
            names = sorted(e.name for e in entries if not e.is_dir(follow_symlinks=False))
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        yield Finding(Kind.UNREADABLE, folder, error.strerror or str(error))
        return
    for name in names:
        yield Finding(Kind.LEFTOVER, f"{folder}/{name}")


Wanted = Callable[[str], bool]


def behind(folder: str, last: str | None) -> bool:
    """Whether ``folder`` comes after ``last`` in the order of ``walk``."""
    return last is None or folder.split("/") > last.split("/")


def is_text(name: str) -> bool:
    """Whether it is UTF-8, as all that a manifest can have a word of."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True

"""Which keys and temporary names stay inside of DIR.

Ids are judged where they are read (``fetcher.policy.paths``); one that gets here and would leave
DIR is a bug, and this is the second lock on that door. Judged from the text alone.
"""

from __future__ import annotations

import re
from typing import Final

PARTIAL: Final = ".partial"
"""The directory of temporary and spool files; no key leads into it."""

_NAME_MAX: Final = 255
"""Bytes in one part of a path (POSIX NAME_MAX as Linux and macOS have it)."""
_NO_NAMES: Final = frozenset({"", ".", ".."})
# Nearly all keys and names: the rest is looked at in peace.
_PLAIN_NAME: Final = re.compile(r"\w[\w.-]{0,200}", re.ASCII)
_PLAIN_KEY: Final = re.compile(r"\w[\w.-]{0,200}(?:/\w[\w.-]{0,200})*", re.ASCII)


def check_key(key: str) -> None:
    """Raises ``ValueError`` unless ``key`` is relative, of plain parts, and not the store's own."""
    if _PLAIN_KEY.fullmatch(key):
        return
    parts = key.split("/")
    for part in parts:
        check_name(part)
    if parts[0] == PARTIAL:
        raise ValueError(f"{key!r} is among the store's temporary files")


def check_below(path: str) -> None:
    """Raises ``ValueError`` unless ``path`` is relative and goes down only, by whatever names."""
    if not _NO_NAMES.isdisjoint(path.split("/")):
        raise ValueError(f"{path!r} is not below DIR")


def check_name(name: str) -> None:
    """Raises ``ValueError`` unless ``name`` is one part of a path."""
    if _PLAIN_NAME.fullmatch(name):
        return
    if name in _NO_NAMES or "/" in name or "\0" in name:
        raise ValueError(f"{name!r} is no file name")
    # UnicodeEncodeError, for a lone surrogate, is a ValueError too.
    if len(name) > _NAME_MAX or (not name.isascii() and len(name.encode()) > _NAME_MAX):
        raise ValueError(f"{name[:40]!r}… is too long for a file name")

"""Where an image lies under DIR, and which ids may name a file there.

An id comes from a list that nobody vouches for, and becomes a file name. The rule is therefore to
refuse rather than to repair: an id that was bent into shape could meet another one under the same
name. What passes is kept to the letter. Ids that differ only in case, or only in Unicode
normalisation, are different files, as POSIX has it; a file system that folds either (macOS by
default) is not fit to hold a list with such ids.

The same rule holds for subsets, which become folders.
"""

from __future__ import annotations

import re
from typing import Final
from unicodedata import category

_MAX_BYTES: Final = 200
"""NAME_MAX is 255: this leaves room for an extension and for the suffix of a temporary name."""

_PREFIX: Final = 3
"""16 hex digits spread over 4,096 folders: 2,200 files in each for all of Open Images."""

_PLAIN: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,127}")
"""What nearly all ids look like; nothing that it matches has a fault."""

# Control characters, lone surrogates, and the two separators that end a line.
_BANNED: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})


def id_fault(image_id: str) -> str | None:
    """What keeps ``image_id`` from being a file name, in words; ``None`` if nothing does."""
    if _PLAIN.fullmatch(image_id):
        return None
    if not image_id:
        return "it is empty"
    if "/" in image_id or "\\" in image_id:
        return "it has a slash or a backslash"
    if any(category(character) in _BANNED for character in image_id):
        return "it has a control character"
    if image_id.startswith("."):
        return "it starts with a dot"
    if image_id != image_id.strip():
        return "it starts or ends with white space"
    if len(image_id.encode()) > _MAX_BYTES:
        return f"it is longer than {_MAX_BYTES} bytes"
    return None


def relative_path(folder: str, subset: str, image_id: str, extension: str) -> str:
    """``folder/subset/{first 3 characters of id}/{id}.{extension}``, relative to DIR.

    Without a subset there is no subset folder. The id and the subset must have passed
    ``id_fault``, and the extension has no dot. Then no two images share a path, and none needs a
    folder where another has its file: a folder inside of a subset has a name of three characters
    at most, and a file has its prefix, a dot and an extension.
    """
    name = f"{image_id[:_PREFIX]}/{image_id}.{extension}"
    return f"{folder}/{subset}/{name}" if subset else f"{folder}/{name}"

"""Paths as the manifest keeps them.

Nearly every path is ``images/{subset}/{first 3 characters of id}/{id}{extension}``, or the same
under ``mismatched/``. Of these only the extension is kept (``.jpg``, ``!.jpg``): forty bytes less
for each image. Of an image in a shard the shard's number, the image's first byte there and the
extension are kept (``#12:4096.jpg``). Any other path is kept as it is. The view ``images`` does the
reverse.
"""

from __future__ import annotations

_STORED = "images/"
_IN_SHARDS = "shards/"


def pack(path: str, subset: str, image_id: str) -> str:
    """The short form, if the view makes exactly ``path`` of it again; else ``path``."""
    stem = f"{subset}/{image_id[:3]}/{image_id}" if subset else f"{image_id[:3]}/{image_id}"
    for folder, mark in ((_STORED, ""), ("mismatched/", "!")):
        start = folder + stem
        if path.startswith(start + "."):
            return mark + path[len(start) :]
    if not path or path[0] in ".!#/":
        raise ValueError(f"not a path relative to DIR: {path!r}")
    return path


def pack_member(path: str, shard: int, offset: int) -> str:
    """The short form of a path that leads into a shard."""
    return f"#{shard}:{offset}.{path.rpartition('.')[2]}"


def stored(packed: str | None) -> bool:
    """Whether a packed path lies under ``images/``, or in a shard."""
    return packed is not None and (packed[0] in ".#" or packed.startswith(_STORED))


def counts_as_stored(path: str | None) -> bool:
    """The same of a whole path."""
    return path is not None and path.startswith((_STORED, _IN_SHARDS))

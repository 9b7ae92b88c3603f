"""Shards as bytes: tar files as WebDataset reads them, each image with what is known of it.

    header of {id}.jpg | image | zeros | header of {id}.json | JSON | zeros |  … next image …  | end

A group begins and ends at a multiple of ``BLOCK``, and the end of the archive is written after each
batch and overwritten by the next one: between two batches a shard is a whole tar file. The format
is POSIX.1-1988 ustar, and pax (POSIX.1-2001) for what does not fit in; times and owners are zero,
so equal images make equal bytes.

WebDataset takes what precedes a name's first dot for the sample's key, so a dot in an id is written
``%2E``, and ``%`` is ``%25``. It passes over members whose name begins and ends with ``__``: that
is how a member is taken out of a shard without moving the others.

Nothing here reads or writes; ``members`` is given a way to.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple
from zlib import crc32

BLOCK: Final = 512
END: Final = bytes(2 * BLOCK)
LARGEST: Final = 8**11 - 1
"""Bytes of a member that ustar can tell."""
SHARD: Final = re.compile(r"\d{6,12}\.tar")
"""A shard's file name."""
DROPPED: Final = "__dropped__"
SUFFIX: Final = ".json"

_NAME_FIELD: Final = 100
_MAGIC: Final = b"ustar\x0000"
_PLAIN_TYPES: Final = b"0\0"
_PAX: Final = b"x"
_SEAL: Final = ', "json_crc32": "'
_ZEROS: Final = bytes(BLOCK)

Pread = Callable[[int, int], bytes]
"""``pread(count, offset)``: fewer bytes than asked for only at the end of the file."""


class Member(NamedTuple):
    """``start`` is where its header begins, ``offset`` its bytes."""

    name: str
    start: int
    offset: int
    size: int

    @property
    def end(self) -> int:
        return self.offset + self.size + padding(self.size)


def padding(size: int) -> int:
    return -size % BLOCK


def stem(image_id: str) -> str:
    """An id as the key of a WebDataset sample. The view ``images`` does the same in SQL."""
    return image_id.replace("%", "%25").replace(".", "%2E")


def image_id_of(member: str) -> str:
    """The id that ``member_of`` made a member's name of."""
    return member.partition(".")[0].replace("%2E", ".").replace("%25", "%")


def member_of(name: str) -> str:
    """The member for a file ``{id}.{extension}``; an extension has no dot (``policy.paths``)."""
    image_id, dot, extension = name.rpartition(".")
    return f"{stem(image_id)}{dot}{extension}"


def json_of(member: str) -> str:
    """The name of the JSON that goes with an image."""
    return member.partition(".")[0] + SUFFIX


def header(name: str, size: int) -> bytes:
    """Of a plain file; one block, or three for a name that does not fit into one."""
    encoded = name.encode()
    if len(encoded) > _NAME_FIELD:
        import tarfile  # noqa: PLC0415  for ids that hardly any list has; checkers start without

        return tarfile.TarInfo(name).tobuf(tarfile.PAX_FORMAT)[:-BLOCK] + _header(
            encoded[:_NAME_FIELD], size
        )
    return _header(encoded, size)


def _header(name: bytes, size: int) -> bytes:
    if not 0 <= size <= LARGEST:
        raise ValueError(f"{size} bytes do not fit into a member")
    block = bytearray(_TEMPLATE)
    block[: len(name)] = name
    block[124:135] = b"%011o" % size
    block[148:156] = b"%06o\0 " % (sum(block))
    return bytes(block)


def _template() -> bytes:
    block = bytearray(BLOCK)
    block[100:108] = b"0000644\0"
    block[108:116] = block[116:124] = b"0000000\0"
    block[136:148] = b"00000000000\0"
    block[148:156] = b" " * 8  # what the checksum counts in its own place
    block[156] = ord("0")
    block[257:265] = _MAGIC
    return bytes(block)


_TEMPLATE: Final = _template()


def dropped(member: str, size: int) -> bytes:
    """What to write over a member's header, so that readers pass over it."""
    length = len(header(member, size))
    if length == BLOCK:
        return _dropped(size)
    # The pax header becomes a file of its own, or it would go on naming the next one.
    return _dropped(length - 2 * BLOCK) + bytes(length - 2 * BLOCK) + _dropped(size)


@lru_cache(maxsize=64)
def _dropped(size: int) -> bytes:
    return _header(DROPPED.encode(), size)


# The JSON beside an image.


def described(facts: Mapping[str, Any]) -> bytes:
    """``facts`` as JSON, with a checksum of its own text as the last member."""
    text = json.dumps(facts, ensure_ascii=False)[:-1]
    return f'{text}{_SEAL}{crc32(text.encode()):08x}"}}'.encode()


def is_intact(text: bytes) -> bool:
    """Whether ``described`` made this very text."""
    body, seal, rest = text.rpartition(_SEAL.encode())
    return bool(seal) and rest == b'%08x"}' % crc32(body)


def beside(member: str, size: int, text: bytes) -> bytes:
    """All that follows the ``size`` bytes of an image in its group; ``text`` is its JSON."""
    front = header(json_of(member), len(text))
    return b"".join((_ZEROS[: padding(size)], front, text, _ZEROS[: padding(len(text))]))


# Reading.


def members(pread: Pread, at: int, end: int) -> Iterator[Member]:
    """The whole members from ``at`` on; ends before ``end`` at the first thing that is none."""
    while at + BLOCK <= end:
        start, named = at, None
        found = parsed(pread(BLOCK, at))
        if found is not None and found[2] == _PAX:
            named = _pax_path(pread(found[1], at + BLOCK))
            at += BLOCK + found[1] + padding(found[1])
            found = parsed(pread(BLOCK, at))
        if found is None or found[2] not in _PLAIN_TYPES:
            return
        member = Member(named or found[0], start, at + BLOCK, found[1])
        if member.end > end:
            return
        yield member
        at = member.end


def parsed(block: bytes) -> tuple[str, int, bytes] | None:
    """Name, size and type that a header tells; ``None`` if it is none, or was changed."""
    if len(block) != BLOCK or block[257:265] != _MAGIC:
        return None
    try:
        told = int(block[148:154], 8)
        size = int(block[124:135], 8)
    except ValueError:
        return None
    if told != sum(block) - sum(block[148:156]) + 8 * ord(" "):
        return None
    name = block[:_NAME_FIELD].rstrip(b"\0").decode("utf-8", "surrogateescape")
    return name, size, block[156:157]


def _pax_path(data: bytes) -> str | None:
    """``path`` of records that are a length, a blank, KEY=VALUE and a line break (pax)."""
    while data:
        length, _, _ = data.partition(b" ")
        if not length.isdigit() or not 0 < int(length) <= len(data):
            return None
        key, _, value = data[len(length) + 1 : int(length) - 1].partition(b"=")
        if key == b"path":
            return value.decode("utf-8", "surrogateescape")
        data = data[int(length) :]
    return None


def end_of_whole(pread: Pread, size: int) -> int | None:
    """Where a shard of ``size`` bytes may be written on; ``None`` unless it is whole members and an
    end, to the byte. Then nothing needs to be cut off to go on.
    """
    at, name = 0, ""
    for member in members(pread, 0, size):
        at, name = member.end, member.name
    if at + len(END) != size or pread(len(END), at) != END:
        return None
    return at if name == DROPPED or name.endswith(SUFFIX) else None

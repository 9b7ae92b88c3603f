"""Whether a picture goes on to where its format says that it ends, for one that decodes.

Decoders are content with all pixels, so a file that was cut in its last bytes decodes; and what is
behind an end is nothing to them. So the parts are walked through from the first one, as the end
mark may be anywhere. Of a JPEG or WebP the decoder itself says it.
"""

from __future__ import annotations

import os
from typing import IO


def lacks_end(kind: str, file: IO[bytes]) -> bool:
    """``kind`` is the format in Pillow's word; what is of no known form lacks nothing."""
    if kind == "PNG":
        return _png_lacks_end(file)
    if kind == "GIF":
        return _gif_lacks_end(file)
    return False


def _png_lacks_end(file: IO[bytes]) -> bool:
    """Chunks: length, type, data, checksum (PNG specification, third edition, section 5.3)."""
    size = file.seek(0, os.SEEK_END)
    at = 8
    while at + 12 <= size:
        file.seek(at)
        head = file.read(8)
        at += 12 + int.from_bytes(head[:4], "big")
        if head[4:] == b"IEND":
            return at > size
    return True


def _gif_lacks_end(file: IO[bytes]) -> bool:
    """Blocks up to the trailer (GIF89a, appendix B)."""
    file.seek(0)
    screen = file.read(13)
    file.read(_colours(screen[10:11]))
    while introducer := file.read(1):
        if introducer == b"!":
            file.read(1)  # its label
        elif introducer == b",":
            file.read(_colours(file.read(9)[8:]) + 1)  # and the least size of a code
        else:
            return False  # the trailer; or nothing that decoders would mind
        while length := file.read(1):
            if length == b"\0":
                break
            file.read(length[0])
    return True


def _colours(packed: bytes) -> int:
    """Bytes of the table of colours that follows."""
    flags = packed[0] if packed else 0
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0

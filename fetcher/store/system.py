"""The system calls that the store makes, as one value.

Everything that can fail, or whose order matters, goes through a ``System``; tests pass one that
records the order or fails at the n-th call. What is here raises ``OSError`` and decides nothing.

``syncfs`` is the one call that Python does not wrap. It is ``None`` where the C library has none.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Struct

_STATFS_BYTES: Final = 512
"""More than any Linux architecture's ``struct statfs``."""


def _c_library() -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL(None, use_errno=True)
    except OSError:
        return None  # a statically linked interpreter


_LIBC: Final = _c_library()


def _syncfs(descriptor: int) -> None:
    """syncfs(2); a ``CDLL`` gives the GIL away for its duration."""
    assert _LIBC is not None  # noqa: S101  offered only where the call is there
    if _LIBC.syncfs(descriptor) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def file_system_type(descriptor: int) -> int:
    """The magic number of the file system that ``descriptor`` is on (statfs(2)); 0 if unknown."""
    if not hasattr(_LIBC, "fstatfs"):
        return 0
    buffer = ctypes.create_string_buffer(_STATFS_BYTES)
    assert _LIBC is not None  # noqa: S101  None has no fstatfs
    if _LIBC.fstatfs(descriptor, buffer) != 0:
        return 0
    # f_type is the first member: a long nearly everywhere. Where it is not, no number matches.
    return ctypes.c_long.from_buffer(buffer).value & 0xFFFF_FFFF


_FADVISE: Final[Callable[[int, int, int, int], None] | None] = getattr(os, "posix_fadvise", None)
"""Not on macOS."""


Bytes = bytes | bytearray | memoryview
"""What can be written."""


class System(Struct, frozen=True):
    """The real calls, unless given others."""

    open: Callable[..., int] = os.open
    write: Callable[[int, Bytes], int] = os.write
    pwritev: Callable[[int, Sequence[Bytes], int], int] = os.pwritev
    ftruncate: Callable[[int, int], None] = os.ftruncate
    close: Callable[[int], None] = os.close
    fsync: Callable[[int], None] = os.fsync
    fadvise: Callable[[int, int, int, int], None] | None = _FADVISE
    syncfs: Callable[[int], None] | None = _syncfs if hasattr(_LIBC, "syncfs") else None
    rename: Callable[[str, str], None] = os.rename
    unlink: Callable[[str], None] = os.unlink
    mkdir: Callable[[str, int], None] = os.mkdir
    lstat: Callable[[str], os.stat_result] = os.lstat
    statvfs: Callable[[str], os.statvfs_result] = os.statvfs
    file_system_type: Callable[[int], int] = file_system_type
    release: str = os.uname().release

"""From an ``OSError`` to a ``StoreError``: what happened, where, and what to do. One table."""

from __future__ import annotations

import errno
import os
from typing import Final

from fetcher.errors import StoreError
from fetcher.policy.oserrors import disk_fault

_RESUME: Final = "then run the same command again; nothing is lost."

_HINTS: Final = {
    errno.ENOSPC: f"Free some room (bytes, or inodes: df -i), {_RESUME}",
    errno.EDQUOT: f"Free some room or raise the quota, {_RESUME}",
    errno.EMFILE: f"Raise the limit (ulimit -n) or lower fetch.concurrency, {_RESUME}",
    errno.ENFILE: f"Close other programs or raise fs.file-max, {_RESUME}",
    errno.EACCES: f"Give the user of this run permission to write there, {_RESUME}",
    errno.EPERM: f"Give the user of this run permission to write there, {_RESUME}",
    errno.EROFS: f"Mount the file system writable (the kernel's log says why it is not), {_RESUME}",
    errno.EIO: f"See the kernel's log: the disk may be failing. Replace it, {_RESUME}",
    errno.ENOENT: f"Something else removes files in DIR: stop it, {_RESUME}",
    errno.EXDEV: f"DIR must be on one file system: unmount what is mounted inside of it, {_RESUME}",
    errno.ENOTDIR: f"A file or a link is where a directory belongs: move it away, {_RESUME}",
    errno.ELOOP: f"A link is where a file belongs, and is not followed: remove it, {_RESUME}",
    errno.EISDIR: f"A directory is where a file belongs: move it away, {_RESUME}",
}
_OTHER: Final = f"Check the disk and the permissions of DIR, {_RESUME}"


def store_error(error: OSError, path: str) -> StoreError:
    """What to tell of ``error``, which befell ``path``."""
    number = error.errno or 0
    reason = os.strerror(number) if number else str(error)
    return StoreError(
        f"{path} cannot be written: {reason}.",
        fault_code=disk_fault(error),
        hint=_HINTS.get(number, _OTHER),
    )


def too_little_room(root: str, free: int, least: int) -> StoreError:
    return StoreError(
        f"{root} has {free:,} bytes free; store.min_free asks for {least:,}.",
        fault_code="disk-full",
        hint=f"Free some room or lower store.min_free, {_RESUME}",
    )


def wrong_length(path: str, size: int, expected: int) -> StoreError:
    return StoreError(
        f"{path} has {size:,} bytes; {expected:,} were written.",
        fault_code="disk-error",
        hint=f"Something else changes files in DIR, or the disk loses data: find out, {_RESUME}",
    )

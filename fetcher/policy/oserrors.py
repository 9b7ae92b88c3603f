"""What an error of the local file system means for the run."""

from __future__ import annotations

import errno
from typing import Final

_BY_ERRNO: Final = {
    errno.ENOSPC: "disk-full",
    errno.EDQUOT: "disk-full",
    errno.EMFILE: "out-of-descriptors",
    errno.ENFILE: "out-of-descriptors",
}


def disk_fault(error: OSError) -> str:
    """The code of the local fault that ``error`` is; whatever is not known is a disk error."""
    return _BY_ERRNO.get(error.errno or 0, "disk-error")

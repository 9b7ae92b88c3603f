"""What was found, kept: a file for each minimised input, in a folder for each target.

A file's name says what the input broke. It stays when that is mended, and is tried for ever after.
"""

from __future__ import annotations

from hashlib import blake2s
from pathlib import Path
from typing import Final

PLACE: Final = Path(__file__).parents[2] / "tests" / "fuzz" / "corpus"


def kept(target: str, place: Path = PLACE) -> dict[str, bytes]:
    """Inputs by name."""
    folder = place / target
    if not folder.is_dir():
        return {}
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def keep(target: str, data: bytes, place: Path = PLACE) -> Path:
    """Under a name made of its bytes, until somebody knows a better one."""
    path = place / target / f"found-{blake2s(data, digest_size=4).hexdigest()}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path

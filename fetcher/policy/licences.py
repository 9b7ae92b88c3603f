"""Which column of a list names the licence: by the names that are usual for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

COLUMNS: Final = ("license", "licence", "licenseurl", "license_url", "license url")
"""In lower case."""


def column(names: Sequence[str]) -> int | None:
    """The first that does, among ``names``."""
    return next((at for at, name in enumerate(names) if name.lower() in COLUMNS), None)

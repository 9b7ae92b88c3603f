"""What the tests' reports are of."""

from __future__ import annotations

from fetcher.report.html import About
from tests.report.conftest import SECOND_RUN

ABOUT = About(
    "mirror",
    "2026-11-24T12:00:00Z",
    "0.0",
    SECOND_RUN,
    ("https://*.example/known/*",),
    (),
)

"""What a list may expect of an image: how large, and with which MD5. Nothing else is acted on,
wherever it comes from.
"""

from __future__ import annotations

import re
from typing import Final

MOST_BYTES: Final = 2**53
"""What a float, and so JSON and a spreadsheet, can still count."""

MD5: Final = re.compile(r"[A-Za-z0-9+/]{21}[AQgw]==")
"""Base64 of 16 bytes, as every encoder writes them."""

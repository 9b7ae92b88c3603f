"""Whether a redirect is followed. Hop by hop, by us: each target passes the same checks as a listed
URL, and known placeholders are recognised before they are asked for.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import Final
from urllib.parse import urljoin

from msgspec import Struct

from fetcher.policy import urls

MAX_HOPS: Final = 5
_ABSOLUTE: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")  # RFC 3986 section 3.1
_RAW: Final = re.compile("[ \udc80-\udcff]")


class RedirectRule(Struct, frozen=True):
    """``placeholders`` are patterns of targets that stand for "no longer here" (``*`` matches any
    run of characters).
    """

    placeholders: tuple[str, ...] = ()
    allow_downgrade: bool = False

    def judge(self, url: str, target: str, hops: int) -> str | None:
        """``None`` if the redirect from ``url`` to ``target`` may be followed, else the code.

        ``hops`` is the number of redirects already followed in this attempt.
        """
        if any(fnmatchcase(target, pattern) for pattern in self.placeholders):
            return "placeholder"
        judged = urls.judge(target)
        if isinstance(judged, str):
            return judged
        if hops >= MAX_HOPS:
            return "too-many-redirects"
        if url[:6].lower() == "https:" and judged.scheme == "http" and not self.allow_downgrade:
            return "insecure-redirect"
        return None


def resolve(url: str, location: str) -> str:
    """The absolute target of a Location header (RFC 9110 section 10.2.2), as text.

    ``location`` is as a header is decoded: bytes that are not UTF-8 arrive as lone surrogates (PEP
    383). They and spaces are percent-encoded, as browsers do: no text from here has a surrogate,
    which could neither be sent nor written down.

    Credentials of ``url`` are not handed on: a relative target on the same host is asked for
    without them. What cannot be joined is returned as it is, for ``judge`` to refuse.
    """
    location = _RAW.sub(_percent_encoded, location.strip())
    if _ABSOLUTE.match(location):
        # urljoin would take "https:///path", which has no host, for a path on this one.
        return location
    try:
        return urljoin(urls.drop_credentials(url), location)
    except ValueError:
        return location


def _percent_encoded(raw: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in raw[0].encode(errors="surrogateescape"))

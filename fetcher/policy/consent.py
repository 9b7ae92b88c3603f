"""Whose consent is asked for, and under which name.

Two ways in which the owners of images say no are honoured: robots.txt, before anything is asked for
(``fetcher.policy.robots``), and X-Robots-Tag, before the bytes are taken (``…robotstag``). An owner
who has said yes to you in person is exempt from both.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Final

from msgspec import Struct

from fetcher.policy import urls

_TOKEN: Final = re.compile(r"[^\s/(]+")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class ConsentRule(Struct, frozen=True):
    """``token`` names us in robots.txt and X-Robots-Tag; ``exempt`` are patterns of hosts."""

    token: str
    robots: bool = True
    robots_tag: bool = True
    exempt: tuple[str, ...] = ()

    def robots_of(self, host: str) -> bool:
        """Whether the robots.txt of ``host`` is to be asked for."""
        return self.robots and not self._is_exempt(host)

    def tag_of(self, url: str) -> bool:
        """Whether the X-Robots-Tag of the answer for ``url`` counts."""
        if not self.robots_tag or not self.exempt:
            return self.robots_tag
        target = urls.judge(url)
        return isinstance(target, str) or not self._is_exempt(target.host)

    def _is_exempt(self, host: str) -> bool:
        # Asked for every image, and nearly always of nobody.
        return bool(self.exempt) and any(fnmatchcase(host, pattern) for pattern in self.exempt)


def product_token(user_agent: str) -> str:
    """The product that a User-Agent begins with, without its version (RFC 9110 section 10.1.5)."""
    match = _TOKEN.match(user_agent)
    return match[0] if match is not None else ""


class Origin(Struct, frozen=True):
    """Scheme, host and port, which one robots.txt is about (RFC 6454 section 6.2)."""

    url: str
    """``https://host``, with the port where it is not the scheme's own."""
    host: str


def origin_of(url: str) -> Origin | None:
    """``None`` if ``url`` is none that can be asked for."""
    # Lists have few origins and many paths, and a path does not matter here.
    end = url.find("/", 8)
    return _origin(url if end < 0 else url[:end])


@lru_cache(maxsize=65_536)
def _origin(beginning: str) -> Origin | None:
    target = urls.judge(beginning)
    if isinstance(target, str):
        return None
    host = f"[{target.host}]" if ":" in target.host else target.host
    port = "" if target.port == _DEFAULT_PORTS[target.scheme] else f":{target.port}"
    return Origin(f"{target.scheme}://{host}{port}", target.host)

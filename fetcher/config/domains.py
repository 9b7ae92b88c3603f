"""Registrable domains, by the Public Suffix List that ``publicsuffixlist`` ships: no network."""

from __future__ import annotations

from functools import cache

from publicsuffixlist import PublicSuffixList


def registrable_domain(host: str) -> str | None:
    """The public suffix of ``host`` and one label more; ``None`` if ``host`` is no more than that.

    ``host`` is lower case. A top-level domain that is not listed counts as a public suffix, and so
    do the suffixes under which companies give away names (``github.io``).
    """
    domain: str | None = _suffixes().privatesuffix(host)
    return domain


@cache
def _suffixes() -> PublicSuffixList:
    # Parsed on first use: most commands never ask.
    return PublicSuffixList()

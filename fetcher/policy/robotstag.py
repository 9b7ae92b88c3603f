"""X-Robots-Tag: whether an answer's header asks that its bytes not be taken.

The header says of each answer what robots.txt says of paths. There is no standard; this follows
what search engines document and hosts send: any number of headers, each a list of directives, which
a name and a colon in front limits to one product. What is written oddly, but can only mean one
thing, means that.

    X-Robots-Tag: noai, noimageai
    X-Robots-Tag: otherbot: noindex
    X-Robots-Tag: unavailable_after: 25 Jun 2030 15:00:00 GMT, noindex

Whatever else such a header says (nofollow, nosnippet, …) is about other uses than ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

REFUSALS: Final = frozenset({"noai", "noimageai", "noindex", "noimageindex", "none"})
"""``none`` stands for ``noindex, nofollow``."""

_VALUED: Final = frozenset(
    {"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"}
)
"""Directives with a colon of their own, which are no product's name."""
_EVERYONE: Final = frozenset({"*", "robots"})
"""The latter is what the tag of the same meaning in HTML is called."""
# A date has a comma and colons too, but no colon behind a first word that begins with a letter.
_SCOPED: Final = re.compile(r"\s*(\*|[A-Za-z_][\w.-]*)(?:/[^\s:]*)?\s*:(.*)", re.DOTALL)
_QUOTES: Final = re.compile("[\"']")


def refusal(values: Iterable[str], token: str) -> str | None:
    """The first of the headers' ``values`` that asks everyone, or the product ``token``, not to."""
    return next((value for value in values if _refuses(value, token.lower())), None)


def _refuses(value: str, token: str) -> bool:
    for_us = True
    for piece in re.split("[,;]", _QUOTES.sub(" ", value.lower())):
        words = piece
        scoped = _SCOPED.fullmatch(piece)
        if scoped is not None:
            if scoped[1] in _VALUED:
                continue
            if scoped[1] not in REFUSALS:
                for_us = scoped[1] in _EVERYONE or scoped[1] == token
                words = scoped[2]
            else:  # with a colon behind it that it should not have
                words = scoped[1]
        if for_us and not REFUSALS.isdisjoint(words.split()):
            return True
    return False

"""The User-Agent: who asks, and whom to write to (RFC 9110 section 10.1.5)."""

from __future__ import annotations

import re
from typing import Final

_CONTACT: Final = "{contact}"
# The comment (RFC 9110 section 5.6.5) that names the contact, with the space before it.
_CONTACT_COMMENT: Final = re.compile(r" *\([^()]*\{contact\}[^()]*\)")


def fill(template: str, *, version: str, contact: str | None) -> str:
    """``template`` with its ``{version}`` and ``{contact}``.

    Without a contact, the parenthesis that would name it is left out. Empty if nothing is left, or
    if a contact is still asked for.
    """
    if contact is None:
        template = _CONTACT_COMMENT.sub("", template).strip()
        if _CONTACT in template:
            return ""
    else:
        template = template.replace(_CONTACT, contact)
    return template.replace("{version}", version)

"""From an HTTP status to a code. Codes of network errors are given where the errors are known, in
``fetcher.transport.faults``.
"""

from __future__ import annotations

from typing import Final

_OWN_CODE: Final = frozenset({401, 403, 404, 410, 451})
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


def status_code(status: int) -> str | None:
    """The code for a final response's ``status``; ``None`` for 200, the only success of a GET
    without a Range. (206 answers a Range only; see ``fetcher.policy.ranges``.)
    """
    if status == 200:  # noqa: PLR2004  the number is its name
        return None
    if status in _OWN_CODE:
        return f"http-{status}"
    if status == 429:  # noqa: PLR2004  RFC 6585 section 4
        return "rate-limited"
    if 400 <= status < 500:  # noqa: PLR2004  the class of client errors
        return "http-4xx"
    if 500 <= status < 600:  # noqa: PLR2004  the class of server errors
        return "http-5xx"
    return "http-unexpected"

"""What an audit believes, and when it asks once more.

An audit by HEAD climbs a ladder, one request a rung, and stops where it knows enough:

    HEAD   the head alone
    PROBE  a GET for the first bytes, which tell the type, with the whole size in Content-Range
    GET    all of it, measured and thrown away

A server should say of a HEAD what it would say of a GET (RFC 9110 section 9.3.2), and many do not.
So a HEAD is believed where it says that all is as listed, and where a status says that the image is
gone or not for us; that something else is there instead is only said after bytes were seen. A
probe is believed if it tells the size that the list wants compared. Only the last rung compares
digests: ``alive`` says nothing of bytes that were not looked at.
"""

from __future__ import annotations

from typing import Final

from fetcher.model import Expectation, Found, Keep, Method, State, Verdict
from fetcher.policy.sniff import is_image

NEXT: Final = {Method.HEAD: Method.PROBE, Method.PROBE: Method.GET}
"""The rung above; there is none above GET."""

_REFUSALS: Final = {
    # 405 and 501 say that the method is not known; 400 and 403 are what gateways say instead, and
    # what an object store says whose signed URL is for a GET only.
    Method.HEAD: frozenset({400, 403, 405, 501}),
    # The part may not exist (an empty body has no first byte), or parts may not be asked for.
    Method.PROBE: frozenset({400, 416, 501}),
    Method.GET: frozenset[int](),
}

_ALIVE: Final = Verdict(State.ALIVE, None, Keep.DISCARD)
_NOT_AN_IMAGE: Final = Verdict(State.MISMATCHED, "not-an-image", Keep.DISCARD)
_OTHER_SIZE: Final = Verdict(State.MISMATCHED, "size-mismatch", Keep.DISCARD)


def refuses(method: Method, status: int | None) -> bool:
    """Whether ``status`` may be about the method, and not about the image."""
    return status in _REFUSALS[method]


def judge(expected: Expectation, found: Found) -> Verdict | None:
    """What ``found`` is to the list; ``None`` if only the next rung can tell."""
    other_size = expected.size is not None and found.size != expected.size
    if found.coded:
        return None
    if is_image(found.content_type) and not other_size:
        return _ALIVE
    if found.method is Method.HEAD or (expected.size is not None and found.size is None):
        return None
    if is_image(found.content_type):
        return _OTHER_SIZE
    # Bytes that match the listed MD5 are the image, whatever they look like.
    may_match = expected.md5 is not None and not other_size
    return None if may_match else _NOT_AN_IMAGE

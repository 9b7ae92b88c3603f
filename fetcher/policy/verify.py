"""The judgement of what arrived against what the list says.

The list's digest is the last word: bytes that match it are the listed image, whatever they look
like. Where the list says less, the bytes must at least be an image. The rules stand in one table,
and the first that applies decides.

What is listed is what is checked: with only a size, or only an MD5, ``verified`` means that this
one matches and that the bytes are an image. With neither, an image is ``unverified``.

An empty body has no type, so it is no image. It is not ``truncated`` either: the transport has seen
its end.

Bytes that are not the listed image go to quarantine. ``store.mismatched`` may say otherwise, where
the verdict is carried out: ``discard`` drops them, ``keep`` leaves them under ``images/``. The
verdict stays ``mismatched`` in any case.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from fetcher import digests
from fetcher.model import Expectation, Keep, Receipt, State, Verdict
from fetcher.policy.sniff import is_image

_VERIFIED: Final = Verdict(State.VERIFIED, None, Keep.STORE)
_UNVERIFIED: Final = Verdict(State.UNVERIFIED, None, Keep.STORE)
_PLACEHOLDER: Final = Verdict(State.GONE, "placeholder", Keep.DISCARD)


def _mismatched(code: str) -> Verdict:
    return Verdict(State.MISMATCHED, code, Keep.QUARANTINE)


def _matches_md5(expected: Expectation, receipt: Receipt) -> bool:
    return expected.md5 is not None and expected.md5 == receipt.md5


def _other_md5(expected: Expectation, receipt: Receipt) -> bool:
    return expected.md5 is not None and expected.md5 != receipt.md5


def _other_size(expected: Expectation, receipt: Receipt) -> bool:
    return expected.size is not None and expected.size != receipt.size


_Rule = Callable[[Expectation, Receipt], bool]

_RULES: Final[tuple[tuple[_Rule, Verdict], ...]] = (
    (lambda e, r: _matches_md5(e, r) and not _other_size(e, r), _VERIFIED),
    (lambda _, r: not is_image(r.content_type), _mismatched("not-an-image")),
    (_other_size, _mismatched("size-mismatch")),
    (_other_md5, _mismatched("md5-mismatch")),
    (lambda e, _: e.checkable, _VERIFIED),
    (lambda _, __: True, _UNVERIFIED),
)


def judge(
    expected: Expectation, receipt: Receipt, *, placeholder_digests: frozenset[str]
) -> Verdict:
    """What ``receipt`` is to the list.

    ``placeholder_digests`` (base64 MD5) are of images that hosts serve for ones that are gone. They
    come first: a list made after an image was gone names the placeholder's digest itself.
    """
    if receipt.md5 in placeholder_digests:
        return _PLACEHOLDER
    return next(verdict for rule, verdict in _RULES if rule(expected, receipt))


class Digest(NamedTuple):
    size: int
    """Bytes."""
    md5: str
    """Base64, as in the image lists."""


def digest(chunks: Iterable[bytes]) -> Digest:
    """Size and MD5 of ``chunks`` in a row; how they are cut does not matter (law 8)."""
    size, md5 = 0, digests.new()
    for chunk in chunks:
        size += len(chunk)
        md5.update(chunk)
    return Digest(size, b64encode(md5.digest()).decode("ascii"))

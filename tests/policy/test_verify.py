"""The judgement: its table, its invariants, and law 8."""

from __future__ import annotations

import base64
import hashlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetcher.model import KEPT, Expectation, Keep, Receipt, State
from fetcher.policy.codes import CODES
from fetcher.policy.verify import digest, judge

SIZE, OTHER_SIZE = 1000, 2051
MD5 = base64.b64encode(hashlib.md5(b"listed", usedforsecurity=False).digest()).decode()
OTHER_MD5 = base64.b64encode(hashlib.md5(b"other", usedforsecurity=False).digest()).decode()
PLACEHOLDER = base64.b64encode(hashlib.md5(b"gone", usedforsecurity=False).digest()).decode()

BOTH = Expectation(SIZE, MD5)
ONLY_SIZE = Expectation(SIZE)
ONLY_MD5 = Expectation(md5=MD5)
NOTHING = Expectation()


def receipt(size: int = SIZE, md5: str = MD5, content_type: str | None = "image/jpeg") -> Receipt:
    return Receipt(size, md5, content_type, "https://a.example/1.jpg", 200)


@pytest.mark.parametrize(
    ("expected", "arrived", "state", "code"),
    [
        (BOTH, receipt(), State.VERIFIED, None),
        (BOTH, receipt(content_type=None), State.VERIFIED, None),
        (BOTH, receipt(content_type="text/html"), State.VERIFIED, None),
        (BOTH, receipt(size=OTHER_SIZE), State.MISMATCHED, "size-mismatch"),
        (BOTH, receipt(md5=OTHER_MD5), State.MISMATCHED, "md5-mismatch"),
        (BOTH, receipt(OTHER_SIZE, OTHER_MD5), State.MISMATCHED, "size-mismatch"),
        (BOTH, receipt(OTHER_SIZE, OTHER_MD5, "text/html"), State.MISMATCHED, "not-an-image"),
        (BOTH, receipt(md5=OTHER_MD5, content_type="text/xml"), State.MISMATCHED, "not-an-image"),
        (BOTH, receipt(0, OTHER_MD5, None), State.MISMATCHED, "not-an-image"),
        (BOTH, receipt(md5=PLACEHOLDER), State.GONE, "placeholder"),
        (ONLY_MD5, receipt(), State.VERIFIED, None),
        (ONLY_MD5, receipt(content_type=None), State.VERIFIED, None),
        (ONLY_MD5, receipt(md5=OTHER_MD5), State.MISMATCHED, "md5-mismatch"),
        (ONLY_SIZE, receipt(), State.VERIFIED, None),
        (ONLY_SIZE, receipt(content_type=None), State.MISMATCHED, "not-an-image"),
        (ONLY_SIZE, receipt(content_type="image/svg+xml"), State.MISMATCHED, "not-an-image"),
        (ONLY_SIZE, receipt(size=OTHER_SIZE), State.MISMATCHED, "size-mismatch"),
        (NOTHING, receipt(), State.UNVERIFIED, None),
        (NOTHING, receipt(content_type="text/html"), State.MISMATCHED, "not-an-image"),
        (NOTHING, receipt(content_type=None), State.MISMATCHED, "not-an-image"),
        (NOTHING, receipt(0, OTHER_MD5, None), State.MISMATCHED, "not-an-image"),
        (NOTHING, receipt(md5=PLACEHOLDER), State.GONE, "placeholder"),
        (Expectation(SIZE, PLACEHOLDER), receipt(md5=PLACEHOLDER), State.GONE, "placeholder"),
    ],
)
def test_table(expected: Expectation, arrived: Receipt, state: State, code: str | None) -> None:
    verdict = judge(expected, arrived, placeholder_digests=frozenset({PLACEHOLDER}))
    assert (verdict.state, verdict.code) == (state, code)


EXPECTATIONS = st.builds(
    Expectation,
    st.sampled_from([None, SIZE, OTHER_SIZE]),
    st.sampled_from([None, MD5, OTHER_MD5, PLACEHOLDER]),
)
RECEIPTS = st.builds(
    receipt,
    st.sampled_from([0, SIZE, OTHER_SIZE]),
    st.sampled_from([MD5, OTHER_MD5, PLACEHOLDER]),
    st.sampled_from([None, "image/jpeg", "text/html"]),
)
DIGESTS = st.frozensets(st.sampled_from([PLACEHOLDER, OTHER_MD5]))


@given(expected=EXPECTATIONS, arrived=RECEIPTS, digests=DIGESTS)
def test_verified_means_that_all_that_is_listed_matches(
    expected: Expectation, arrived: Receipt, digests: frozenset[str]
) -> None:
    if judge(expected, arrived, placeholder_digests=digests).state is State.VERIFIED:
        assert expected.checkable
        assert expected.size in {None, arrived.size}
        assert expected.md5 in {None, arrived.md5}


@given(expected=EXPECTATIONS, arrived=RECEIPTS, digests=DIGESTS)
def test_every_verdict_is_terminal_and_hangs_together(
    expected: Expectation, arrived: Receipt, digests: frozenset[str]
) -> None:
    verdict = judge(expected, arrived, placeholder_digests=digests)
    keeps = {State.MISMATCHED: Keep.QUARANTINE, State.GONE: Keep.DISCARD}
    assert verdict.keep is keeps.get(verdict.state, Keep.STORE)
    if verdict.state in KEPT:
        assert verdict.code is None
    else:
        assert verdict.code is not None
        assert CODES[verdict.code].state is verdict.state


@given(data=st.binary(max_size=2000), cuts=st.lists(st.integers(0, 2000)))
def test_a_digest_does_not_depend_on_the_chunks(data: bytes, cuts: list[int]) -> None:
    """Law 8."""
    at = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    chunks = [data[start:end] for start, end in pairwise(at)]
    md5 = base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
    assert digest(chunks) == digest([data]) == (len(data), md5)


def test_a_digest_is_written_as_in_the_lists() -> None:
    assert digest([]) == (0, "1B2M2Y8AsgTpgAmY7PhCfg==")

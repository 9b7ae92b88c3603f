"""The extension keeps the contract, in every width that runs here; and what else it promises."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from threading import Thread
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import fetcher.digests
from fetcher.digests import Buffer, Digests, Md5, one_by_one
from tests.conformance.digests_suite import COMPANIES, STATELESS, DigestsSuite, bodies, right

_lanes = pytest.importorskip("fetcher.digests._lanes", reason="the extension is not built here")


class InWidth:
    """Whole bodies by the kernels of one width, everything else as it is."""

    def __init__(self, width: int) -> None:
        self.LANES = 2 * width

    def new(self) -> Md5:
        made: Md5 = _lanes.new()
        return made

    def update_together(self, pairs: Sequence[tuple[Md5, Buffer]], /) -> None:
        _lanes.update_together(pairs)

    def digest_together(self, bodies: Sequence[Buffer], /) -> list[bytes]:
        found: list[bytes] = _lanes.digest_in(self.LANES // 2, bodies)
        return found


class TestLanes(DigestsSuite):
    @pytest.fixture(params=_lanes.WIDTHS)
    def digests(self, request: pytest.FixtureRequest) -> Digests:
        return InWidth(request.param)


def test_it_is_the_one_that_is_used_and_the_widest() -> None:
    assert fetcher.digests.LANES == _lanes.LANES == 2 * max(_lanes.WIDTHS)
    assert fetcher.digests.digest_together is _lanes.digest_together


@STATELESS
@given(sizes=COMPANIES)
def test_both_say_the_same(sizes: list[int]) -> None:
    given_ = bodies(sizes)
    assert _lanes.digest_together(given_) == one_by_one.digest_together(given_)


@given(length=st.integers(0, 2**64 - 1))
@example(length=2**29 - 1)  # the last one whose bits fit into one word
@example(length=2**29)
@example(length=2**32 + 55)
@example(length=2**32 + 56)
@example(length=2**61)  # 2^64 bits, which are told as none
def test_what_follows_a_message_of_any_length(length: int) -> None:
    """RFC 1321, sections 3.1 and 3.2."""
    zeros = (55 - length) % 64
    bits = (8 * length % 2**64).to_bytes(8, "little")
    assert _lanes.padding(length) == b"\x80" + bytes(zeros) + bits


def test_a_width_that_is_not_there() -> None:
    with pytest.raises(ValueError, match="no vectors of this width"):
        _lanes.digest_in(5, [])


def test_a_digest_that_is_being_fed_is_nobody_elses() -> None:
    """The interpreter's lock is not held meanwhile; whether another thread gets to it in time is
    tried until it does.
    """
    digest, body = _lanes.new(), bytes(1 << 22)
    fed, stop, refused = 0, False, 0

    def feed() -> None:
        nonlocal fed, refused
        while not stop:
            try:
                digest.update(body)
            except RuntimeError:
                refused += 1
            else:
                fed += 1

    thread = Thread(target=feed)
    thread.start()
    attempts: tuple[Any, ...] = (
        digest.digest,
        lambda: digest.update(b""),
        lambda: _lanes.update_together([(digest, b"")]),
    )
    seen: set[int] = set()
    for n in count():
        try:
            attempts[n % 3]()
        except RuntimeError:
            seen.add(n % 3)
        if len(seen) == 3:
            break
    stop = True
    thread.join()
    assert digest.digest() == right(body * fed)


@pytest.mark.parametrize(
    "pairs",
    [
        [(one_by_one.new(), b"")],
        [[_lanes.new(), b""]],
        [(_lanes.new(),)],
        [_lanes.new()],
        [(None, b"")],
        7,
    ],
)
def test_what_is_no_pair_is_refused(pairs: Any) -> None:
    with pytest.raises(TypeError):
        _lanes.update_together(pairs)


def test_a_digest_is_made_by_new() -> None:
    with pytest.raises(TypeError):
        type(_lanes.new())()

"""What is made ahead comes in order, whole, and no further ahead than there is room for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetcher.ahead import Ahead


@given(st.lists(st.integers(1, 5), max_size=40), st.integers(1, 8))
def test_all_comes_in_order_and_what_waits_has_room(weights: list[int], room: int) -> None:
    taken: list[int] = []

    def make(_: Callable[[], bool]) -> Generator[tuple[int, int], None, None]:
        for at, weight in enumerate(weights):
            yield at, weight
            # It was put: one may be in the hand of who takes, and of the rest is room for, or one.
            waiting = weights[len(taken) + 1 : at + 1]
            assert sum(waiting) <= room or len(waiting) <= 1

    with Ahead(make, lambda item: item[1], room=room) as ahead:
        for at, _ in ahead:
            taken.append(at)
    assert taken == list(range(len(weights)))


def test_it_goes_ahead_when_started_and_not_before() -> None:
    made = threading.Event()

    def make(_: Callable[[], bool]) -> Generator[int, None, None]:
        made.set()
        yield 1

    with Ahead(make, lambda _: 1, room=1) as ahead:
        assert not made.is_set()
        ahead.start()
        assert made.wait(60)
        assert list(ahead) == [1]
    made.clear()
    with Ahead(make, lambda _: 1, room=1):
        """Nobody wants anything."""
    assert not made.is_set()


@pytest.mark.parametrize("after", [0, 1, 3])
def test_what_it_raises_is_raised_to_who_takes_behind_what_was_made(after: int) -> None:
    def make(_: Callable[[], bool]) -> Generator[int, None, None]:
        yield from range(after)
        raise LookupError

    taken = []
    with Ahead(make, lambda _: 1, room=10) as ahead, pytest.raises(LookupError):  # noqa: PT012
        for item in ahead:
            taken.append(item)  # noqa: PERF402  what was taken until it raised
    assert taken == list(range(after))


@pytest.mark.parametrize("asks", [True, False])
def test_one_that_is_left_ends_with_what_it_opened_closed(*, asks: bool) -> None:
    closed: list[int] = []

    def make(left: Callable[[], bool]) -> Generator[int, None, None]:
        try:
            yield 0
            while not (asks and left()):
                yield 1
        finally:
            closed.append(threading.get_ident())

    with Ahead(make, lambda _: 1, room=2) as ahead:
        assert next(iter(ahead)) == 0
    assert len(closed) == 1
    assert closed != [threading.get_ident()]

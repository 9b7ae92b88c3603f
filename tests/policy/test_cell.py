"""Nobody is in the cell in more company than any that is there bears."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetcher.policy.cell import Cell
from fetcher.policy.suspects import APART, FEW, Suspects

SIGKILL = -9
ASSETS = st.integers(0, 15)


def suspects_of(together: Sequence[int], apart: Sequence[int]) -> Suspects:
    suspects = Suspects()
    for _ in range(APART):
        suspects.died(apart, SIGKILL)
    suspects.died(together, SIGKILL)
    return suspects


def admitted(cell: Cell, inside: int) -> list[int]:
    entered: list[int] = []
    while (asset_id := cell.admit(inside + len(entered))) is not None:
        entered.append(asset_id)
    return entered


@given(st.sets(ASSETS), st.sets(ASSETS), st.lists(st.none() | ASSETS, max_size=60))
def test_all_that_are_inside_bear_their_company(
    together: set[int], apart: set[int], steps: list[int | None]
) -> None:
    """A step: an asset comes, or, ``None``, the one that is inside for longest leaves."""
    suspects = suspects_of(sorted(together), sorted(apart))
    cell, inside, waiting = Cell(suspects), list[int](), list[int]()
    for step in steps:
        if step is None:
            del inside[:1]
            if not inside and not waiting:
                assert cell.dissolve() == []
        elif step not in inside + waiting:
            cell.queue(step)
            waiting.append(step)
        entered = admitted(cell, len(inside))
        inside += entered
        waiting = [asset_id for asset_id in waiting if asset_id not in entered]
        assert len(inside) <= min(map(suspects.company, inside), default=0)
        assert bool(inside) >= bool(waiting)  # or all of them would wait for ever
    assert sorted(cell.dissolve()) == sorted(waiting)


def test_who_most_speaks_against_enters_first_and_others_as_they_came() -> None:
    suspects = Suspects()
    suspects.died([3], SIGKILL)
    cell = Cell(suspects)
    for asset_id in (5, 4, 3):
        cell.queue(asset_id)
    assert admitted(cell, 0) == [3, 5, 4]


@pytest.mark.parametrize(("had", "entered"), [(0, [1]), (1, []), (FEW, [])])
def test_what_a_worker_had_before_is_company(had: int, entered: list[int]) -> None:
    cell = Cell(suspects_of([], [1, 2]))
    cell.queue(1)
    assert admitted(cell, had) == entered


def test_the_next_cell_is_not_held_to_who_was_in_the_last() -> None:
    suspects = suspects_of([2, 3], [1])
    cell = Cell(suspects)
    cell.queue(1)
    cell.queue(2)
    assert admitted(cell, 0) == [1]
    assert cell.dissolve() == [2]
    for asset_id in (2, 3):
        cell.queue(asset_id)
    assert admitted(cell, FEW - 1) == [2]
    assert cell.dissolve() == [3]


def test_nobody_is_held_to_who_has_left() -> None:
    cell = Cell(suspects_of([2, 3], [1]))
    for asset_id in (1, 2, 3):
        cell.queue(asset_id)
    assert admitted(cell, 0) == [1]
    assert admitted(cell, 0) == [2, 3]

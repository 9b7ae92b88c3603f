"""What the variable that arms a kill point means. That each point kills is in ``tests/e2e``."""

from __future__ import annotations

import os
import signal

import pytest

from fetcher import killpoints
from fetcher.killpoints import Point, armed


def test_no_test_runs_with_a_point_armed() -> None:
    assert os.environ.get(killpoints.VARIABLE) is None
    assert killpoints.reached is armed(None) is armed("")


@pytest.mark.parametrize(
    ("order", "dies_at"), [("renamed", 1), ("renamed:1", 1), ("renamed:3", 3), ("hashed:2", None)]
)
def test_the_chosen_pass_of_the_chosen_point_kills(
    order: str, dies_at: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: killed.append((pid, number)))
    reached = armed(order)
    died = None
    for n in range(1, 6):
        reached(Point.HASHED if n == 1 else Point.LANDED)
        reached(Point.RENAMED)
        if killed and died is None:
            died = n
    assert died == dies_at
    assert killed == ([(os.getpid(), signal.SIGKILL)] if dies_at else [])


def test_it_may_take_its_group_along(monkeypatch: pytest.MonkeyPatch) -> None:
    killed: list[tuple[str, int]] = []
    monkeypatch.setattr(os, "kill", lambda _, number: killed.append(("process", number)))
    monkeypatch.setattr(os, "killpg", lambda _, number: killed.append(("group", number)))
    reached = armed("renamed:2:group")
    reached(Point.RENAMED)
    assert not killed
    reached(Point.RENAMED)
    assert killed[0] == ("group", signal.SIGKILL)


@pytest.mark.parametrize(
    "order",
    [
        "rename",
        "renamed:0",
        "renamed:-1",
        "renamed:often",
        ":3",
        "renamed:1:all",
        "renamed:1:group:1",
    ],
)
def test_an_order_that_makes_no_sense_is_refused(order: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        armed(order)

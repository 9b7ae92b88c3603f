"""A plan is legible on a narrow terminal, and a line is a line anywhere else."""

from __future__ import annotations

import io

from rich.console import Console

from fetcher.model import HostBudget, RowTally
from fetcher.policy import planning
from fetcher.policy.planning import Amount, Kind, Survey
from fetcher.report import plan

HOSTS = [f"farm{n}.photographs.example" for n in range(8)]


def shown(*, terminal: bool) -> str:
    survey = Survey(
        rows=RowTally(8, 8), amounts={Kind("train", host, None): Amount(1, 10) for host in HOSTS}
    )
    budget = HostBudget(5.0, 5, 4)
    groups = planning.by_group(survey, lambda host: host.partition(".")[2], lambda _: budget)
    made = plan.Plan(survey, groups, planning.need(survey), None, None, 0, 100)
    out = io.StringIO()
    width = 50 if terminal else 1_000
    plan.show(Console(file=out, width=width, force_terminal=terminal, color_system=None), made)
    return out.getvalue()


def test_on_a_narrow_terminal_no_word_is_broken_and_no_number_cut() -> None:
    told = shown(terminal=True)
    assert max(map(len, told.splitlines())) <= 50
    words = told.replace(",", " ").split()
    assert set(HOSTS) <= set(words)
    assert "…" not in told


def test_in_a_log_the_hosts_are_one_line() -> None:
    hosts = ", ".join(f"{host} 1" for host in HOSTS)
    assert f"hosts: {hosts}\n" in shown(terminal=False)

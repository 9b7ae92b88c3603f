"""``fetcher audit`` that is stopped, and goes on; and what begins a new one."""

from __future__ import annotations

import signal
from dataclasses import replace

from fetcher.demo.steps import status
from scripts.proofs import laws, mirrors
from tests.e2e.audits import FAST, HOST, audit, figures, row, select, shown
from tests.e2e.conftest import Bench, finish


def test_an_audit_that_was_stopped_goes_on_and_one_that_ended_begins_anew(bench: Bench) -> None:
    names = [f"{n:03}" for n in range(40)]
    for name in names:
        bench.web.serve(f"/{name}.jpg", shown(name), host=HOST)
    rows = bench.rows(row(name) for name in names)
    config = bench.config(FAST)
    assert audit(bench, rows, config=config, options="--limit 15").code == 3
    assert bench.web.count() == 15
    assert bench.status()["states"]["pending"] == 25
    assert audit(bench, rows, config=config).code == 0
    assert bench.web.count() == 40
    assert select(bench, "SELECT count(*), count(ended_at) FROM audits") == [(1, 1)]
    assert select(bench, "SELECT audit_id FROM runs") == [(1,), (1,)]
    assert audit(bench, rows, config=config).code == 0
    assert bench.web.count() == 80
    assert select(bench, "SELECT count(*), count(ended_at) FROM audits") == [(2, 2)]
    other = audit(bench, rows, config=config, options="--method get --limit 1")
    assert other.code == 3
    assert select(bench, "SELECT count(*), count(ended_at) FROM audits") == [(3, 2)]


def test_stopped_while_lists_are_read_it_has_asked_nothing_and_goes_on(bench: Bench) -> None:
    for name in ("a", "b"):
        bench.web.serve(f"/{name}.jpg", shown(name), host=HOST)
    rows = bench.rows([row("a"), row("b")])
    done = audit(bench, rows, options="--max-runtime 0.000001 --json")
    assert done.code == 3
    assert done.json["audit"] is None
    assert bench.web.count() == 0
    assert audit(bench, rows).code == 0
    assert bench.web.count() == 2


def test_a_signal_ends_it_in_good_order_and_the_same_command_goes_on(bench: Bench) -> None:
    names = [f"{n:03}" for n in range(60)]
    for name in names:
        bench.web.serve(f"/{name}.jpg", shown(name), host=HOST)
    rows = bench.rows(row(name) for name in names)
    config = bench.config(FAST, {"hosts": {"default": {"rate": 20, "burst": 1}}})
    command = ("audit", rows, "--to", bench.directory, "--config", config)
    process = mirrors.start(*command)
    bench.web.arrived(5)
    process.send_signal(signal.SIGINT)
    assert finish(process).code == 3
    so_far = bench.web.count()
    assert 5 <= so_far < 60
    assert laws.breaches(bench.directory, finished=True) == []
    assert audit(bench, rows).code == 0
    assert bench.web.count() == 60


def test_a_report_counts_by_audit_and_not_by_the_runs_that_it_took(bench: Bench) -> None:
    """Also with a mirror in between, and an image that is tried in two of an audit's runs."""
    names = [f"{n:03}" for n in range(12)]
    for n, name in enumerate(names):
        bench.web.serve(f"/{name}.jpg", shown(name) if n % 3 else status(404), host=HOST)
    rows = [replace(row(name), subset="train" if n < 8 else "test") for n, name in enumerate(names)]
    listed, config = bench.rows(rows), bench.config(FAST)
    assert audit(bench, listed, config=config, options="--limit 5").code == 3
    assert bench.mirror(listed, config=config, options="--subset test").code == 1
    assert audit(bench, listed, config=config).code == 1
    assert audit(bench, listed, config=config).code == 1
    told = figures(bench)["link_rot"]
    seen = [[line[key] for key in ("run", "audit", "images", "present", "gone")] for line in told]
    assert seen == [[1, 1, 12, 8, 4], [2, None, 4, 3, 1], [4, 2, 12, 8, 4]]

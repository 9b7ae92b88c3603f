"""kill -9 at any statement: nothing is torn, lost or doubled, and the same command goes on."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from msgspec.structs import replace

from fetcher.model import BadRow, Row, RowTally
from tests.conformance.manifest_suite import row
from tests.manifest.opened import (
    check_laws,
    database,
    import_all,
    last_run_ended_cleanly,
    lease,
    query,
)

CHILD = """
import os, signal, sys
from pathlib import Path
from fetcher.model import State
from tests.conformance.manifest_suite import outcome
from tests.manifest.opened import database, import_all, lease
from tests.manifest.test_kill import rows

path, left = Path(sys.argv[1]), int(sys.argv[2])

def count(statement):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

with database(path) as manifest:
    manifest._connection.set_trace_callback(count)
    import_all(manifest, rows(), batch=50)
    while assets := lease(manifest, limit=30):
        manifest.settle([outcome(a.asset_id, State.VERIFIED, a.attempts + 1) for a in assets])
        print(*(a.asset_id for a in assets), flush=True)
"""
ROWS = 300
CHECKOUT = Path(__file__).resolve().parents[2]


def rows() -> list[Row | BadRow]:
    made: list[Row | BadRow] = []
    for n in range(1, ROWS + 1):
        if n % 10 == 0:
            made.append(BadRow(n + 1, "bad-id", "", ""))
        else:
            # Every seventh repeats the row before it.
            made.append(replace(row(n - (n % 7 == 0 and n % 10 != 1)), line=n + 1))
    return made


def start(path: Path, statements: int) -> subprocess.Popen[str]:
    return subprocess.Popen(  # noqa: S603  this interpreter, and the program above
        [sys.executable, "-c", CHILD, str(path), str(statements)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=CHECKOUT,
    )


def said(process: subprocess.Popen[str]) -> list[int]:
    """Assets that the child had settled, as it said, before it was killed."""
    out, _ = process.communicate()
    assert process.returncode == -signal.SIGKILL
    return [int(asset_id) for line in out.splitlines() for asset_id in line.split()]


def test_a_kill_at_any_statement_costs_nothing_that_was_committed(tmp_path: Path) -> None:
    """Statement counts are spread over importing and settling; each manifest is killed twice."""
    with database(tmp_path / "whole.sqlite") as manifest:
        whole = import_all(manifest, rows())
    points = [7, 31, 58, 71, 95, 131]
    paths = [tmp_path / f"{point}.sqlite" for point in points]
    first = [start(path, point) for path, point in zip(paths, points, strict=True)]
    settled = [said(process) for process in first]
    again = [start(path, 5 + point % 9) for path, point in zip(paths, points, strict=True)]
    for path, before, process in zip(paths, settled, again, strict=True):
        after = said(process)
        assert not set(before) & set(after)  # law 5
        resume(path, whole, {*before, *after})


def resume(path: Path, whole: RowTally, settled: set[int]) -> None:
    with database(path) as manifest:
        assert manifest._connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        check_laws(manifest._connection, manifest.tally())
        assert not last_run_ended_cleanly(manifest)
        import_all(manifest, rows(), batch=50)
        assert manifest.tally().rows == whole
        check_laws(manifest._connection, manifest.tally())
        pending = {asset.asset_id for asset in lease(manifest)}
    # A kill between a commit and our being told of it is the only difference there may be.
    done = {one["asset_id"] for one in query(path, "SELECT asset_id FROM assets WHERE state = 1")}
    assert settled <= done
    assert pending | done == set(range(1, whole.accepted + 1))
    assert not pending & done

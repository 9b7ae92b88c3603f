"""Putting settled assets back: what is wanted and nothing else, with law 1 at every step."""

from __future__ import annotations

import tempfile
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fetcher.errors import ManifestUnusableError
from fetcher.manifest import ManifestReader, reopening
from fetcher.manifest.maintaining import ManifestMaintainer
from fetcher.model import KEPT, State
from fetcher.policy.codes import CODES
from fetcher.policy.reopening import Reopening, kept_among
from fetcher.policy.reopening import reopening as asked
from tests.conformance.manifest_suite import MD5, outcome, row
from tests.manifest.opened import NOON, check_laws, database, images, import_all, lease, query

HOSTS = ("a.one.test", "b.one.test", "c.two.test")
STATES = st.sampled_from([state for state in State if state.terminal])
CODE = st.sampled_from([None, "http-404", "rate-limited", "md5-mismatch"])
SETTLED = st.tuples(STATES, CODE, st.sampled_from(HOSTS), st.integers(0, 100))
WANTED = st.builds(
    Reopening,
    states=st.frozensets(STATES, min_size=1),
    codes=st.none() | st.frozensets(CODE.filter(bool), min_size=1),
    hosts=st.none() | st.sampled_from([("*.one.test",), ("c.two.test",), ("*",), ("nowhere",)]),
    settled_by=st.none() | st.integers(0, 100).map(lambda seconds: NOON + seconds),
)


def settled(path: Path, assets: list[tuple[State, str | None, str, int]]) -> None:
    with database(path) as manifest:
        rows = [row(n, host=host) for n, (_, _, host, _) in enumerate(assets, 1)]
        import_all(manifest, rows)
        lease(manifest)
        manifest.settle(
            [
                outcome(
                    n,
                    state,
                    code=code,
                    started_at=NOON + at,
                    elapsed=0.0,
                    http_status=200,
                    actual_size=1000 + n,
                    actual_md5=MD5,
                    path=f"images/train/000/{n:016x}.jpg" if state in KEPT else None,
                )
                for n, (state, code, _, at) in enumerate(assets, 1)
            ]
        )


@settings(max_examples=30)
@given(st.lists(SETTLED, min_size=1, max_size=12), WANTED, st.sampled_from([1, 3, 50_000]))
def test_what_is_wanted_is_pending_and_the_rest_as_it_was(
    assets: list[tuple[State, str | None, str, int]], wanted: Reopening, size: int
) -> None:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(reopening, "SLICE", size)
        path = Path(folder, "manifest.sqlite")
        settled(path, assets)
        before = images(path)
        chosen = [
            state in wanted.states
            and (wanted.codes is None or code in wanted.codes)
            and wanted.wants_host(host)
            and (wanted.settled_by is None or NOON + at <= wanted.settled_by)
            for state, code, host, at in assets
        ]
        expected = Counter(
            (state, code) for (state, code, _, _), yes in zip(assets, chosen, strict=True) if yes
        )
        with ManifestReader(path) as reader:
            told = Counter({(state, code): n for state, code, n in reader.reopenable(wanted)})
        assert told == expected
        found: Counter[tuple[State, str | None]] = Counter()
        with ManifestMaintainer(path, command="test", wall=lambda: NOON + 500) as manifest:
            for part in manifest.reopen(wanted):
                for state, code, n in part:
                    found[state, code] += n
        assert found == expected
        with database(path) as opened:
            check_laws(opened._connection, opened.tally())
            again = {asset.asset_id for asset in lease(opened)}
            assert again == {n for n, yes in enumerate(chosen, 1) if yes}
        for was, is_now, yes in zip(before, images(path), chosen, strict=True):
            assert is_now == (_reopened(was) if yes else was)


def _reopened(was: dict[str, object]) -> dict[str, object]:
    forgotten = dict.fromkeys(
        ("code", "http_status", "final_url", "actual_size", "actual_md5", "path")
    )
    return (
        was | forgotten | {"state": "pending", "attempts": 0, "updated_at": "2023-11-14T22:21:40Z"}
    )


def test_history_stays_and_counts_on(tmp_path: Path) -> None:
    path = tmp_path / "manifest.sqlite"
    settled(path, [(State.FAILED, "rate-limited", HOSTS[0], 0)])
    with ManifestMaintainer(path, command="test") as manifest:
        list(manifest.reopen(asked([])))
    with database(path) as opened:
        assert [asset.attempts for asset in lease(opened)] == [0]
        opened.settle([outcome(1, State.GONE, code="http-404")])
    history = query(path, "SELECT n, attempt FROM attempts")
    assert history == [{"n": 1, "attempt": 1}, {"n": 2, "attempt": 1}]


def test_only_a_manifest_is_opened_and_none_is_made(tmp_path: Path) -> None:
    with (
        pytest.raises(ManifestUnusableError, match="There is no manifest"),
        ManifestMaintainer(tmp_path / "manifest.sqlite", command="test"),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("states", "codes", "means"),
    [
        ([], [], {State.FAILED}),
        ([State.GONE], [], {State.GONE}),
        ([State.GONE], ["http-404"], {State.GONE}),
        ([], ["http-404"], set(State) - KEPT - {State.PENDING}),
    ],
)
def test_what_is_meant_when_not_all_is_said(
    states: list[State], codes: list[str], means: set[State]
) -> None:
    assert asked(states, codes).states == means


def test_kept_states_are_told() -> None:
    assert kept_among([State.GONE, State.UNVERIFIED, State.VERIFIED]) == [
        State.VERIFIED,
        State.UNVERIFIED,
    ]
    assert kept_among([State.ALIVE, State.MISMATCHED]) == []
    assert "rate-limited" in CODES

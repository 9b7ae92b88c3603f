"""``kill -9``: a small part of what ``scripts/prove kills`` shows."""

from __future__ import annotations

from pathlib import Path

from scripts.proofs import kill


def test_a_mirror_that_is_killed_again_and_again(tmp_path: Path) -> None:
    report = kill.prove(tmp_path, images=800, kills=8, seed=1, webs=2)
    assert report.breaches == ()
    assert report.requests <= report.allowed

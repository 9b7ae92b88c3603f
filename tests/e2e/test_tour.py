"""``fetcher demo``, as a newcomer runs it."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from fetcher.cli.demo import demo
from fetcher.demo.tour import IMAGES
from fetcher.errors import MissingExtraError
from scripts.proofs import laws, mirrors
from tests.e2e.conftest import fetcher, finish


def test_the_tour(tmp_path: Path) -> None:
    directory = tmp_path / "tour"
    done = finish(mirrors.start("demo", "--to", directory))
    assert done.code == 0, done
    assert re.findall(r"exit code (\d)", done.out) == ["3", "1", "0"]
    assert laws.breaches(directory / "mirror", finished=True) == []
    now = laws.snapshot(directory / "mirror")
    assert len(now.images) == len(now.settled) == IMAGES
    assert set(now.tallied) == {"verified", "mismatched", "gone", "denied"}
    assert fetcher("demo", "--to", directory).code == 2


def test_without_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Told before anything is begun, and not by a process that nobody listens to."""
    monkeypatch.setitem(sys.modules, "trustme", None)
    with pytest.raises(MissingExtraError) as caught:
        demo.main([], standalone_mode=False)
    assert "fetcher[demo]" in str(caught.value.hint)

"""``hashlib`` keeps the contract, also where the extension is there."""

from __future__ import annotations

import sys
from importlib import reload

import pytest
from click.testing import CliRunner

import fetcher.digests
from fetcher.cli.commands import cli
from fetcher.digests import Digests, one_by_one
from tests.conformance.digests_suite import DigestsSuite, right


class TestOneByOne(DigestsSuite):
    @pytest.fixture
    def digests(self) -> Digests:
        return one_by_one


def test_it_is_what_there_is_without_the_extension(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.delattr(fetcher.digests, "_lanes", raising=False)
        patch.setitem(sys.modules, "fetcher.digests._lanes", None)  # so it cannot be imported
        reload(fetcher.digests)
        assert fetcher.digests.LANES == 1
        assert fetcher.digests.digest_together is one_by_one.digest_together
        told = CliRunner().invoke(cli, ["--version"])
        assert "\nMD5 by hashlib, one after the other\n" in told.output
    reload(fetcher.digests)
    assert fetcher.digests.digest_together([b"abc"]) == [right(b"abc")]

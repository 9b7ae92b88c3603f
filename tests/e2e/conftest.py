"""A mirror and the web that it is of: lists in, ``fetcher`` run, manifest and requests looked at.

Nothing here sends to anything but the loopback: hosts are made-up names that ``network.connect_to``
leads to the little web, or addresses that must be refused before a packet is sent.
"""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from fetcher.cli.commands import main
from fetcher.demo.tls import Authority
from scripts.proofs import laws, mirrors
from scripts.proofs.laws import Image
from scripts.proofs.mirrors import Row
from tests.e2e.littleweb import PATIENCE, LittleWeb


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def fetcher(*arguments: str | Path) -> Done:
    """Run a command in this process."""
    data, err = io.BytesIO(), io.StringIO()
    out = io.TextIOWrapper(data, "utf-8", write_through=True)  # some write bytes
    with (
        patch.object(sys, "argv", ["fetcher", *map(str, arguments)]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as ended,
    ):
        main()
    return Done(int(ended.value.code or 0), data.getvalue().decode(), err.getvalue())


def finish(process: subprocess.Popen[str]) -> Done:
    """Wait for a command that was started."""
    with process:
        out, err = process.communicate(timeout=PATIENCE)
    return Done(process.returncode, out, err)


class Bench:
    """A place to mirror to, a configuration, and the little web."""

    def __init__(self, place: Path, web: LittleWeb, ca_file: Path) -> None:
        self.place = place
        self.web = web
        self.directory = place / "mirror"
        self._network = {
            "connect_to": web.connect_to("*.staticflickr.com", "s.yimg.com", "*.test"),
            "ca_file": str(ca_file),
        }

    def rows(self, rows: Iterable[Row], name: str = "images.csv") -> Path:
        return mirrors.write_list(self.place / name, rows)

    def config(self, *layers: Mapping[str, Any], name: str = "config.yaml") -> Path:
        return mirrors.write_config(self.place / name, {"network": self._network}, *layers)

    def command(self, *lists: Path, config: Path | None = None) -> tuple[str | Path, ...]:
        """Without options of its own; add them behind."""
        chosen = config if config is not None else self.config()
        return ("mirror", *lists, "--to", self.directory, "--config", chosen)

    def mirror(self, *lists: Path, config: Path | None = None, options: str = "") -> Done:
        """In this process; every way to end leaves the laws intact."""
        done = fetcher(*self.command(*lists, config=config), *options.split())
        assert laws.breaches(self.directory, finished=True) == [], done
        return done

    def start(
        self, *lists: Path, config: Path | None = None, options: str = ""
    ) -> subprocess.Popen[str]:
        return mirrors.start(*self.command(*lists, config=config), *options.split())

    def images(self) -> dict[str, Image]:
        return laws.snapshot(self.directory).images

    def status(self) -> Any:
        done = fetcher("status", self.directory, "--json")
        assert done.code == 0, done
        return done.json


@pytest.fixture
def bench(tmp_path: Path, authority: Authority, ca_file: Path) -> Iterator[Bench]:
    with LittleWeb(tls=authority) as web:
        yield Bench(tmp_path, web, ca_file)


def refused(done: Done, *words: str) -> None:
    assert done.code == 2, done
    assert done.out == ""
    assert "Traceback" not in done.err
    for word in words:
        assert word in done.err, done.err

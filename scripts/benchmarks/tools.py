"""Which programs are here, and of which version.

``BENCH_NAME`` (``BENCH_ARIA2C``, ``BENCH_IMG2DATASET`` …) names a program that is not on PATH, or
another one than is; ``BENCH_FETCHER`` measures another checkout's fetcher.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_LIMIT: Final = 60  # seconds; the first start of a large Python package takes a while


@dataclass(frozen=True, slots=True)
class Tool:
    name: str
    version_command: Callable[[Path], Sequence[str]]
    default: Path | None = None
    """Where to look before PATH."""

    def find(self, environment: Mapping[str, str]) -> Path | None:
        given = environment.get(f"BENCH_{self.name.upper()}")
        for name in (given,) if given else (self.default, self.name):
            if name is not None and (path := shutil.which(name)) is not None:
                return Path(path)
        return None

    def version(self, path: Path) -> str:
        """The number that it gives itself, or a word that says there is none."""
        try:
            answer = subprocess.run(  # noqa: S603  a program that the user installed
                self.version_command(path),
                capture_output=True,
                text=True,
                timeout=_LIMIT,
                check=False,
                stdin=subprocess.DEVNULL,
            )
        except (OSError, subprocess.TimeoutExpired):
            return "unknown version"
        number = re.search(r"\d+(\.\d+)+\S*", answer.stdout + answer.stderr)
        return number[0] if number else "unknown version"


def _asked(option: str) -> Callable[[Path], Sequence[str]]:
    return lambda path: (str(path), option)


def _distribution(name: str) -> Callable[[Path], Sequence[str]]:
    """For a Python program that cannot say its version: ask the interpreter that lies beside it."""
    code = f"from importlib.metadata import version; print(version({name!r}))"
    return lambda path: (str(path.with_name("python")), "-c", code)


_PYTHON: Final = Path(sys.executable)

_PEERS: Final = Path(__file__).parents[2] / ".venv-peers"
_IMG2DATASET: Final = _PEERS / "bin" / "img2dataset"
_IMG2DATASET_VERSION: Final = "1.47.0"

FETCHER: Final = Tool("fetcher", _asked("--version"), _PYTHON.with_name("fetcher"))
NGINX: Final = Tool(
    "nginx",
    _asked("-v"),
    # Where it is for those whose PATH has no system programs.
    Path("/usr/sbin/nginx"),
)
ARIA2C: Final = Tool("aria2c", _asked("--version"))
CURL: Final = Tool("curl", _asked("--version"))
WGET2: Final = Tool("wget2", _asked("--version"))
IMG2DATASET: Final = Tool("img2dataset", _distribution("img2dataset"), _IMG2DATASET)
OBVIOUS: Final = Tool("aiohttp", _distribution("aiohttp"), _PYTHON)
SQLITE3: Final = Tool("sqlite3", _asked("--version"))

ALL: Final = (FETCHER, NGINX, ARIA2C, CURL, WGET2, IMG2DATASET, OBVIOUS, SQLITE3)


def set_up(say: Callable[[str], None]) -> None:
    """Install what pip can, apart from our own environment; the others come with the system."""
    if not _IMG2DATASET.exists():
        say(f"installing img2dataset {_IMG2DATASET_VERSION} in {_PEERS.name}: some minutes")
        venv.create(_PEERS, clear=True, with_pip=True)
        install = ("-m", "pip", "install", "-qq", "--disable-pip-version-check")
        command = (_PEERS / "bin" / "python", *install, f"img2dataset=={_IMG2DATASET_VERSION}")
        subprocess.run(command, check=True)  # noqa: S603  our own command line
    missing = [tool.name for tool in (NGINX, ARIA2C, CURL, WGET2, SQLITE3) if not tool.find({})]
    if missing:
        say(f"not here, and to be installed by the system's means: {', '.join(missing)}")

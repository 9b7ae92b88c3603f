"""Extensions built with sanitizers: the compiler's watchers of addresses, and of what C leaves
undefined. A child process loads such a build, and ends with the first thing that they see.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import shlex
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Final

ROOT: Final = Path(__file__).parents[2]
_BUILD: Final = (
    "-shared -fPIC -g -O2 -fno-omit-frame-pointer -Wall -Wextra -Wconversion -Werror "
    "-fsanitize=address,undefined -fno-sanitize-recover=all"
)


class NoCompilerError(Exception):
    """There is none, or it cannot build this."""


@dataclass(frozen=True, slots=True)
class Report:
    output: str
    """What the child says: what it did, or what broke."""
    holds: bool


def build(source: Path, module: Path) -> None:
    """Raises ``NoCompilerError``."""
    include = f"-I{sysconfig.get_paths()['include']}"
    _output([*_compiler(), *_BUILD.split(), include, str(source), "-o", str(module)])


def watched(module: str, *arguments: str) -> Report:
    """Run one of ours in a child that can load what was built. Raises ``NoCompilerError``."""
    watcher = _output([*_compiler(), "-print-file-name=libasan.so"]).strip()
    child = subprocess.run(  # noqa: S603  this very program
        [sys.executable, "-P", "-m", module, *arguments],
        env=os.environ
        | {
            "LD_PRELOAD": watcher,
            "PYTHONMALLOC": "malloc",  # not blocks of the interpreter's own, side by side
            "ASAN_OPTIONS": "detect_leaks=0",  # the interpreter's
            "UBSAN_OPTIONS": "print_stacktrace=1",
        },
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return Report(child.stdout + child.stderr, child.returncode == 0)


def loaded(name: str, path: str) -> ModuleType:
    """In the child: the extension ``name`` that was built to ``path``."""
    loader = importlib.machinery.ExtensionFileLoader(name, path)
    spec = importlib.util.spec_from_loader(name, loader)
    assert spec is not None  # noqa: S101  there is a loader
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def _compiler() -> list[str]:
    return shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")[:1]


def _output(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  a compiler
    except OSError as error:
        raise NoCompilerError(f"{command[0]}: {error.strerror}") from error
    if done.returncode:
        raise NoCompilerError(done.stderr)
    return done.stdout

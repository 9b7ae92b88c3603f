"""The extensions that cut lines and lay out pages, built with sanitizers, keep their contracts.

A child process puts those builds in the place of the ones that are installed, and runs the tests of
what uses them, with many more examples than ``scripts/test`` has the time for.
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import Final

import pytest

from scripts.proofs.sanitizing import ROOT, Report, build, loaded, watched

_EXTENSIONS: Final = {
    "fetcher.lines._lines": "fetcher/lines/c/lines.c",
    "fetcher.manifest._pages": "fetcher/manifest/c/pages.c",
}
_TESTS: Final = (
    "tests/lines",
    "tests/manifest/test_pages.py",
    "tests/manifest/test_staging.py",
    "tests/source/test_ordinary.py",
)


def prove(place: Path, *, examples: int, seed: int) -> Report:
    """Raises ``NoCompilerError``."""
    modules = []
    for name, source in _EXTENSIONS.items():
        module = place / f"{name.rpartition('.')[2]}.so"
        build(ROOT / source, module)
        modules.append(str(module))
    return watched(__name__, str(examples), str(seed), *modules)


# In the child.


def main(examples: int, seed: int, paths: list[str]) -> None:
    for name, path in zip(_EXTENSIONS, paths, strict=True):
        package, _, own = name.rpartition(".")
        sys.modules[name] = loaded(own, path)  # before its package asks for it
        setattr(importlib.import_module(package), own, sys.modules[name])
    os.environ["TEST_EXAMPLES"] = str(examples)
    sys.exit(pytest.main(["-p", "no:cacheprovider", f"--hypothesis-seed={seed}", *_TESTS]))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])

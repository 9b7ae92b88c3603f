"""What a package names is there when it is asked for, and nothing else is."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import pytest

import fetcher.engine
import fetcher.manifest

PACKAGES = [fetcher.engine, fetcher.manifest]


@pytest.mark.parametrize("package", PACKAGES)
def test_every_name_is_found_in_its_package(package: ModuleType) -> None:
    homes = {name: getattr(package, name).__module__ for name in package.__all__}
    assert homes
    assert all(home.startswith(f"{package.__name__}.") for home in homes.values())


@pytest.mark.parametrize("package", PACKAGES)
def test_another_name_is_told_as_of_any_module(package: ModuleType) -> None:
    with pytest.raises(AttributeError, match=f"module '{package.__name__}' has no attribute 'x'"):
        _ = package.x


@pytest.mark.parametrize("package", PACKAGES)
def test_nothing_is_loaded_before_it_is_asked_for(package: ModuleType) -> None:
    """In a process of its own: this one has loaded everything."""
    name = package.__name__
    loaded = f"import sys, {name}; print([m for m in sys.modules if m.startswith('{name}.')])"
    told = subprocess.run([sys.executable, "-c", loaded], check=True, capture_output=True)  # noqa: S603
    assert told.stdout.strip() == b"[]"

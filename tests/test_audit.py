"""The audit of dependencies finds what it looks for."""

from __future__ import annotations

import re
import tomllib
from email.message import Message
from itertools import chain

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from scripts.audit import HERE, LOCK, Pin, ask_database, licences, may_be_used, pins, weaknesses

HASH = f"--hash=sha256:{'0' * 64}"
KNOWN = tomllib.loads((HERE / "advisories.toml").read_text())


def test_the_lock_is_pinned_and_hashed() -> None:
    found, wrong = pins(LOCK.read_text())
    assert wrong == []
    assert len(found) == len(re.findall(r"^[\w.-]+==", LOCK.read_text(), re.MULTILINE))
    assert list(weaknesses(found, KNOWN)) == []


@pytest.mark.parametrize(
    ("line", "count"),
    [
        (f"a==1.0 \\\n    {HASH}", 0),
        (f"a==1.0 ; python_full_version < '3.12' \\\n    {HASH} \\\n    {HASH}\n    # via b", 0),
        ("# a comment", 0),
        ("a==1.0", 1),
        ("a==1.0 \\\n    --hash=md5:00", 1),
        (f"a>=1.0 {HASH}", 1),
        (f"a {HASH}", 1),
        (f"a @ https://h.example/a.whl {HASH}", 1),
        ("-e .", 1),
        ("--index-url https://h.example/", 1),
        ("git+https://h.example/a", 1),
    ],
)
def test_what_is_wrong_with_a_lock(line: str, count: int) -> None:
    assert len(pins(line + "\n")[1]) == count


@pytest.mark.parametrize("weakness", KNOWN["weakness"], ids=lambda each: each["id"])
def test_a_weakness_is_found_below_the_version_that_mends_it(weakness: dict[str, str]) -> None:
    mended = Version(weakness["fixed_in"])
    known = {"weakness": [weakness]}
    assert not list(weaknesses([Pin(weakness["package"], mended)], known))
    older = Version(f"{mended}.dev0")
    (found,) = weaknesses([Pin(weakness["package"], older)], known)
    assert weakness["id"] in found
    assert weakness["source"].startswith("https://")


def test_what_is_noted_is_of_what_is_pinned() -> None:
    pinned = {pin.name for pin in pins(LOCK.read_text())[0]}
    noted = [(each["package"], each["id"]) for each in KNOWN["weakness"]]
    assert {package for package, _ in noted} <= pinned
    assert len(set(noted)) == len(noted)


def test_no_version_that_may_be_installed_has_a_noted_weakness() -> None:
    """The lock is for development; who installs the program gets what these bounds allow."""
    project = tomllib.loads((HERE.parent / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    least = {
        requirement.name.lower(): Version(specifier.version)
        for requirement in map(Requirement, wanted)
        for specifier in requirement.specifier
        if specifier.operator == ">="
    }
    assert list(weaknesses([Pin(*each) for each in least.items()], KNOWN)) == []


@pytest.mark.parametrize(
    ("licence", "usable"),
    [
        ("MIT", True),
        ("Apache-2.0 AND MIT", True),
        ("Apache-2.0 OR BSD-3-Clause", True),
        ("GPL-3.0-only OR MIT", True),
        ("BSD-3-Clause AND 0BSD AND MIT AND Zlib AND CC0-1.0", True),
        ("MIT-CMU", True),
        ("GPL-3.0-only", False),
        ("CC-BY-NC-4.0", False),
        ("MIT AND GPL-3.0-only", False),
        ("Other/Proprietary License", False),
        ("none", False),
    ],
)
def test_licences(licence: str, usable: bool) -> None:  # noqa: FBT001
    assert may_be_used(licence) is usable


def test_where_a_licence_stands() -> None:
    metadata = Message()
    assert licences(metadata) == ["none"]
    metadata["License"] = "MIT"
    assert licences(metadata) == ["MIT"]
    metadata["Classifier"] = "License :: OSI Approved :: MIT License"
    assert licences(metadata) == ["MIT License"]
    metadata["License-Expression"] = "ISC"
    assert licences(metadata) == ["ISC"]


def test_an_audit_that_did_not_take_place_says_so() -> None:
    assert ask_database(None) == ([], "skipped: pip-audit is not installed")
    assert ask_database("/bin/false") == ([], "skipped: no reason given")
    assert ask_database("/bin/true") == ([], "asked: nothing found")

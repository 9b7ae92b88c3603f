"""The audit of dependencies finds what it looks for."""

from __future__ import annotations

import json
import re
import tomllib
from datetime import date, timedelta
from email.message import Message
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from scripts.audit import (
    HERE,
    KNOWN_TO_BE_WEAK,
    LOCK,
    OLD,
    Pin,
    ask_database,
    audit,
    licences,
    may_be_used,
    pins,
    weaknesses,
)
from scripts.audit import KNOWN as NOTED

HASH = f"--hash=sha256:{'0' * 64}"
KNOWN = tomllib.loads(NOTED.read_text())


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


# The database, as a program that answers like pip-audit.


WEAK = {"name": "pyyaml", "version": "5.3.1", "vulns": [{"id": "PYSEC-2021-142"}]}
FINE = {"name": "aiohttp", "version": "3.14.5", "vulns": []}
UNKNOWN = {"name": "rich", "skip_reason": "Dependency not found on PyPI"}


def program(folder: Path, weak: list[Any], lock: list[Any], code: int = 0) -> str:
    """What it says of the version known to be weak, and of the lock."""
    for name, said in (("weak", weak), ("lock", lock)):
        (folder / name).write_text(json.dumps({"dependencies": said, "fixes": []}))
    path = folder / "pip-audit"
    path.write_text(
        "#!/bin/sh\n"
        f'for last; do :; done\ncase "$last" in */weak.lock) cat {folder}/weak;; '
        f"*) cat {folder}/lock;; esac\nexit {code}\n"
    )
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("weak", "lock", "found", "asked"),
    [
        ([WEAK], [FINE], [], "asked: nothing found"),
        (
            [WEAK],
            [FINE, WEAK],
            ["pyyaml 5.3.1 has PYSEC-2021-142, says pip-audit"],
            "asked: something found",
        ),
        ([WEAK], [FINE, UNKNOWN], [], "asked: nothing found, but of 1 it knows nothing: rich"),
        ([UNKNOWN], [UNKNOWN], [], f"skipped: it does not even know {KNOWN_TO_BE_WEAK}"),
        ([{**WEAK, "vulns": []}], [FINE], [], f"skipped: it does not even know {KNOWN_TO_BE_WEAK}"),
    ],
)
def test_what_the_database_says(
    tmp_path: Path, weak: list[Any], lock: list[Any], found: list[str], asked: str
) -> None:
    assert ask_database(program(tmp_path, weak, lock, code=bool(found))) == (found, asked)


def test_an_audit_that_did_not_take_place_says_so() -> None:
    assert ask_database(None) == ([], "skipped: pip-audit is not installed")
    assert ask_database("/bin/false") == ([], "skipped: no reason given")
    assert ask_database("/bin/true") == ([], "skipped: no reason given")


# All of it.

TODAY = date(2026, 12, 1)


def lock_with(folder: Path, line: str) -> Path:
    lock = folder / "requirements.lock"
    lock.write_text(f"{line} {HASH}\n")
    return lock


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("pyyaml==5.3.1", 1),
        ("pyyaml==6.0.2", 0),
        ("aiohttp==3.14.4", 1),
        ("protego==0.6.1", 1),
        ("brotli==1.1.0", 1),
        ("brotli==1.2.0", 0),
    ],
)
def test_a_version_that_is_known_to_be_weak_fails_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str, code: int
) -> None:
    assert audit(lock_with(tmp_path, line), NOTED, None, TODAY) == code
    said = capsys.readouterr()
    assert (line.replace("==", " ") in said.err) is bool(code)
    assert code or str(KNOWN["looked_at"]) in said.out


def test_what_the_database_finds_fails_it(tmp_path: Path) -> None:
    lock = lock_with(tmp_path, "pyyaml==6.0.2")
    assert audit(lock, NOTED, program(tmp_path, [WEAK], [WEAK]), TODAY) == 1


@pytest.mark.parametrize(("days", "told"), [(OLD, False), (OLD + 1, True)])
def test_it_says_when_what_is_noted_is_old(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    days: int,
    told: bool,  # noqa: FBT001
) -> None:
    today = KNOWN["looked_at"] + timedelta(days)
    assert audit(lock_with(tmp_path, "pyyaml==6.0.2"), NOTED, None, today) == 0
    assert ("look again" in capsys.readouterr().out) is told

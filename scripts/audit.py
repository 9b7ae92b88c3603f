"""Whether what is depended on is what was chosen, may be used, and has no weakness known here.

Needs no network. Where ``pip-audit`` is installed and reaches its data, it is asked too; where not,
that is said, as an audit that did not take place must not look like one that found nothing. And it
does look like that: behind an index that hands out packages, but not what is known of them,
pip-audit skips what it cannot find, and ends well. So it is first asked of a version that everybody
knows to be weak; and what it skips is counted.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from email.message import Message
from importlib.metadata import distributions
from pathlib import Path
from typing import Any, Final, cast

from packaging.version import Version

HERE: Final = Path(__file__).parent
LOCK: Final = HERE.parent / "requirements.lock"
KNOWN: Final = HERE / "advisories.toml"
PATIENCE: Final = 120
"""Seconds for pip-audit."""
KNOWN_TO_BE_WEAK: Final = "pyyaml==5.3.1"
"""CVE-2020-14343."""
OLD: Final = 90
"""Days after which what is noted should be looked at again."""

ALLOWED: Final = re.compile(
    r"(MIT(-0|-CMU| License)?|BSD.*|0BSD|Apache.*|PSF.*|Python Software Foundation License|ISC.*"
    r"|Zlib|CC0-1\.0|MPL-2\.0|Mozilla Public License 2\.0.*)"
)
"""Licences under which a part may stand beside code under MIT. (MPL-2.0 asks only that its own
files stay open.)"""

_PIN: Final = re.compile(r"([A-Za-z0-9._-]+)==([^\s;]+)(?: ; .+)?")
_HASH: Final = re.compile(r"--hash=sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Pin:
    name: str
    version: Version


def pins(lock: str) -> tuple[list[Pin], list[str]]:
    """What ``lock`` pins, and what is wrong with it."""
    found: list[Pin] = []
    wrong: list[str] = []
    for line in lock.replace("\\\n", " ").splitlines():
        entry = line.partition("    #")[0].strip()
        if not entry or entry.startswith("#"):
            continue
        requirement, *hashes = re.split(r"\s+(?=--)", entry)
        pin = _PIN.fullmatch(requirement.strip())
        if pin is None:
            wrong.append(f"not pinned to a version: {requirement}")
            continue
        found.append(Pin(pin[1].lower(), Version(pin[2])))
        if not hashes or not all(_HASH.fullmatch(each.strip()) for each in hashes):
            wrong.append(f"without a SHA-256 of each file: {requirement}")
    return found, wrong


def weaknesses(pinned: Sequence[Pin], known: Mapping[str, Any]) -> Iterator[str]:
    for each in known["weakness"]:
        for pin in pinned:
            if pin.name == each["package"] and pin.version < Version(each["fixed_in"]):
                yield (
                    f"{pin.name} {pin.version} has {each['id']} ({each['what']}); "
                    f"mended in {each['fixed_in']}: {each['source']}"
                )


def licences(metadata: Message) -> list[str]:
    """Those that a distribution names: one of them is enough."""
    if expression := metadata.get("License-Expression"):
        return [expression]
    classifiers = metadata.get_all("Classifier", [])
    named = [each.rpartition(" :: ")[2] for each in classifiers if each.startswith("License ::")]
    return named or [metadata.get("License") or "none"]


def may_be_used(licence: str) -> bool:
    """A licence, or an SPDX expression of some."""
    return any(
        all(ALLOWED.fullmatch(part.strip(" ()")) for part in choice.split(" AND "))
        for choice in licence.split(" OR ")
    )


def unusable() -> Iterator[str]:
    for each in distributions():
        metadata = cast("Message", each.metadata)
        if not any(may_be_used(licence) for licence in licences(metadata)):
            yield f"{metadata['Name']} is under {' / '.join(licences(metadata))}"


class _NotAskedError(Exception):
    """Why the database could not be asked."""


def ask_database(program: str | None, lock: Path = LOCK) -> tuple[list[str], str]:
    """What ``program``, which is pip-audit, finds, and a word on whether it was asked."""
    if program is None:
        return [], "skipped: pip-audit is not installed"
    try:
        with tempfile.TemporaryDirectory() as place:
            weak = Path(place) / "weak.lock"
            weak.write_text(f"{KNOWN_TO_BE_WEAK} --hash=sha256:{'0' * 64}\n", encoding="utf-8")
            found, _ = _ask(program, weak)
        if not found:
            return [], f"skipped: it does not even know {KNOWN_TO_BE_WEAK}"
        found, skipped = _ask(program, lock)
    except _NotAskedError as error:
        return [], f"skipped: {error}"
    but = f", but of {len(skipped)} it knows nothing: {', '.join(skipped)}" if skipped else ""
    return found, f"asked: {'something' if found else 'nothing'} found{but}"


def _ask(program: str, lock: Path) -> tuple[list[str], list[str]]:
    """Weaknesses of what ``lock`` pins, and what was skipped. Raises ``_NotAskedError``."""
    command = [program, "--disable-pip", "--require-hashes", "--progress-spinner=off"]
    command += ["--format=json", "--desc=off", "-r", str(lock)]
    try:
        done = subprocess.run(  # noqa: S603  the program that was found
            command, capture_output=True, text=True, check=False, timeout=PATIENCE
        )
    except subprocess.TimeoutExpired as error:
        raise _NotAskedError(f"no answer in {PATIENCE} seconds") from error
    try:
        answers = json.loads(done.stdout)["dependencies"]
        return (
            [
                f"{each['name']} {each['version']} has {weakness['id']}, says pip-audit"
                for each in answers
                for weakness in each.get("vulns", ())
            ],
            [each["name"] for each in answers if "skip_reason" in each],
        )
    except (ValueError, LookupError, TypeError) as error:
        lines = done.stderr.strip().splitlines() or ["no reason given"]
        raise _NotAskedError(lines[-1]) from error


def audit(lock: Path, known: Path, program: str | None, today: date) -> int:
    """Print what is found; the exit code."""
    noted = tomllib.loads(known.read_text(encoding="utf-8"))
    pinned, wrong = pins(lock.read_text(encoding="utf-8"))
    wrong += weaknesses(pinned, noted)
    wrong += unusable()
    found, asked = ask_database(program, lock)
    wrong += found
    for line in wrong:
        print(f"audit: {line}", file=sys.stderr)
    if wrong:
        return 1
    age = (today - noted["looked_at"]).days
    old = f" ({age} days ago: look again, as {known.name} says)" if age > OLD else ""
    print(
        f"audit: {len(pinned)} pins with hashes, licences fine, none of {len(noted['weakness'])} "
        f"weaknesses noted by {noted['looked_at']}{old}; database of weaknesses {asked}"
    )
    return 0


def main() -> int:
    return audit(LOCK, KNOWN, shutil.which("pip-audit"), datetime.now(UTC).date())


if __name__ == "__main__":
    sys.exit(main())

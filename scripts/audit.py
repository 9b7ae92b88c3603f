"""Whether what is depended on is what was chosen, may be used, and has no weakness known here.

Needs no network. Where ``pip-audit`` is installed and reaches its data, it is asked too; where not,
that is said, as an audit that did not take place must not look like one that found nothing.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.message import Message
from importlib.metadata import distributions
from pathlib import Path
from typing import Any, Final, cast

from packaging.version import Version

HERE: Final = Path(__file__).parent
LOCK: Final = HERE.parent / "requirements.lock"
PATIENCE: Final = 120
"""Seconds for pip-audit."""

ALLOWED: Final = re.compile(
    r"(MIT(-0|-CMU| License)?|0BSD|BSD.*|Apache.*|PSF.*|Python Software Foundation License|ISC.*"
    r"|MPL-2\.0|Mozilla Public License 2\.0.*|Zlib|CC0-1\.0)"
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


def ask_database(program: str | None) -> tuple[list[str], str]:
    """What ``program``, which is pip-audit, finds, and a word on whether it was asked."""
    if program is None:
        return [], "skipped: pip-audit is not installed"
    command = [
        program,
        "--disable-pip",
        "--require-hashes",
        "--progress-spinner=off",
        "-r",
        str(LOCK),
    ]
    try:
        done = subprocess.run(  # noqa: S603  the program that was found
            command, capture_output=True, text=True, check=False, timeout=PATIENCE
        )
    except subprocess.TimeoutExpired:
        return [], f"skipped: no answer in {PATIENCE} seconds"
    if done.returncode == 0:
        return [], "asked: nothing found"
    if "vulnerabilit" in done.stdout + done.stderr and done.stdout.strip():
        return done.stdout.splitlines(), "asked: something found"
    return [], f"skipped: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}"


def main() -> int:
    known = tomllib.loads((HERE / "advisories.toml").read_text(encoding="utf-8"))
    pinned, wrong = pins(LOCK.read_text(encoding="utf-8"))
    wrong += weaknesses(pinned, known)
    wrong += unusable()
    found, asked = ask_database(shutil.which("pip-audit"))
    wrong += found
    for line in wrong:
        print(f"audit: {line}", file=sys.stderr)
    if wrong:
        return 1
    print(
        f"audit: {len(pinned)} pins with hashes, licences fine, none of {len(known['weakness'])} "
        f"weaknesses noted by {known['looked_at']}; database of weaknesses {asked}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

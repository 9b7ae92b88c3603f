"""A DIR of many small images, with all harm of ``damage`` done to it: a check names every one, and
a repair with a mirror behind it heals every one that the web still has.

What permissions do is planted too; for root's own runs they are made to hold.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fetcher.demo.process import WebProcess
from scripts.proofs import damage, laws, mirrors, stored
from scripts.proofs.damage import Found, Site
from scripts.proofs.stored import Stored

HARMS: Final = damage.DAMAGE | damage.PERMISSIONS


@dataclass(frozen=True, slots=True)
class Report:
    images: int
    planted: Found
    seconds: float
    """Of the check that found them."""
    breaches: tuple[str, ...]


def prove(place: Path, *, images: int) -> Report:
    directory, listed, made = stored.build(place, images)
    breaches: list[str] = []
    clean, _ = _verify(directory)
    if clean["findings"] or clean["files"] != images:
        breaches.append(f"nothing was done yet, and found: {clean['kinds']}")
    planted = damage.plant(Site(directory, made), HARMS)
    found, seconds = _verify(directory)
    breaches += _differences(planted, found)
    _verify(directory, "--repair")
    stuck, _ = _verify(directory)
    left = {entry["kind"] for entry in stuck["findings"]} - damage.NOTES
    if left != {"unreadable"}:
        breaches.append(f"after the repair there is still: {stuck['kinds']}")
    for entry in stuck["findings"]:  # what only its owner may mend: a folder's permissions
        if (folder := directory / entry["path"]).is_dir():
            folder.chmod(0o755)
    again, _ = _verify(directory)
    if not {entry["kind"] for entry in again["findings"]} <= damage.NOTES:
        breaches.append(f"with permissions mended there is still: {again['kinds']}")
    with WebProcess(place) as web:
        # What the web has lost is gone; everything else is a picture of the gallery.
        config = mirrors.write_config(
            place / "config.yaml",
            {"network": {"connect_to": {"*.staticflickr.com:80": f"{web.address}:{web.port}"}}},
        )
        command = ("mirror", listed, "--to", directory, "--config", config, "--quiet")
        with mirrors.start(*command) as process:
            _, errors = process.communicate()
        if process.returncode not in {0, 1}:
            breaches.append(f"the mirror ended with {process.returncode}: {errors}")
        asked = len(web.requests())
    breaches += laws.breaches(directory, finished=True)
    breaches += _unhealed(directory, made, planted)
    if asked > len(planted):
        breaches.append(f"{asked} requests to heal {len(planted)} places")
    return Report(images, planted, seconds, tuple(breaches))


def _verify(directory: Path, *options: str) -> tuple[Any, float]:
    begun = time.monotonic()
    with mirrors.start("verify", directory, "--json", *options, powerless=True) as process:
        out, errors = process.communicate()
    if process.returncode not in {0, 1}:
        raise RuntimeError(f"verify ended with {process.returncode}: {errors}")
    return json.loads(out), time.monotonic() - begun


def _differences(planted: Found, found: Any) -> Iterator[str]:
    named = {entry["path"]: entry["kind"] for entry in found["findings"]}
    for path in sorted(planted.keys() | named.keys()):
        if planted.get(path) != named.get(path):
            yield f"{path!r}: {planted.get(path)} was done, {named.get(path)} was found"


def _unhealed(directory: Path, made: list[Stored], planted: Found) -> Iterator[str]:
    images = laws.snapshot(directory).images
    for image in made:
        now = images[image.row.image_id]
        if image.lost and image.path in planted and now.state == "gone":
            continue
        if (now.state, now.path) != (str(image.state), image.path):
            yield f"{image.path} was {image.state}, and is {now.state} at {now.path}"

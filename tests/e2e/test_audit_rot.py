"""``fetcher audit`` of real rows with scripted rot: it is told exactly, and by a sample closely."""

from __future__ import annotations

import csv
import io
import random
import tarfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from fetcher.demo.steps import (
    PLACEHOLDER,
    Answer,
    Body,
    Step,
    html,
    redirect,
    status,
    throttled,
)
from tests.e2e.audits import audit, figures
from tests.e2e.conftest import Bench


@dataclass(frozen=True, slots=True)
class Sized(Body):
    """What begins as a JPEG and has so many bytes: enough for who compares no digest."""

    size: int

    def data(self) -> bytes:
        return b"\xff\xd8\xff\xe0" + bytes(self.size - 4)

    def tag(self) -> str:
        return str(self.size)

    def type(self) -> str:
        return "image/jpeg"


ROT: Final[dict[tuple[str, str | None], tuple[float, Callable[[int], Step]]]] = {
    ("gone", "placeholder"): (0.09, lambda _: redirect(PLACEHOLDER)),
    ("gone", "http-404"): (0.04, lambda _: status(404)),
    ("gone", "http-410"): (0.01, lambda _: status(410)),
    ("denied", "http-403"): (0.01, lambda _: status(403)),
    ("mismatched", "size-mismatch"): (0.02, lambda size: Answer(Sized(size - 1))),
    ("mismatched", "not-an-image"): (0.005, lambda _: html("text/html")),
}


def rotten(bench: Bench, sample_list: Path) -> dict[str, tuple[str, str | None]]:
    """Serve the real rows with scripted rot, throttled throughout; what each image should be."""
    rows = []
    with tarfile.open(sample_list) as archive:
        for member in archive:
            if (file := archive.extractfile(member)) is not None:
                text = io.TextIOWrapper(file, "utf-8", newline="")
                rows += [
                    (r["ImageID"], urlsplit(r["OriginalURL"]), int(r["OriginalSize"]))
                    for r in csv.DictReader(text)
                ]
    chance = random.Random(17)
    chance.shuffle(rows)
    script: dict[str, tuple[str, str | None]] = {}
    for fate, (share, answer) in ROT.items():
        for _ in range(round(share * 3_000)):
            image_id, url, size = rows[len(script)]
            throttle = [throttled(1)] * (chance.random() < 0.1)
            bench.web.serve(url.path, *throttle, answer(size), host=url.hostname)
            script[image_id] = fate
    for image_id, url, size in rows[len(script) :]:
        throttle = [throttled(1, chance.choice([429, 503]))] * (chance.random() < 0.1)
        bench.web.serve(url.path, *throttle, Answer(Sized(size)), host=url.hostname)
        script[image_id] = ("alive", None)
    return script


def test_the_rot_of_real_rows_is_told_exactly(bench: Bench, sample_list: Path) -> None:
    script = rotten(bench, sample_list)
    done = audit(bench, sample_list, options="--json")
    assert done.code == 1
    images = bench.images()
    assert {i: (image.state, image.code) for i, image in images.items()} == script
    counts = Counter(script.values())
    assert sorted(counts.values()) == [15, 30, 30, 60, 120, 270, 2_475]
    told = figures(bench)
    states = Counter(state for state, _ in script.values())
    (found,) = told["audits"]
    assert {k: found[k] for k in ("present", "altered", "gone", "denied", "failed")} == {
        "present": states["alive"],
        "altered": states["mismatched"],
        "gone": states["gone"],
        "denied": states["denied"],
        "failed": 0,
    }
    codes = {(row["state"], row["code"]): row["images"] for row in told["codes"]}
    assert codes == {fate: n for fate, n in counts.items() if fate[1] is not None}
    for rate in told["audit_rates"]:  # of all of them there is nothing to estimate
        assert rate["low_share"] == rate["share"] == rate["high_share"]
    attempts = {row["outcome"]: row["attempts"] for row in told["attempts"]}
    assert attempts["rate-limited"] > 100
    # A HEAD each, one more where it was throttled, and a probe where bytes have the word.
    again = attempts["rate-limited"] + attempts.get("http-5xx", 0)
    probes = sum(n for fate, n in counts.items() if fate[0] in {"denied", "mismatched"})
    assert bench.web.count() == 3_000 + again + probes


def test_a_sample_of_real_rows_tells_of_all(bench: Bench, sample_list: Path) -> None:
    script = rotten(bench, sample_list)
    done = audit(bench, sample_list, options="--json --sample 10% --seed 1")
    assert (done.json["asked"], done.json["listed"]) == (300, 3_000)
    images = bench.images()
    asked = {i for i, image in images.items() if image.state != "pending"}
    assert len(asked) == 300
    assert {i: (images[i].state, images[i].code) for i in asked} == {i: script[i] for i in asked}
    found = done.json["rates"]["gone"]
    truth = sum(state == "gone" for state, _ in script.values()) / 3_000
    assert found["low"] <= truth <= found["high"]
    assert found["high"] - found["low"] < 0.1

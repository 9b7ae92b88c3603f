"""``store.layout: tar``: what a mirror is in shards, how it is checked, and what mends it."""

from __future__ import annotations

import json
import shutil
import sqlite3
import warnings
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from fetcher.demo.steps import Answer, Picture
from fetcher.errors import Exit
from fetcher.policy import tar
from scripts.proofs import laws, mirrors
from scripts.proofs.mirrors import HOST, Row
from tests.e2e.conftest import Bench, fetcher

IMAGES: Final = 12
SHARDS: Final = {
    "fetch": {"spool_above": 60_000, "concurrency": 4},
    "store": {"layout": "tar", "shard_size": 1 << 20, "finishers": 1},
}


class Place(NamedTuple):
    """Of an image in a shard, by the manifest's index."""

    image_id: str
    shard: str
    offset: int
    size: int

    @property
    def beside(self) -> int:
        """Where its JSON's header begins."""
        return self.offset + self.size + tar.padding(self.size)


def index(bench: Bench) -> list[Place]:
    """In the order in which they lie there."""
    with closing(sqlite3.connect(bench.directory / "manifest.sqlite")) as connection:
        found = connection.execute("SELECT * FROM shard_members ORDER BY shard, offset")
        return [Place(*row) for row in found]


def mirrored(bench: Bench, **more: Any) -> tuple[Path, Path]:
    """A list and a configuration, of a mirror that was made with them."""
    large = Picture(200_000, "large")
    bench.web.serve("/large", Answer(large))
    bench.web.serve("/other", Answer(Picture(800, "other")))
    rows = [
        *mirrors.gallery(IMAGES),
        Row.of("large.one", f"http://{HOST}/large", large.data()),
        Row.of("other", f"http://{HOST}/other", Picture(800, "listed").data(), subset="test"),
    ]
    listed, config = bench.rows(rows), bench.config(SHARDS, more)
    assert bench.mirror(listed, config=config).code == Exit.LOSSES
    return listed, config


def samples(bench: Bench) -> dict[str, tuple[bytes, Any]]:
    """As WebDataset has them; each key once."""
    webdataset = pytest.importorskip("webdataset")
    urls = [str(path) for path in (bench.directory / "shards").rglob("*.tar")]
    if not urls:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own
        found = list(webdataset.WebDataset(urls, shardshuffle=False))
    keyed = {sample["__key__"]: (sample["jpg"], json.loads(sample["json"])) for sample in found}
    assert len(keyed) == len(found)
    return keyed


def test_webdataset_reads_what_the_manifest_says(bench: Bench) -> None:
    mirrored(bench)
    images = bench.images()
    found = samples(bench)
    assert len(found) == IMAGES + 1
    for data, facts in found.values():
        image = images[facts["image_id"]]
        assert image.state == "verified"
        assert (facts["actual_md5"], facts["actual_size"]) == (image.actual_md5, len(data))
        assert (facts["subset"], facts["url"]) == (image.subset, image.url)
        assert facts["listed"]["Title"] == "A title"
    assert found["large%2Eone"][0] == Picture(200_000, "large").data()
    for place in index(bench):
        whole = (bench.directory / place.shard).read_bytes()
        data = found[tar.stem(place.image_id)][0]
        assert whole[place.offset : place.offset + place.size] == data
    assert images["other"].path == "mismatched/test/oth/other.jpg"
    stored = sum(len(data) for data, _ in found.values())
    assert bench.status()["bytes"]["stored"] == stored
    assert not (bench.directory / "images").exists()


def test_the_second_run_asks_for_nothing_and_goes_on_with_the_shard(bench: Bench) -> None:
    listed, config = mirrored(bench)
    asked = bench.web.count()
    bench.mirror(listed, config=config)
    assert bench.web.count() == asked
    more = bench.rows([Row.of("new", f"http://{HOST}/large", Picture(200_000, "large").data())])
    shards = laws.files(bench.directory / "shards")
    assert bench.mirror(listed, more, config=config).code == Exit.LOSSES
    assert laws.files(bench.directory / "shards") == shards


def test_one_directory_may_have_both_layouts(bench: Bench) -> None:
    rows = mirrors.gallery(IMAGES)
    for end, layout in ((4, "files"), (8, "tar"), (12, "files")):
        config = bench.config(SHARDS, {"store": {"layout": layout}})
        assert bench.mirror(bench.rows(rows[:end]), config=config).code == 0
    tops = [(image.path or "").partition("/")[0] for image in bench.images().values()]
    assert sorted(tops) == ["images"] * 8 + ["shards"] * 4
    assert fetcher("verify", bench.directory).code == 0
    assert bench.status()["bytes"]["stored"] == sum(int(row.size) for row in rows)


# Damage.


def poke(bench: Bench, place: Place, at: int) -> None:
    path = bench.directory / place.shard
    with path.open("r+b") as file:
        file.seek(at)
        (byte,) = file.read(1)
        file.seek(at)
        file.write(bytes([byte ^ 1]))


def image_byte(bench: Bench, places: list[Place]) -> dict[int, str]:
    poke(bench, places[3], places[3].offset + 5)
    return {3: "altered"}


def last_image_byte(bench: Bench, places: list[Place]) -> dict[int, str]:
    poke(bench, places[3], places[3].offset + places[3].size - 1)
    return {3: "altered"}


def image_header(bench: Bench, places: list[Place]) -> dict[int, str]:
    poke(bench, places[3], places[3].offset - tar.BLOCK + 2)
    return {3: "altered"}


def json_header(bench: Bench, places: list[Place]) -> dict[int, str]:
    poke(bench, places[3], places[3].beside + 130)  # its size
    return {3: "altered"}


def json_byte(bench: Bench, places: list[Place]) -> dict[int, str]:
    poke(bench, places[3], places[3].beside + tar.BLOCK + 40)
    return {3: "altered"}


def several(bench: Bench, places: list[Place]) -> dict[int, str]:
    poke(bench, places[0], places[0].offset - tar.BLOCK)
    poke(bench, places[1], places[1].beside)
    poke(bench, places[-1], places[-1].beside + tar.BLOCK)
    return {0: "altered", 1: "altered", len(places) - 1: "altered"}


def cut_within_an_image(bench: Bench, places: list[Place]) -> dict[int, str]:
    cut(bench, places[5], places[5].offset + 10)
    return dict.fromkeys(range(5, len(places)), "truncated")


def cut_within_a_json(bench: Bench, places: list[Place]) -> dict[int, str]:
    cut(bench, places[5], places[5].beside + tar.BLOCK + 5)
    return {5: "altered", **dict.fromkeys(range(6, len(places)), "truncated")}


def cut(bench: Bench, place: Place, size: int) -> None:
    with (bench.directory / place.shard).open("r+b") as file:
        file.truncate(size)


def removed(bench: Bench, places: list[Place]) -> dict[int, str]:
    (bench.directory / places[0].shard).unlink()
    return dict.fromkeys(range(len(places)), "missing")


def linked(bench: Bench, places: list[Place]) -> dict[int, str]:
    shard = bench.directory / places[0].shard
    shard.rename(bench.place / "elsewhere.tar")
    shard.symlink_to(bench.place / "elsewhere.tar")
    return dict.fromkeys(range(len(places)), "link")


HARMS: Final = (
    image_byte,
    last_image_byte,
    image_header,
    json_header,
    json_byte,
    several,
    cut_within_an_image,
    cut_within_a_json,
    removed,
    linked,
)


@pytest.mark.parametrize("harm", HARMS, ids=lambda harm: harm.__name__)
def test_damage_is_named_put_aside_and_healed(
    harm: Callable[[Bench, list[Place]], dict[int, str]], bench: Bench
) -> None:
    listed, config = mirrored(bench)
    assert fetcher("verify", bench.directory).code == 0
    places, before = index(bench), bench.images()
    asked = bench.web.count()
    broken = {places[n].image_id: kind for n, kind in harm(bench, places).items()}

    done = fetcher("verify", bench.directory, "--json")
    named = {found["path"]: found["kind"] for found in done.json["findings"] if found["kind"]}
    damage = {before[name].path: kind for name, kind in broken.items()}
    assert named.items() >= damage.items()
    assert done.json["damaged"] - len(damage) == (harm is linked)  # the link itself, among names
    assert done.code == Exit.LOSSES

    assert fetcher("verify", bench.directory, "--repair").code == Exit.LOSSES
    now = bench.images()
    assert {name for name, image in now.items() if image.state == "pending"} == set(broken)
    assert fetcher("verify", bench.directory).code == 0
    assert len(samples(bench)) == len(places) - len(broken)

    assert bench.mirror(listed, config=config).code == Exit.LOSSES
    assert bench.web.count() == asked + len(broken)
    states = {name: image.state for name, image in bench.images().items()}
    assert states == {name: image.state for name, image in before.items()}
    assert fetcher("verify", bench.directory).code == 0
    assert len(samples(bench)) == len(places)


def test_a_copy_that_was_left_behind_is_taken_out(bench: Bench) -> None:
    listed, config = mirrored(bench)
    assert fetcher("retry", bench.directory, "--state", "verified", "--include-kept").code == 0
    done = fetcher(*bench.command(listed, config=config))
    assert done.code == Exit.LOSSES
    done = fetcher("verify", bench.directory, "--repair", "--json")
    assert (done.code, done.json["kinds"]["superseded"]) == (0, IMAGES + 1)
    assert len(samples(bench)) == IMAGES + 1
    assert laws.breaches(bench.directory, finished=True) == []


def test_a_shard_among_the_folders_that_nobody_knows(bench: Bench) -> None:
    mirrored(bench)
    shard = next((bench.directory / "shards").rglob("*.tar"))
    shutil.copyfile(shard, shard.with_name("000077.tar"))
    (shard.parent / "notes.txt").write_text("mine")
    with shard.open("ab") as file:
        file.write(bytes(10_240))
    done = fetcher("verify", bench.directory, "--json")
    folder = shard.parent.relative_to(bench.directory)
    assert {found["path"]: found["kind"] for found in done.json["findings"]} == {
        f"{folder}/000077.tar": "leftover",
        f"{folder}/notes.txt": "extra",
        f"{folder}/{shard.name}": "leftover",
    }


# What shards cannot do.


def test_without_its_manifest_nothing_is_cut(bench: Bench) -> None:
    listed, config = mirrored(bench)
    (bench.directory / "manifest.sqlite").rename(bench.place / "away")
    before = {path: (bench.directory / path).read_bytes() for path in laws.files(bench.directory)}
    done = fetcher(*bench.command(listed, config=config))
    assert done.code == Exit.UNUSABLE
    assert "the manifest does not know" in done.err
    for path, data in before.items():
        assert (bench.directory / path).read_bytes() == data


def test_md5sum_is_told_that_it_cannot_look_into_shards(bench: Bench) -> None:
    mirrored(bench)
    done = fetcher("export", bench.directory, "--as", "md5sums")
    assert done.code == Exit.UNUSABLE
    assert "shard" in done.err

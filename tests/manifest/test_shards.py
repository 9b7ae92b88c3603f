"""Images in shards, as the manifest keeps them: a place in one column, an index, and each end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetcher.manifest import packing
from fetcher.manifest.database import Database
from fetcher.manifest.reopening import reopen_assets
from fetcher.manifest.runs import RunInfo
from fetcher.model import Asset, Outcome, Slot, State
from fetcher.policy import tar
from tests.conformance.manifest_suite import group_of, row
from tests.manifest.opened import check_laws, database, images, import_all, lease, query, source
from tests.manifest.test_settling import _unpacked

SHARD = "shards/train/000003.tar"


def in_shard(asset: Asset, offset: int, shard: str = SHARD, size: int = 700) -> Outcome:
    return Outcome(
        asset_id=asset.asset_id,
        state=State.VERIFIED,
        attempt=1,
        started_at=0.0,
        elapsed=0.0,
        http_status=200,
        actual_size=size,
        actual_md5=asset.expected.md5,
        path=f"{shard}/{tar.stem(asset.image_id)}.jpg",
        slot=Slot(offset, offset + 2_048),
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "manifest.sqlite"


def test_a_place_in_a_shard_comes_back_whole_and_as_an_index(path: Path) -> None:
    with database(path) as manifest:
        import_all(manifest, [row(2, image_id="a.b"), row(3, image_id="100%")])
        first, second = lease(manifest)
        manifest.settle([in_shard(first, 512), in_shard(second, 4_608, "shards/000000.tar")])
        check_laws(manifest._connection, manifest.tally())
        assert manifest.tally().stored_bytes == 1_400
        assert manifest.shards().sizes == {SHARD: 2_560, "shards/000000.tar": 6_656}
    assert {image["image_id"]: image["path"] for image in images(path)} == {
        "a.b": f"{SHARD}/a%2Eb.jpg",
        "100%": "shards/000000.tar/100%25.jpg",
    }
    assert query(path, "SELECT * FROM shard_members ORDER BY image_id") == [
        {"image_id": "100%", "shard": "shards/000000.tar", "offset": 4_608, "size": 700},
        {"image_id": "a.b", "shard": SHARD, "offset": 512, "size": 700},
    ]


@given(
    image_id=st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1),
    extension=st.sampled_from(["jpg", "bin", "webp"]),
    offset=st.integers(0, 2**50),
)
def test_any_id_comes_back(image_id: str, extension: str, offset: int) -> None:
    name = tar.member_of(f"{image_id}.{extension}")
    packed = packing.pack_member(f"{SHARD}/{name}", 1, offset)
    assert _unpacked(packed, "train", image_id, shard=SHARD) == f"{SHARD}/{name}"
    assert tar.image_id_of(name) == image_id
    assert packing.stored(packed)


def test_an_end_never_moves_back(path: Path) -> None:
    with database(path) as manifest:
        import_all(manifest, [row(2, image_id="a"), row(3, image_id="b"), row(4, image_id="c")])
        first, second, third = lease(manifest)
        manifest.settle([in_shard(first, 5_120)])
        manifest.settle([in_shard(second, 512)])
        assert manifest.shards().sizes == {SHARD: 7_168}
        manifest.settle([in_shard(third, 9_216)])
        assert manifest.shards().sizes == {SHARD: 11_264}


def test_an_image_that_is_opened_again_leaves_the_index(path: Path) -> None:
    with database(path) as manifest:
        import_all(manifest, [row(2, image_id="a")])
        (asset,) = lease(manifest)
        manifest.settle([in_shard(asset, 512)])
        with manifest._transaction():
            reopen_assets(manifest._connection, [asset.asset_id], 0.0)
        check_laws(manifest._connection, manifest.tally())
        assert manifest.tally().stored_bytes == 0
        assert manifest.shards().sizes == {SHARD: 2_560}, "what lies there is known still"
    assert query(path, "SELECT * FROM shard_members") == []


def test_leases_have_the_lists_other_columns_where_they_are_needed(path: Path) -> None:
    with database(path) as manifest:
        titles = {n: "often" if n < 30 else f"title {n}" for n in range(2, 40)}
        rows = [row(n, extra=(title,)) for n, title in titles.items()]
        import_all(manifest, rows[:28])  # a column that repeats itself is kept otherwise
        import_all(manifest, rows[28:], info=source("other.csv"))
        (plain,) = lease(manifest, limit=1)
        assert plain.extra == ""
        manifest.fill_shards()
        leased = lease(manifest)
        assert len(leased) == len(titles) - 1
        for asset in leased:
            assert json.loads(asset.extra) == {"Title": titles[int(asset.image_id, 16)]}


def test_what_may_have_been_in_flight_is_known_from_earlier_runs(path: Path) -> None:
    manifest = Database.open(path, command="test", group_of=group_of)
    assert manifest.shards().in_flight == 0
    manifest.begin_run(RunInfo("test", "0", '{"fetch": {"concurrency": 16}}'))
    manifest.begin_run(RunInfo("test", "0", '{"fetch": {"concurrency": 4}}'))
    assert manifest.shards().in_flight == 8 * 16
    manifest.close()

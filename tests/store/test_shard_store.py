"""Shards: the contract, what lies in them, and what a kill between any two calls leaves."""

from __future__ import annotations

import errno
import json
import os
import tarfile
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fetcher.errors import UsageError
from fetcher.model import Asset, Body, Expectation, Receipt
from fetcher.policy import tar
from fetcher.ports import Staged
from fetcher.store import Mode, ShardStore, cut_tails
from fetcher.store.shards import KEPT_OPEN
from tests.conformance.store_suite import KEY, OTHER, Bench, StoreSuite, data
from tests.fakes.system import Killed, Recorder

LATER = 4e9
"""After anything that a test writes."""
LONG = "é" * 95
NAMES = ["0000c6a19dd90621", "with.dots.in", "100%", LONG, "x" * 190]


def opened(root: Path, recorder: Recorder | None = None, **more: Any) -> ShardStore:
    chosen = {"shard_size": 1 << 30, "begun": 0.0, **more}
    system = (recorder or Recorder()).system(**chosen.pop("calls", {}))
    store = ShardStore(root, system=system, **chosen)
    store.prepare()
    return store


def put(store: ShardStore, *names: str, size: int = 700) -> list[Staged]:
    staged = [
        store.stage(f"images/train/{name[:3]}/{name}.jpg", data(content(name, size)), name=name)
        for name in names
    ]
    store.publish(staged)
    return staged


def content(name: str, size: int = 700) -> bytes:
    return (name.encode() * size)[:size]


def held(root: Path) -> dict[str, dict[str, bytes]]:
    """By another reader than ours: what is in each shard, by its path below ``shards/``."""
    found = {}
    for path in sorted((root / "shards").rglob("*.tar")):
        with tarfile.open(path) as shard:
            files = {member.name: shard.extractfile(member) for member in shard}
            found[path.relative_to(root / "shards").as_posix()] = {
                name: file.read() for name, file in files.items() if file is not None
            }
    return found


def at(root: Path, staged: Staged) -> bytes | None:
    assert staged.slot is not None
    path = root / staged.key.rpartition("/")[0]
    if not path.is_file():
        return None
    with path.open("rb") as file:
        file.seek(staged.slot.offset)
        found = file.read(staged.size)
    whole = path.stat().st_size >= staged.slot.end + len(tar.END)
    return found if whole else None


@pytest.mark.parametrize("mode", ["batch", "file", "none"])
class TestShardStore(StoreSuite):
    @pytest.fixture
    def bench(self, tmp_path: Path, mode: Mode) -> Iterator[Bench]:
        root = tmp_path / "mirror"
        recorder = Recorder()
        armed: set[str] = set()

        def failing(kind: str, call: Any) -> Any:
            def wrapped(*arguments: Any) -> Any:
                if kind in armed and (kind != "stage" or "shards" in arguments[0]):
                    armed.remove(kind)
                    raise OSError(errno.ENOSPC, "No space left on device")
                return call(*arguments)

            return wrapped

        calls = {"open": failing("stage", os.open), "pwritev": failing("publish", os.pwritev)}
        store = opened(root, recorder, durability=mode, calls=calls)
        yield Bench(store, lambda staged: at(root, staged), armed.add)
        store.close()
        assert recorder.open_descriptors == 0


def test_another_reader_finds_images_each_with_its_facts(tmp_path: Path) -> None:
    store = opened(tmp_path)
    asset = Asset(
        1, "a.b", "train", "http://u:p@h.test/a", "h.test", Expectation(3, "m"), 0, '{"L": "é"}'
    )
    receipt = Receipt(3, "m", "image/jpeg", "http://h.test/b", 200)
    staged = store.stage("images/train/a.b/a.b.jpg", data(b"abc"), name="1", about=(asset, receipt))
    store.publish([staged])
    (members,) = held(tmp_path).values()
    assert members["a%2Eb.jpg"] == b"abc"
    facts = json.loads(members["a%2Eb.json"])
    del facts["json_crc32"]
    assert facts == {
        "image_id": "a.b",
        "subset": "train",
        "url": "http://h.test/a",
        "final_url": "http://h.test/b",
        "content_type": "image/jpeg",
        "expected_size": 3,
        "expected_md5": "m",
        "actual_size": 3,
        "actual_md5": "m",
        "listed": {"L": "é"},
    }
    store.close()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 5000])
def test_names_and_sizes_of_all_kinds_are_read_back(tmp_path: Path, name: str, size: int) -> None:
    store = opened(tmp_path)
    staged = put(store, name, "behind", size=size)
    (members,) = held(tmp_path).values()
    assert members[f"{tar.stem(name)}.jpg"] == content(name, size) == at(tmp_path, staged[0])
    assert list(members) == [
        *(f"{tar.stem(one)}.{kind}" for one in (name, "behind") for kind in ("jpg", "json")),
    ]
    path = tmp_path / staged[0].key.rpartition("/")[0]
    with path.open("rb") as file:
        found = list(
            tar.members(lambda n, where: os.pread(file.fileno(), n, where), 0, path.stat().st_size)
        )
    assert [one.name for one in found] == list(members)
    assert tar.image_id_of(found[0].name) == name
    store.close()


def test_webdataset_reads_it_and_passes_over_what_was_given_up(tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    store = opened(tmp_path)
    given_up = store.stage(KEY, data(b"given up"), name="1")
    other = store.stage(OTHER, data(b"kept"), name="2")
    store.discard(Path(given_up.temporary))
    store.publish([other])
    put(store, "with.dots", "100%", LONG)
    store.close()
    urls = [str(path) for path in (tmp_path / "shards").rglob("*.tar")]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own
        samples = list(webdataset.WebDataset(urls, shardshuffle=False))
    images = {s["__key__"]: s.get("jpg", s.get("png")) for s in samples}
    assert images == {
        "0ffcb47c67ca9f5e": b"kept",
        **{tar.stem(name): content(name) for name in ("with.dots", "100%", LONG)},
    }
    assert [json.loads(sample["json"])["image_id"] for sample in samples] == [
        "0ffcb47c67ca9f5e",
        "with.dots",
        "100%",
        LONG,
    ]


def test_a_batch_costs_one_write_and_one_sync(tmp_path: Path) -> None:
    recorder = Recorder()
    store = opened(tmp_path, recorder)
    put(store, "first")
    start = len(recorder.calls)
    put(store, *(f"{n:03}" for n in range(200)))
    assert recorder.names()[start:] == ["pwritev", "open", "fsync", "close"]
    store.close()


def test_bytes_reach_the_disk_and_then_the_name_of_a_new_shard(tmp_path: Path) -> None:
    recorder = Recorder()
    store = opened(tmp_path, recorder)
    start = len(recorder.calls)
    put(store, "first")
    done = [call for call in recorder.calls[start:] if call[0] in {"pwritev", "fsync"}]
    root, shard = str(tmp_path), f"{tmp_path}/shards/train/000000.tar"
    assert done[:2] == [("pwritev", shard), ("fsync", shard)]
    assert {path for _, path in done[2:]} == {root, f"{root}/shards", f"{root}/shards/train"}
    store.close()


def test_a_shard_is_followed_by_another_before_it_grows_too_large(tmp_path: Path) -> None:
    store = opened(tmp_path, shard_size=20_000)
    put(store, *(f"{n:03}" for n in range(40)))
    put(store, "larger", size=50_000)
    store.close()
    shards = held(tmp_path)
    sizes = sorted(path.stat().st_size for path in (tmp_path / "shards").rglob("*.tar"))
    assert sizes[-2] <= 20_000 < sizes[-1]
    assert sum(len(members) for members in shards.values()) == 2 * 41


def test_any_number_of_subsets_have_a_shard_each_and_few_are_open(tmp_path: Path) -> None:
    recorder = Recorder()
    store = opened(tmp_path, recorder)
    for name in ("first", "second"):
        for subset in range(2 * KEPT_OPEN):
            key = f"images/{subset}/{name[:3]}/{name}.jpg"
            store.publish([store.stage(key, data(content(name)), name=name)])
            assert recorder.open_descriptors <= KEPT_OPEN + 2
    store.close()
    assert recorder.open_descriptors == 0
    shards = held(tmp_path)
    assert len(shards) == 2 * KEPT_OPEN
    assert all(members["second.jpg"] == content("second") for members in shards.values())


def test_threads_write_to_shards_of_their_own(tmp_path: Path) -> None:
    store = opened(tmp_path)
    both = threading.Barrier(2)

    def work(name: str) -> None:
        staged = store.stage(f"images/train/aaa/{name}.jpg", data(b"image"), name=name)
        both.wait()
        store.publish([staged])

    threads = [threading.Thread(target=work, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    put(store, "afterwards")  # either is free again
    store.close()
    assert sorted(len(members) for members in held(tmp_path).values()) == [2, 4]


@pytest.mark.parametrize("begun", [0.0, LATER])
def test_only_a_shard_of_an_earlier_run_is_gone_on_with(tmp_path: Path, begun: float) -> None:
    first = opened(tmp_path)
    put(first, "first")
    first.close()
    second = opened(tmp_path, begun=begun)
    put(second, "second")
    second.close()
    assert len(held(tmp_path)) == (1 if begun else 2)


def test_a_shard_that_another_process_writes_is_left_to_it(tmp_path: Path) -> None:
    first, second = opened(tmp_path, begun=LATER), opened(tmp_path, begun=LATER)
    put(first, "first")
    put(second, "second")
    assert len(held(tmp_path)) == 2
    first.close()
    second.close()


@pytest.mark.parametrize("spoilt", ["cut", "garbage", "link"])
def test_a_shard_that_is_not_whole_is_not_gone_on_with(tmp_path: Path, spoilt: str) -> None:
    first = opened(tmp_path)
    put(first, "first", "second")
    first.close()
    shard = tmp_path / "shards/train/000000.tar"
    whole = shard.read_bytes()
    if spoilt == "cut":
        shard.write_bytes(whole[:-1600])
    elif spoilt == "garbage":
        shard.write_bytes(whole[:-1024] + b"x" * 700)
    else:
        shard.rename(tmp_path / "elsewhere.tar")
        shard.symlink_to(tmp_path / "elsewhere.tar")
    before = shard.read_bytes()
    second = opened(tmp_path, begun=LATER)
    put(second, "third")
    second.close()
    assert shard.read_bytes() == before
    assert (tmp_path / "shards/train/000001.tar").exists()


@pytest.mark.parametrize("at_call", range(40))
def test_a_kill_between_two_calls_costs_at_most_a_tail(tmp_path: Path, at_call: int) -> None:
    recorder = Recorder()
    store = opened(tmp_path, recorder)
    known = {}
    start = len(recorder.calls)
    recorder.kill_at = start + at_call
    try:
        for batch in (("000", "001"), ("002",), ("003", "004")):
            staged = put(store, *batch)
            for one in staged:
                assert one.slot is not None
                known[one.key.rpartition("/")[0]] = one.slot.end
    except Killed:
        pass
    done = {one for names in held_whole(tmp_path, known) for one in names}
    assert cut_tails(str(tmp_path), known, most=5) in {0, 1}
    kept = {name for members in held(tmp_path).values() for name in members}
    assert kept == done
    again = opened(tmp_path, begun=LATER)
    put(again, "005")
    again.close()
    assert {name for members in held(tmp_path).values() for name in members} == {
        *done,
        "005.jpg",
        "005.json",
    }


def held_whole(root: Path, known: dict[str, int]) -> Iterator[list[str]]:
    """Names of what lies before the ends that are known."""
    for key, end in known.items():
        with (root / key).open("rb") as file:
            yield [
                one.name
                for one in tar.members(lambda n, at: os.pread(file.fileno(), n, at), 0, end)
            ]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("at_call", range(12))
def test_an_error_leaves_nothing_of_the_batch(tmp_path: Path, at_call: int, number: int) -> None:
    recorder = Recorder(number=number)
    store = opened(tmp_path, recorder)
    put(store, "before")
    recorder.fail_at = len(recorder.calls) + at_call
    large = store.spool_path("large.part")
    large.write_bytes(b"large")
    failed = False
    try:
        staged = [
            store.stage(KEY, data(b"small"), name="1"),
            store.stage(OTHER, Body(5, path=large), name="large.part"),
        ]
        store.publish(staged)
    except Exception:  # noqa: BLE001  whichever call it was
        failed = True
    recorder.fail_at = None
    names = {name for members in held(tmp_path).values() for name in members}
    assert ("0000c6a19dd90621.jpg" in names) != failed
    put(store, "after")
    names = {name for members in held(tmp_path).values() for name in members}
    assert {"before.jpg", "after.jpg"} <= names
    store.close()


class TestTails:
    def test_what_the_manifest_does_not_know_is_cut_off(self, tmp_path: Path) -> None:
        store = opened(tmp_path)
        (first,) = put(store, "known")
        put(store, "unknown")
        store.close()
        assert first.slot is not None
        known = {first.key.rpartition("/")[0]: first.slot.end}
        assert cut_tails(str(tmp_path), known, most=1) == 1
        assert cut_tails(str(tmp_path), known, most=0) == 0
        assert [list(members) for members in held(tmp_path).values()] == [
            ["known.jpg", "known.json"]
        ]

    def test_a_shard_that_it_does_not_know_is_removed(self, tmp_path: Path) -> None:
        store = opened(tmp_path)
        put(store, "unknown")
        store.close()
        assert cut_tails(str(tmp_path), {}, most=1) == 1
        assert held(tmp_path) == {}

    def test_nothing_is_cut_where_too_much_would_be(self, tmp_path: Path) -> None:
        store = opened(tmp_path)
        (first, *_) = put(store, *"abcd")
        store.close()
        before = held(tmp_path)
        assert first.slot is not None
        for known in ({}, {first.key.rpartition("/")[0]: first.slot.end}):
            with pytest.raises(UsageError, match="does not know"):
                cut_tails(str(tmp_path), known, most=2)
        assert held(tmp_path) == before

    def test_files_of_others_and_links_are_left_alone(self, tmp_path: Path) -> None:
        (tmp_path / "shards/train").mkdir(parents=True)
        diary = tmp_path / "diary.tar"
        diary.write_bytes(b"dear")
        (tmp_path / "shards/train/000000.tar").symlink_to(diary)
        (tmp_path / "shards/train/notes.txt").write_bytes(b"mine")
        (tmp_path / "shards/more").symlink_to(tmp_path)
        assert cut_tails(str(tmp_path), {}, most=0) == 0
        assert diary.read_bytes() == b"dear"
        assert (tmp_path / "shards/train/notes.txt").exists()

"""Many files at a time: whatever their company, each is judged as if it were alone."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetcher.checking import members
from fetcher.checking.files import Examiner, Observation, Record
from fetcher.checking.together import Together
from fetcher.demo.images import md5_of
from fetcher.model import Body
from fetcher.store import ShardStore

LENGTHS = (0, 1, 15, 16, 17, 31, 32, 33, 100, 5_000)


class Mixture(NamedTuple):
    root: Path
    records: list[Record]
    expected: list[str]


@pytest.fixture(scope="module")
def mixture(tmp_path_factory: pytest.TempPathFactory) -> Mixture:
    """Files and images in shards of all lengths: whole, and harmed in every way there is."""
    root = tmp_path_factory.mktemp("mixture")
    (root / "images/a").mkdir(parents=True)
    (root / "images/b").symlink_to(root / "images/a")
    found: list[tuple[Record, str]] = []
    store = ShardStore(root, shard_size=20_000, durability="none")
    store.prepare()
    for n, length in enumerate(LENGTHS):
        data = bytes((n + at) % 256 for at in range(length))
        record = Record(f"images/a/{n}.jpg", length, md5_of(data))
        (root / record.path).write_bytes(data)
        found += [
            (record, ""),
            (record._replace(md5=None), ""),
            (record._replace(size=None), ""),
            (record._replace(md5=md5_of(data + b"x")), "altered"),
            (record._replace(size=length + 1), "truncated" if length else "empty"),
            (record._replace(path=f"images/a/{n}.png"), "missing"),
            (record._replace(path=f"images/b/{n}.jpg"), "link"),
        ]
        staged = store.stage(f"images/s{n}x/s{n}x.jpg", Body(length, data=data), name=str(n))
        store.publish([staged])
        assert staged.slot is not None
        packed = Record(staged.key, length, md5_of(data), staged.slot.offset)
        found += [(packed, ""), (packed._replace(md5=md5_of(data + b"x")), "altered")]
    store.close()
    (root / "images/a/folder.jpg").mkdir()
    os.mkfifo(root / "images/a/pipe.jpg")
    found += [
        # As if a folder had no byte.
        (Record("images/a/folder.jpg", 0, md5_of(b"")), "directory"),
        (Record("images/a/pipe.jpg", 0, md5_of(b"x")), "special"),
        (Record("images/a/folder.jpg/x.jpg", 100, "", 512), "directory"),
    ]
    return Mixture(root, [record for record, _ in found], [kind for _, kind in found])


def kinds(observed: list[Observation | None]) -> list[str]:
    return ["" if one is None else one.kind for one in observed]


@given(
    width=st.integers(1, 9),
    room=st.sampled_from([1, 16, 17, 4_096, 1 << 16]),
    data=st.data(),
)
def test_each_is_judged_as_if_it_were_alone(
    width: int, room: int, data: st.DataObject, mixture: Mixture
) -> None:
    order = data.draw(st.permutations(range(len(mixture.records))))
    chosen = order[: data.draw(st.integers(0, len(order)))]
    examiner = Examiner(str(mixture.root), Together(width, room))
    observed = examiner.examine_all([mixture.records[at] for at in chosen])
    assert kinds(observed) == [mixture.expected[at] for at in chosen]
    alone = Examiner(str(mixture.root))
    assert observed == [alone.examine(mixture.records[at]) for at in chosen]
    examiner.forget()
    alone.forget()


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_nothing_is_left_open_whatever_it_was(mixture: Mixture) -> None:
    descriptors = Path("/proc/self/fd")
    examiner = Examiner(str(mixture.root), Together(3, 16))
    before = set(descriptors.iterdir())
    examiner.examine_all(mixture.records)
    examiner.forget()
    assert set(descriptors.iterdir()) == before


def test_a_shard_that_is_being_read_stays_open(
    mixture: Mixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(members, "_KEPT_OPEN", 1)
    packed = [
        (record, kind)
        for record, kind in zip(mixture.records, mixture.expected, strict=True)
        if record.offset is not None
    ]
    examiner = Examiner(str(mixture.root), Together(5, 16))
    assert len({record.path.rpartition("/")[0] for record, _ in packed}) > 2
    assert kinds(examiner.examine_all([record for record, _ in packed])) == [k for _, k in packed]
    examiner.forget()


class Counted:
    """A reading of so many pieces of one byte."""

    def __init__(self, pieces: int, open_now: list[int]) -> None:
        self.left = pieces
        self.open_now = open_now
        self.closed = False
        open_now[0] += 1

    @property
    def ended(self) -> bool:
        return self.left == 0

    def more(self, room: memoryview) -> memoryview:
        self.left -= 1
        room[0] = 0x61
        return room[:1]

    def close(self) -> None:
        self.open_now[0] -= not self.closed
        self.closed = True


@given(st.lists(st.integers(1, 5), max_size=12), st.integers(1, 4))
def test_only_so_many_are_open_and_a_long_one_holds_up_nobody(
    pieces: list[int], width: int
) -> None:
    open_now = [0]

    def readings() -> Iterator[Counted]:
        for n in pieces:
            assert open_now[0] < width
            yield Counted(n, open_now)

    ended = [(one, md5) for one, md5 in Together(width, 8).digests(readings())]
    assert len(ended) == len(pieces)
    assert open_now == [0]


def test_what_is_under_way_is_closed_when_nobody_asks_on() -> None:
    open_now = [0]
    digests = Together(3, 8).digests(Counted(n, open_now) for n in (1, 1, 5, 5))
    next(digests)
    assert open_now == [3]
    digests.close()
    assert open_now == [0]

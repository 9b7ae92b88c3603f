"""The contract of ``ports.Store``, for every store and every fake of one.

``StoreSuite`` is what all stores promise, ``FileStoreSuite`` what those do besides whose places are
the names that they were asked for. A subclass gives the fixture ``bench``: a fresh store, how to
read what it holds, and how to make its next call of a kind fail.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fetcher.errors import StoreError
from fetcher.model import Body
from fetcher.ports import Staged, Store
from fetcher.store.names import PARTIAL

KEY = "images/train/000/0000c6a19dd90621.jpg"
OTHER = "images/train/0ff/0ffcb47c67ca9f5e.png"

SHARED = settings(
    # One store serves all examples: what they leave in it does not matter to them.
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    max_examples=60,
    deadline=None,
)

PARTS = st.text(
    st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=12
).filter(lambda part: part not in {".", ".."})
ESCAPES = st.one_of(
    st.sampled_from(["", ".", "..", "/etc/passwd", "images/", "/images/a", "a//b", "\0", "a/\0/b"]),
    st.builds("{}/../{}".format, PARTS, PARTS),
    st.builds("../{}".format, PARTS),
    st.builds("{}/..".format, PARTS),
    st.builds("./{}".format, PARTS),
    st.builds("/{}".format, PARTS),
    st.builds("{}/".format, PARTS),
    st.builds("{}//{}".format, PARTS, PARTS),
    st.builds("images/{}\0{}".format, PARTS, PARTS),
    st.builds("{}/{}".format, st.just(PARTIAL), PARTS),
    st.just("images/" + "x" * 256),
    st.just("images/" + "é" * 128),
    st.just("images/\ud800.jpg"),
)


@dataclass(frozen=True)
class Bench:
    store: Store
    read: Callable[[Staged], bytes | None]
    """What lies in its place, whatever the store says; ``None`` if there is not so much."""
    fail_next: Callable[[str], None]
    """Make the next ``stage`` or ``publish`` find a full disk."""


def data(content: bytes) -> Body:
    return Body(len(content), data=content)


class StoreSuite:
    @staticmethod
    def spooled(store: Store, name: str, content: bytes) -> Body:
        path = store.spool_path(name)
        path.write_bytes(content)
        return Body(len(content), path=path)

    @staticmethod
    def names(store: Store) -> list[str]:
        return sorted(path.name for path in store.leftovers())

    def test_published_bytes_are_in_their_place(self, bench: Bench) -> None:
        staged = bench.store.stage(KEY, data(b"image"), name="1")
        bench.store.publish([staged])
        assert bench.read(staged) == b"image"
        assert staged.key.endswith("/0000c6a19dd90621.jpg")
        assert staged.size == 5

    def test_a_spooled_body_is_taken_over(self, bench: Bench) -> None:
        body = self.spooled(bench.store, "1.part", b"large image")
        staged = bench.store.stage(KEY, body, name="1")
        assert (staged.temporary, staged.size) == (str(bench.store.spool_path("1.part")), 11)
        bench.store.publish([staged])
        assert bench.read(staged) == b"large image"
        assert self.names(bench.store) == []

    def test_a_temporary_file_of_an_earlier_run_can_be_staged_as_it_lies(
        self, bench: Bench
    ) -> None:
        body = self.spooled(bench.store, "1", b"left over")
        staged = bench.store.stage(KEY, body, name="1")
        bench.store.publish([staged])
        assert bench.read(staged) == b"left over"
        assert self.names(bench.store) == []

    def test_an_empty_body_is_an_empty_file(self, bench: Bench) -> None:
        staged = bench.store.stage(KEY, data(b""), name="1")
        bench.store.publish([staged])
        assert bench.read(staged) == b""

    def test_staged_bytes_are_not_in_their_place_yet(self, bench: Bench) -> None:
        staged = bench.store.stage(KEY, data(b"image"), name="1")
        assert bench.store.find(KEY) is None
        assert bench.read(staged) is None

    def test_an_empty_batch_is_nothing(self, bench: Bench) -> None:
        bench.store.publish([])
        assert bench.store.is_fresh()

    def test_the_same_image_may_come_again(self, bench: Bench) -> None:
        for content in (b"first, and longer", b"second"):
            staged = bench.store.stage(KEY, data(content), name="1")
            bench.store.publish([staged])
        assert bench.read(staged) == b"second"

    def test_what_is_staged_under_a_temporary_name_again_counts(self, bench: Bench) -> None:
        bench.store.stage(OTHER, data(b"of a killed run, and longer"), name="1")
        staged = bench.store.stage(KEY, data(b"image"), name="1")
        bench.store.publish([staged])
        assert bench.read(staged) == b"image"

    @SHARED
    @given(files=st.dictionaries(PARTS, st.binary(max_size=200), max_size=20))
    def test_a_batch_is_published_whole(self, bench: Bench, files: dict[str, bytes]) -> None:
        keys = {f"images/{part[:1].strip('.') or '_'}/{part}": part for part in files}
        staged = [
            bench.store.stage(key, data(files[part]), name=str(number))
            for number, (key, part) in enumerate(keys.items())
        ]
        bench.store.publish(staged)
        assert [bench.read(one) for one in staged] == [files[part] for part in keys.values()]
        assert self.names(bench.store) == []

    @SHARED
    @given(key=ESCAPES)
    def test_a_key_that_would_leave_the_store_is_refused(self, bench: Bench, key: str) -> None:
        with pytest.raises(ValueError, match=r"."):
            bench.store.stage(key, data(b"image"), name="1")
        with pytest.raises(ValueError, match=r"."):
            bench.store.find(key)
        assert self.names(bench.store) == []

    @pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/a", "../a", "a\0", "x" * 256])
    def test_a_temporary_name_that_is_none_is_refused(self, bench: Bench, name: str) -> None:
        with pytest.raises(ValueError, match=r"."):
            bench.store.spool_path(name)
        with pytest.raises(ValueError, match=r"."):
            bench.store.stage(KEY, data(b"image"), name=name)

    def test_a_body_that_does_not_add_up_is_a_bug(self, bench: Bench) -> None:
        for body in (Body(4, data=b"image"), Body(0)):
            with pytest.raises(ValueError, match="says its size"):
                bench.store.stage(KEY, body, name="1")

    @pytest.mark.parametrize("size", [4, 6])
    def test_a_spool_file_of_another_length_is_refused_and_removed(
        self, bench: Bench, size: int
    ) -> None:
        path = self.spooled(bench.store, "1.part", b"image").path
        with pytest.raises(StoreError) as caught:
            bench.store.stage(KEY, Body(size, path=path), name="1")
        assert caught.value.fault_code == "disk-error"
        assert self.names(bench.store) == []

    def test_a_spool_file_that_is_gone_is_refused(self, bench: Bench) -> None:
        with pytest.raises(StoreError) as caught:
            bench.store.stage(KEY, Body(5, path=bench.store.spool_path("1.part")), name="1")
        assert caught.value.fault_code == "disk-error"

    def test_files_of_others_are_not_touched(self, bench: Bench, tmp_path: Path) -> None:
        foreign = tmp_path / "diary.txt"
        foreign.write_bytes(b"dear")
        with pytest.raises(ValueError, match="not a temporary file"):
            bench.store.stage(KEY, Body(4, path=foreign), name="1")
        with pytest.raises(ValueError, match="not a temporary file"):
            bench.store.discard(foreign)
        assert foreign.read_bytes() == b"dear"

    def test_discarding_removes_and_may_be_repeated(self, bench: Bench) -> None:
        staged = bench.store.stage(KEY, data(b"image"), name="1")
        spool = self.spooled(bench.store, "2.part", b"large").path
        assert spool is not None
        for _ in range(2):
            bench.store.discard(Path(staged.temporary))
            bench.store.discard(spool)
        assert self.names(bench.store) == []

    def test_what_was_discarded_takes_nothing_along(self, bench: Bench) -> None:
        first = bench.store.stage(KEY, data(b"given up"), name="1")
        second = bench.store.stage(OTHER, data(b"image"), name="2")
        bench.store.discard(Path(first.temporary))
        bench.store.publish([second])
        assert bench.read(second) == b"image"
        assert bench.read(first) in {None, bytes(8)}
        third = bench.store.stage(KEY, data(b"again"), name="1")
        bench.store.publish([third])
        assert [bench.read(one) for one in (second, third)] == [b"image", b"again"]

    def test_a_spool_file_that_nobody_took_over_is_left_over(self, bench: Bench) -> None:
        self.spooled(bench.store, "2.part", b"lar")
        bench.store.publish([bench.store.stage(OTHER, data(b"image"), name="3")])
        assert self.names(bench.store) == ["2.part"]

    def test_it_is_fresh_until_an_image_is_published(self, bench: Bench) -> None:
        staged = bench.store.stage(KEY, data(b"image"), name="1")
        assert bench.store.is_fresh()
        bench.store.publish([staged])
        assert not bench.store.is_fresh()

    def test_a_mismatched_image_alone_leaves_nothing_to_adopt(self, bench: Bench) -> None:
        bench.store.publish([bench.store.stage("mismatched/000/a.jpg", data(b"x"), name="1")])
        assert bench.store.is_fresh()

    def test_a_full_disk_while_staging_leaves_nothing(self, bench: Bench) -> None:
        bench.fail_next("stage")
        with pytest.raises(StoreError) as caught:
            bench.store.stage(KEY, data(b"image"), name="1")
        assert caught.value.fault_code == "disk-full"
        assert caught.value.hint
        assert self.names(bench.store) == []

    def test_a_failed_batch_is_withdrawn_and_the_next_one_goes_on(self, bench: Bench) -> None:
        staged = [
            bench.store.stage(KEY, data(b"one"), name="1"),
            bench.store.stage(OTHER, self.spooled(bench.store, "2.part", b"two"), name="2"),
        ]
        bench.fail_next("publish")
        with pytest.raises(StoreError) as caught:
            bench.store.publish(staged)
        assert caught.value.fault_code == "disk-full"
        assert [bench.read(one) for one in staged] == [None, None]
        assert self.names(bench.store) == []
        again = bench.store.stage(KEY, data(b"again"), name="1")
        bench.store.publish([again])
        assert bench.read(again) == b"again"


class FileStoreSuite(StoreSuite):
    def test_a_place_is_what_was_asked_for(self, bench: Bench) -> None:
        staged = bench.store.stage(KEY, data(b"image"), name="1")
        assert staged == Staged(str(bench.store.spool_path("1")), KEY, 5)
        bench.store.publish([staged])
        assert bench.store.find(KEY) is not None

    def test_a_name_that_exists_is_replaced(self, bench: Bench) -> None:
        for content in (b"first, and longer", b"second"):
            staged = bench.store.stage(KEY, data(content), name="1")
            bench.store.publish([staged])
            assert bench.read(staged) == content

    def test_what_was_not_published_is_left_over(self, bench: Bench) -> None:
        bench.store.stage(KEY, data(b"image"), name="1")
        bench.store.publish([bench.store.stage(OTHER, data(b"image"), name="3")])
        assert self.names(bench.store) == ["1"]

    def test_what_was_found_can_be_confirmed(self, bench: Bench) -> None:
        staged = bench.store.stage(KEY, data(b"image"), name="1")
        bench.store.publish([staged])
        bench.store.confirm([KEY])
        bench.store.confirm([])
        assert bench.read(staged) == b"image"

"""The contract of ``digests.interface.Digests``: whatever makes them, they are MD5's.

A subclass gives the fixture ``digests``. What is right is said by ``hashlib``, and by RFC 1321.
"""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from threading import Barrier, Thread

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fetcher.digests import Buffer, Digests

# One implementation serves all examples; there is nothing in it that they could change.
STATELESS = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])

# RFC 1321, A.5.
KNOWN = {
    b"": "d41d8cd98f00b204e9800998ecf8427e",
    b"a": "0cc175b9c0f1b6a831c399e269772661",
    b"abc": "900150983cd24fb0d6963f7d28e17f72",
    b"message digest": "f96b697d7cb7938d525a2f31aaf161d0",
    b"abcdefghijklmnopqrstuvwxyz": "c3fcd3d76192e4007dfb496cca67e13b",
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789": (
        "d174ab98d277d9f5a5611c2c9f419d9f"
    ),
    b"1234567890" * 8: "57edf4a22be3c955ac49da2e2107b67a",
}

# Where the padding begins to need a block of its own, and where blocks end.
EDGES = [n + d for n in (0, 56, 64, 120, 128, 512, 4096) for d in (-1, 0, 1) if n + d >= 0]
SIZES = st.one_of(st.sampled_from(EDGES), st.integers(0, 300), st.integers(0, 20_000))
COMPANIES = st.lists(SIZES, max_size=70)


def bodies(sizes: Sequence[int]) -> list[bytes]:
    """Every one of its own, and no block like the next."""
    return [hashlib.shake_128(f"{n}".encode()).digest(size) for n, size in enumerate(sizes)]


def right(data: Buffer) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()


class DigestsSuite:
    @pytest.mark.parametrize("text", KNOWN)
    def test_it_is_md5(self, digests: Digests, text: bytes) -> None:
        digest = digests.new()
        digest.update(text)
        assert digest.digest().hex() == KNOWN[text]

    def test_known_ones_together(self, digests: Digests) -> None:
        found = digests.digest_together(list(KNOWN))
        assert [digest.hex() for digest in found] == list(KNOWN.values())

    @STATELESS
    @given(sizes=COMPANIES)
    @example(sizes=[])
    @example(sizes=[0] * 40)
    @example(sizes=EDGES * 4)
    @example(sizes=[1_000_000] + [10] * 40)
    @example(sizes=[64 * n for n in range(70)])
    def test_company_does_not_matter(self, digests: Digests, sizes: list[int]) -> None:
        """Law 8, of whole bodies."""
        given_ = bodies(sizes)
        assert digests.digest_together(given_) == [right(body) for body in given_]

    @pytest.mark.parametrize("count", range(1, 70))
    def test_each_number_of_equal_sizes(self, digests: Digests, count: int) -> None:
        given_ = bodies([1000] * count)
        assert digests.digest_together(given_) == [right(body) for body in given_]

    @STATELESS
    @given(
        chunks=st.lists(st.lists(SIZES, max_size=5), max_size=40),
        alone=st.lists(st.booleans(), min_size=5, max_size=5),
    )
    def test_chunks_do_not_matter(
        self, digests: Digests, chunks: list[list[int]], alone: list[bool]
    ) -> None:
        """Law 8: each body cut by ``chunks``, fed in company, or each alone."""
        whole = bodies([sum(cuts) for cuts in chunks])
        made = [digests.new() for _ in whole]
        cut = [list(pairwise(accumulate(cuts, initial=0))) for cuts in chunks]
        for turn in range(5):
            pairs = [
                (digest, body[slice(*parts[turn])])
                for digest, body, parts in zip(made, whole, cut, strict=True)
                if turn < len(parts)
            ]
            if alone[turn]:
                for digest, piece in pairs:
                    digest.update(piece)
            else:
                digests.update_together(pairs)
        assert [digest.digest() for digest in made] == [right(body) for body in whole]

    def test_each_cut_of_two_blocks(self, digests: Digests) -> None:
        (body,) = bodies([150])
        cuts = [(a, b) for b in range(151) for a in range(0, b + 1, 7)]
        made = [digests.new() for _ in cuts]
        for start in (0, 1, 2):
            edges = [(0, a, b, 150)[start : start + 2] for a, b in cuts]
            digests.update_together([(d, body[a:b]) for d, (a, b) in zip(made, edges, strict=True)])
        assert {digest.digest() for digest in made} == {right(body)}

    def test_a_digest_in_between_ends_nothing(self, digests: Digests) -> None:
        digest = digests.new()
        body = b""
        for piece in bodies([10, 60, 64, 0, 1]):
            digest.update(piece)
            body += piece
            assert digest.digest() == digest.digest() == right(body)

    @pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
    def test_what_bytes_may_be(self, digests: Digests, kind: Callable[[bytes], Buffer]) -> None:
        body = bodies([5000])[0]
        digest = digests.new()
        digests.update_together([(digest, kind(body))])
        assert digest.digest() == right(body)
        assert digests.digest_together([kind(body)] * 3) == [right(body)] * 3

    def test_a_mapped_file_and_part_of_a_view(self, digests: Digests) -> None:
        with mmap.mmap(-1, 10_000) as mapped:
            mapped[:] = bodies([10_000])[0]
            with memoryview(mapped) as view, view[17:7001] as part:
                assert digests.digest_together([part, view]) == [right(part), right(view)]

    @pytest.mark.parametrize(
        ("wrong", "error"),
        [(memoryview(bytes(200))[::2], BufferError), ("text", TypeError), (None, TypeError)],
    )
    def test_what_is_no_bytes_in_one_piece_is_refused_before_anything_is_fed(
        self, digests: Digests, wrong: bytes, error: type[Exception]
    ) -> None:
        one, other = digests.new(), digests.new()
        with pytest.raises(error):
            digests.update_together([(one, b"x" * 100), (other, wrong)])
        with pytest.raises(error):
            digests.digest_together([b"x" * 100, wrong])
        with pytest.raises(error):
            other.update(wrong)
        assert one.digest() == other.digest() == right(b"")

    def test_the_same_digest_twice_is_refused_before_anything_is_fed(
        self, digests: Digests
    ) -> None:
        one, other = digests.new(), digests.new()
        with pytest.raises(ValueError, match="one digest twice"):
            digests.update_together([(one, b"1"), (other, b"2"), (one, b"3")])
        assert one.digest() == other.digest() == right(b"")
        one.update(b"1")
        assert one.digest() == right(b"1")

    def test_bytes_are_free_again_afterwards(self, digests: Digests) -> None:
        held = [bytearray(n) for n in (0, 10, 100, 10_000)]
        digests.digest_together(held)
        with pytest.raises(TypeError):
            digests.digest_together([*held, "text"])  # type: ignore[list-item]
        digests.update_together([(digests.new(), data) for data in held])
        for data in held:
            data.append(1)  # a BufferError if anyone still held it

    def test_several_threads_at_once(self, digests: Digests) -> None:
        """Each with digests of its own, long enough to run without the interpreter's lock."""
        whole = bodies([50_000 + n for n in range(20)])
        want = [right(body) for body in whole]
        start, wrong = Barrier(4), []

        def work() -> None:
            start.wait()
            for _ in range(5):
                made = [digests.new() for _ in whole]
                digests.update_together(list(zip(made, whole, strict=True)))
                if not (digests.digest_together(whole) == [d.digest() for d in made] == want):
                    wrong.append(1)

        threads = [Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong

"""What every ``ports.RobotsBook`` does. A subclass gives the fixture ``book``."""

from __future__ import annotations

from fetcher.model import RobotsNote
from fetcher.ports import RobotsBook

A, B, C = "https://a.example", "http://a.example", "https://b.example:8443"


def note(origin: str, at: float = 1_700_000_000.25, rules: str = "", who: str = "us") -> RobotsNote:
    return RobotsNote(origin, who, at, rules)


class RobotsBookSuite:
    async def test_nothing_is_known_at_first(self, book: RobotsBook) -> None:
        assert await book.recall([A, B], "us") == {}
        assert await book.recall([], "us") == {}

    async def test_what_is_remembered_is_recalled_as_it_was(self, book: RobotsBook) -> None:
        notes = [note(A, rules="2 Disallow: /ü\n9 Allow: /\N{PILE OF POO}'\""), note(C)]
        await book.remember(notes)
        assert await book.recall([C, B, A], "us") == {A: notes[0], C: notes[1]}
        assert await book.recall([B], "us") == {}

    async def test_the_last_word_counts(self, book: RobotsBook) -> None:
        await book.remember([note(A, rules="1 Disallow: /"), note(B)])
        await book.remember([note(A, at=1_700_000_001.0)])
        assert await book.recall([A, B], "us") == {A: note(A, at=1_700_000_001.0), B: note(B)}

    async def test_what_was_read_for_another_product_is_not_ours(self, book: RobotsBook) -> None:
        await book.remember([note(A, rules="1 Disallow: /", who="them")])
        assert await book.recall([A], "us") == {}
        await book.remember([note(A)])
        assert await book.recall([A], "us") == {A: note(A)}
        assert await book.recall([A], "them") == {}

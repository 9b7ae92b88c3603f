"""Targets: a list's text, cut in blocks as it comes, and the records in them."""

from __future__ import annotations

import io
from typing import Final
from unittest.mock import patch

from fetcher.source.streams import DamageError
from fetcher.source.text import NUL, SUBSTITUTE, Block, blocks_of, record_reader
from scripts.fuzzing.laws import Choices, Target, require
from scripts.fuzzing.lists import CHUNKS, TEXT_WORDS, TEXTS


def _blocks(data: bytes) -> None:
    choices = Choices(data)
    chunk = CHUNKS[choices.below(len(CHUNKS))]
    sample = choices.below(64)
    longest = choices.below(256)
    content = choices.rest()
    if content in {b"\xef", b"\xef\xbb"}:
        return  # half a byte order mark, which Python's decoder keeps to itself: no text at all
    pieces = [content[at : at + chunk] for at in range(0, len(content), chunk)]
    blocks: list[str] = []
    with (
        patch("fetcher.source.text.SAMPLE", sample),
        patch("fetcher.source.text.MAX_FIELD", 16),
        patch("fetcher.source.text._MAX_LINE", longest),
    ):
        try:
            for block in blocks_of(pieces):
                blocks.append(block.text)
                require(block.text.encode() == block.data, "a block's bytes are of another text")
        except DamageError:
            text = content[: _valid(content)].decode("utf-8-sig")
            whole = _lines(text + "\0")[:-1]
            # A line that is too long is given up before its end is seen, or is not.
            given_up = [line for block in blocks for line in _lines(block)][len(whole) :]
            text = "".join(whole) + ("y" * (longest + 1) if given_up else "")
        else:
            text = content.decode("utf-8-sig")
    text = text.replace(NUL, SUBSTITUTE)
    lines, kept = _lines(text), [_lines(block) for block in blocks]
    for part in blocks[:-1]:
        require(part.endswith(("\n", "\r")), "a block ends within a line")
    together = [line for block in kept for line in block]
    require(len(together) == len(lines), f"{len(lines)} lines became {len(together)}")
    for line, original in zip(together, lines, strict=True):
        if line != original:
            require(line == "x" * 17 + "\n", f"{original!r} became {line!r}")
            require(len(original) > longest, "a line was dropped that is not too long")


def _valid(content: bytes) -> int:
    """Bytes before the first that is not UTF-8."""
    try:
        content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # The codec counts from behind the mark that it has taken off.
        return error.start + (3 if content.startswith(b"\xef\xbb\xbf") else 0)
    return len(content)


def _lines(text: str) -> list[str]:
    return list(io.StringIO(text, newline=""))


def _records(data: bytes) -> None:
    """``csv`` behind the blocks finds what it finds in the text as a whole."""
    choices = Choices(data)
    sample, chunk = choices.below(64), CHUNKS[choices.below(len(CHUNKS))]
    delimiter = ",\t"[choices.below(2)]
    quoted = choices.flag()
    text = choices.rest().decode(errors="ignore").replace(NUL, SUBSTITUTE)
    content = text.encode()
    pieces = [content[at : at + chunk] for at in range(0, len(content), chunk)]
    with patch("fetcher.source.text.SAMPLE", sample):
        found = list(record_reader(blocks_of(pieces), delimiter, quoted=quoted))
    whole = list(record_reader([Block.of(text.removeprefix("\ufeff"))], delimiter, quoted=quoted))
    require(found == whole, "records depend on how the text came")


TARGETS: Final = (
    Target(
        "list-blocks",
        "blocks hold the lines of the text, each once, and end where a line does",
        _blocks,
        tuple(bytes([n % 5, n, 40]) + text[:300] for n, text in enumerate(TEXTS)),
        TEXT_WORDS,
        longest=512,
    ),
    Target(
        "list-records",
        "records are those of the whole text, however it comes in pieces",
        _records,
        tuple(bytes([n, n % 5, n % 2, n % 3]) + text[:300] for n, text in enumerate(TEXTS)),
        TEXT_WORDS,
        longest=512,
    ),
)

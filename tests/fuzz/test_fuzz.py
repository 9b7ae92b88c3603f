"""What was found stays mended, and every target holds on a few inputs by chance.

``scripts/prove fuzz`` does the same for longer, and with coverage to guide it.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Final

import pytest

from scripts.fuzzing import corpus, fuzzing, mutation
from scripts.fuzzing.laws import BrokenLawError, Target, require
from scripts.fuzzing.registry import TARGETS
from scripts.fuzzing.shrinking import failure, shrink

ALL: Final = sorted(TARGETS)
SEED: Final = 20_161_101
COUNT: Final = 400
FEWER: Final = {"list-packed": 120, "list-raw": 120, "list-parquet": 150, "list-text": 200}
FOUND: Final = [(name, found) for name in ALL for found in corpus.kept(name)]


@pytest.mark.parametrize(("name", "found"), FOUND, ids=lambda part: part)
def test_what_was_found_is_mended(name: str, found: str) -> None:
    TARGETS[name].run(corpus.kept(name)[found])


@pytest.mark.parametrize("name", ALL)
def test_the_law_holds_by_chance(name: str) -> None:
    target = TARGETS[name]
    broken = fuzzing.try_some(target, count=FEWER.get(name, COUNT), seed=SEED)
    if broken is not None:
        target.run(shrink(target.run, broken))  # with the exception and the short input


def test_nothing_is_kept_of_a_target_that_is_none() -> None:
    assert {path.name for path in corpus.PLACE.iterdir()} <= set(TARGETS)


def test_the_same_seed_gives_the_same_inputs() -> None:
    target = TARGETS["url"]
    one, same, other = (list(islice(mutation.inputs(target, seed=seed), 500)) for seed in (1, 1, 2))
    assert one == same != other
    assert one[: len(target.seeds)] == list(target.seeds)
    assert max(map(len, one)) <= target.longest


def no_bang(data: bytes) -> None:
    require(b"!" not in data[3:] or b"?" not in data, "a bang behind a question")
    if data.startswith(b"#"):
        raise KeyError(data)


PICKY: Final = Target("picky", "no bang", no_bang, (b"seed!?",))


def test_a_finding_is_shrunk_to_what_breaks_the_law_in_the_same_way() -> None:
    long = b"some text? and more! and then some" * 3
    assert shrink(no_bang, long) in {b"?00!", b"0?0!", b"00?!", b"000!?"}
    assert shrink(no_bang, b"#" + bytes(40)) == b"#"
    assert shrink(no_bang, b"nothing") == b"nothing"
    assert (failure(no_bang, b"nothing"), "KeyError" in str(failure(no_bang, b"#"))) == (None, True)


def test_chance_finds_what_is_near_a_seed(tmp_path: Path) -> None:
    broken = fuzzing.try_some(PICKY, count=2_000, seed=SEED)
    assert broken is not None
    with pytest.raises(BrokenLawError):
        no_bang(shrink(no_bang, broken))
    kept = corpus.keep("picky", broken, tmp_path)
    assert corpus.kept("picky", tmp_path) == {kept.name: broken}
    assert corpus.kept("none", tmp_path) == {}

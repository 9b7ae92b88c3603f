"""Laws of units: what is shown is read back as the same value; what is senseless is refused."""

from __future__ import annotations

from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from fetcher.config import units
from fetcher.config.schema import Config, In
from fetcher.config.texts import endpoint
from fetcher.config.units import GIB, KIB, MIB, Unit
from fetcher.config.yamltext import dump, parse

_SECONDS = st.floats(min_value=0, max_value=3650 * 86_400, allow_subnormal=True)
_BYTES = st.integers(0, 2**63 - 1) | st.integers(0, 4096).map(lambda n: n * MIB)
_POSITIVE_BYTES = _BYTES.filter(bool)
_RATES = st.floats(1e-5, 1e6)


def reread(unit: Unit[Any], value: object) -> object:
    """``value`` shown, written into a file, and read from there."""
    return unit.parse(parse(f"key: {dump(unit.show(value))}").value["key"])


@given(_SECONDS)
def test_durations_round_trip(seconds: float) -> None:
    assert reread(units.DURATION_OR_ZERO, seconds) == seconds


@given(_BYTES)
def test_sizes_round_trip(size: int) -> None:
    assert reread(units.SIZE_OR_ZERO, size) == size


@given(st.none() | _POSITIVE_BYTES)
def test_bandwidths_round_trip(value: int | None) -> None:
    assert reread(units.BANDWIDTH, value) == value


@given(st.none() | _RATES)
def test_rates_round_trip(rate: float | None) -> None:
    assert reread(units.RATE, rate) == rate


@given(st.floats(0, 1))
def test_shares_round_trip(share: float) -> None:
    assert reread(units.SHARE, share) == share


@given(st.integers(0, 10**9), st.sampled_from(["ms", "s", "m", "h", "d"]))
def test_the_number_and_its_text_are_the_same_duration(n: int, word: str) -> None:
    scale = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400}[word]
    if n * scale <= 3650 * 86_400:
        assert units.DURATION_OR_ZERO.parse(f"{n}{word}") == pytest.approx(n * scale, rel=1e-12)


@pytest.mark.parametrize(
    ("unit", "given_", "value"),
    [
        (units.DURATION, 10, 10.0),
        (units.DURATION, 0.25, 0.25),
        (units.DURATION, "10", 10.0),
        (units.DURATION, "10s", 10.0),
        (units.DURATION, "5 m", 300.0),
        (units.DURATION, "1h", 3600.0),
        (units.DURATION, "250ms", 0.25),
        (units.DURATION, "2d", 172_800.0),
        (units.DURATION, "1.5h", 5400.0),
        (units.DURATION_OR_ZERO, 0, 0.0),
        (units.DURATION_OR_ZERO, -0.0, 0.0),
        (units.SIZE, 1000, 1000),
        (units.SIZE, 1e9, 10**9),
        (units.SIZE, "64MiB", 64 * MIB),
        (units.SIZE, "10MB", 10_000_000),
        (units.SIZE, "1.5GiB", 3 * GIB // 2),
        (units.SIZE, "512KiB", 512 * KIB),
        (units.SIZE, "5kB", 5000),
        (units.SIZE, "1.1KiB", 1126),
        (units.BANDWIDTH, "10MiB/s", 10 * MIB),
        (units.BANDWIDTH, "500KB", 500_000),
        (units.BANDWIDTH, "unlimited", None),
        (units.RATE, 5, 5.0),
        (units.RATE, "0.5", 0.5),
        (units.RATE, "unlimited", None),
        (units.SHARE, "20%", 0.2),
        (units.SHARE, 0.2, 0.2),
        (units.SHARE, 1, 1.0),
        (units.COUNT, 1e6, 1_000_000),
        (units.COUNT, "7", 7),
    ],
)
def test_accepted(unit: Unit[Any], given_: object, value: object) -> None:
    parsed = unit.parse(given_)
    assert repr(parsed) == repr(value), "the type and the sign of zero, too"


_NEVER = [-1, "-1", True, False, float("nan"), float("inf"), "nan", "inf", "", "ten", [], {}, None]
_QUANTITIES = [
    units.DURATION,
    units.DURATION_OR_ZERO,
    units.SIZE,
    units.SIZE_OR_ZERO,
    units.BANDWIDTH,
    units.RATE,
    units.SHARE,
    units.COUNT,
]


@pytest.mark.parametrize("unit", _QUANTITIES)
@pytest.mark.parametrize("value", _NEVER, ids=repr)
def test_refused_by_every_quantity(unit: Unit[Any], value: object) -> None:
    with pytest.raises(ValueError, match=r"^$"):
        unit.parse(value)


@pytest.mark.parametrize(
    ("unit", "value"),
    [
        (units.DURATION, 0),
        (units.DURATION, "0s"),
        (units.DURATION, "1e-999s"),
        (units.DURATION, "1:30"),
        (units.DURATION, "010"),
        (units.DURATION, "5M"),
        (units.DURATION, "5MB"),
        (units.DURATION, "4000d"),
        (units.DURATION, 10**400),
        (units.DURATION, "٣s"),
        (units.SIZE, 0),
        (units.SIZE, 1.5),
        (units.SIZE, "1.5B"),
        (units.SIZE, "64M"),
        (units.SIZE, "64Mb"),
        (units.SIZE, "64m"),
        (units.SIZE, "8388608TiB"),
        (units.SIZE, "1e999TiB"),
        (units.SIZE, "10MiB/s"),
        (units.BANDWIDTH, 0),
        (units.BANDWIDTH, "10Mbit/s"),
        (units.RATE, 0),
        (units.RATE, "5/s"),
        (units.RATE, 1e-300),
        (units.SHARE, "20"),
        (units.SHARE, "101%"),
        (units.COUNT, 0),
        (units.COUNT, 1.5),
        (units.COUNT, 2**31),
        (units.FLAG, "yes"),
        (units.FLAG, 1),
    ],
)
def test_refused(unit: Unit[Any], value: object) -> None:
    with pytest.raises(ValueError, match=r"^$|percent"):
        unit.parse(value)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0s"), (0.25, "250ms"), (1.5, "1.5s"), (90, "90s"), (300, "5m"), (86_400, "1d")],
)
def test_durations_are_shown_in_the_largest_whole_unit(seconds: float, shown: str) -> None:
    assert units.show_duration(seconds) == shown


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (0, 0),
        (1, 1),
        (1537, 1537),
        (KIB, "1KiB"),
        (10**7, "10MB"),
        (256 * MIB, "256MiB"),
    ],
)
def test_sizes_are_shown_in_the_largest_whole_unit(size: int, shown: str | int) -> None:
    assert units.show_size(size) == shown


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("Example.org:443", ("example.org", 443)),
        ("[::1]:8443", ("::1", 8443)),
        ("127.0.0.1:65535", ("127.0.0.1", 65535)),
    ],
)
def test_endpoints(text: str, parts: tuple[str, int]) -> None:
    assert endpoint(text) == parts


@pytest.mark.parametrize("text", ["", "a", "a:", ":1", "a:0", "a:65536", "::1:80", "[a]:1", "a:x"])
def test_no_endpoints(text: str) -> None:
    with pytest.raises(ValueError, match=r"^$|IP|parts"):
        endpoint(text)


def test_every_default_is_a_value_that_its_unit_shows_and_reads() -> None:
    def check(section: Any) -> None:
        for name, hint in get_type_hints(type(section), include_extras=True).items():
            value = getattr(section, name)
            written_in = [note.unit for note in get_args(hint) if isinstance(note, In)]
            for unit in written_in:
                assert reread(unit, value) == value
            checked.extend(written_in)
            if isinstance(value, Struct):
                check(value)

    checked: list[units.Unit[Any]] = []
    check(Config())
    assert len(checked) > 40

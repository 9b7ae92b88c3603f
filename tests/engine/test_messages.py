"""What goes between a run and its workers arrives as it was sent."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from fetcher.engine.messages import pack_errand, pack_report, unpack
from fetcher.model import (
    Asset,
    Expectation,
    Fault,
    Keep,
    Landed,
    Method,
    Partial,
    Receipt,
    Slot,
    State,
    Validators,
    Verdict,
)
from fetcher.ports import Abandoned, Arrived, Errand, Refused, Report, Step, TurnedBack

TEXTS = st.text(max_size=8)
NUMBERS = st.integers(0, 2**60)
MAYBE = st.none() | TEXTS
ASSETS = st.builds(
    Asset,
    NUMBERS,
    TEXTS,
    TEXTS,
    TEXTS,
    st.just(""),
    st.builds(Expectation, st.none() | NUMBERS, MAYBE),
    st.just(0),
    TEXTS,
)
PARTIALS = st.builds(
    Partial, TEXTS.map(Path), NUMBERS, st.builds(Validators, MAYBE, MAYBE), st.booleans()
)
RECEIPTS = st.builds(Receipt, NUMBERS, TEXTS, MAYBE, TEXTS, NUMBERS, st.just(Validators()))
VERDICTS = st.builds(Verdict, st.sampled_from(State), MAYBE, st.sampled_from(Keep))
SLOTS = st.builds(Slot, NUMBERS, NUMBERS)
FAULTS = st.builds(Fault, TEXTS, TEXTS)


@given(
    st.builds(
        Errand,
        ASSETS,
        TEXTS,
        st.just(""),
        NUMBERS,
        st.none() | PARTIALS,
        st.none() | NUMBERS,
        st.sampled_from(Method),
        st.none() | st.booleans(),
    )
)
def test_an_errand_survives_its_way(sent: Errand) -> None:
    """All of it that a worker needs; the group of its host and past attempts it does not."""
    assert unpack(pack_errand(sent)) == sent


@given(
    st.one_of(
        NUMBERS.map(Arrived),
        st.sampled_from(Step),
        FAULTS,
        st.just(Abandoned()),
        st.just(TurnedBack()),
        st.builds(Refused, st.just(3), FAULTS),
        st.builds(Landed, st.just(3), RECEIPTS, VERDICTS, MAYBE, st.none() | SLOTS),
    ),
    st.none() | NUMBERS,
)
def test_a_report_survives_its_way(result: object, received: int | None) -> None:
    told_at_once = isinstance(result, (Landed, Refused))
    sent = Report(3, result, received if told_at_once else None)  # type: ignore[arg-type]
    assert unpack(pack_report(sent)) == sent

"""The table of codes is complete, well-formed, and says one thing of each."""

from __future__ import annotations

import errno
import re

import pytest

from fetcher.model import KEPT, Fate, State
from fetcher.policy.codes import CODES, fate, final_state
from fetcher.policy.oserrors import disk_fault

CONTRACT = set(
    """
    http-404 http-410 placeholder dns-not-found http-403 robots size-mismatch md5-mismatch
    not-an-image too-large truncated connect-timeout stalled total-timeout connection-reset
    rate-limited http-5xx tls-error too-many-redirects protocol-error blocked-address bad-url
    bad-scheme
""".split()  # noqa: SIM905  reads as it stands in the design
)
"""Named by the design; codes are stable for ever."""

STATES_OF_THE_CONTRACT = {
    State.GONE: {"http-404", "http-410", "placeholder", "dns-not-found"},
    State.DENIED: {"http-401", "http-403", "http-451", "robots"},
    State.INVALID: {"bad-url", "bad-scheme", "blocked-address"},
    State.MISMATCHED: {"size-mismatch", "md5-mismatch", "not-an-image"},
}


def test_every_code_of_the_contract_is_there() -> None:
    assert CODES.keys() >= CONTRACT


@pytest.mark.parametrize("state", STATES_OF_THE_CONTRACT)
def test_states_of_the_contract(state: State) -> None:
    assert {final_state(code) for code in STATES_OF_THE_CONTRACT[state]} == {state}


@pytest.mark.parametrize("code", CODES)
def test_a_code_is_kebab_case_and_explained(code: str) -> None:
    info = CODES[code]
    assert info.code == code
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", code)
    assert info.meaning
    assert info.meaning == info.meaning.strip()
    assert not info.meaning.endswith(".")
    assert "|" not in info.meaning  # it stands in the README's tables


def test_no_two_codes_mean_the_same() -> None:
    assert len({info.meaning for info in CODES.values()}) == len(CODES)


@pytest.mark.parametrize("code", CODES)
def test_fate_and_state_go_together(code: str) -> None:
    state = final_state(code)
    match fate(code):
        case Fate.LOCAL:
            assert state is State.PENDING
        case Fate.TRANSIENT:
            assert state is State.FAILED
        case Fate.PERMANENT:
            assert state.terminal
            assert state not in KEPT | {State.ALIVE}
            assert state is not State.FAILED or code == "crashed"  # which says nothing of the host


def test_every_state_that_is_a_loss_has_a_code() -> None:
    losses = set(State) - KEPT - {State.PENDING, State.ALIVE}
    assert {final_state(code) for code in CODES} - {State.PENDING} == losses


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENOSPC, "disk-full"),
        (errno.EDQUOT, "disk-full"),
        (errno.EMFILE, "out-of-descriptors"),
        (errno.ENFILE, "out-of-descriptors"),
        (errno.EIO, "disk-error"),
        (errno.EROFS, "disk-error"),
        (errno.EACCES, "disk-error"),
        (None, "disk-error"),
    ],
)
def test_errors_of_the_disk_are_our_own(number: int | None, code: str) -> None:
    assert disk_fault(OSError(number, "x") if number is not None else OSError("x")) == code
    assert fate(code) is Fate.LOCAL

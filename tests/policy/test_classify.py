"""Every status has a code that the table knows, but for the one that is a success."""

from __future__ import annotations

import pytest

from fetcher.model import Fate, State
from fetcher.policy.classify import REDIRECTS, status_code
from fetcher.policy.codes import CODES

LISTED = {
    100: "http-unexpected",
    200: None,
    204: "http-unexpected",
    206: "http-unexpected",
    304: "http-unexpected",
    302: "http-unexpected",
    400: "http-4xx",
    401: "http-401",
    403: "http-403",
    404: "http-404",
    408: "http-4xx",
    410: "http-410",
    416: "http-4xx",
    418: "http-4xx",
    429: "rate-limited",
    451: "http-451",
    499: "http-4xx",
    500: "http-5xx",
    502: "http-5xx",
    503: "http-5xx",
    599: "http-5xx",
    600: "http-unexpected",
    999: "http-unexpected",
}


@pytest.mark.parametrize(("status", "code"), LISTED.items())
def test_table(status: int, code: str | None) -> None:
    assert status_code(status) == code


def test_every_status_has_a_known_code_and_only_200_has_none() -> None:
    codes = {status: status_code(status) for status in range(100, 1_000)}
    assert [status for status, code in codes.items() if code is None] == [200]
    assert {code for code in codes.values() if code is not None} <= CODES.keys()


def test_no_status_is_our_own_fault() -> None:
    fates = {CODES[code].fate for s in range(100, 1_000) if (code := status_code(s)) is not None}
    assert Fate.LOCAL not in fates


def test_only_404_and_410_say_that_an_image_is_gone() -> None:
    gone = [
        status
        for status in range(100, 1_000)
        if (code := status_code(status)) is not None and CODES[code].state is State.GONE
    ]
    assert gone == [404, 410]


def test_redirects_are_the_statuses_that_name_a_target_to_go_on_with() -> None:
    assert {301, 302, 303, 307, 308} == REDIRECTS

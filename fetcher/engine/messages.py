"""What passes between a run and its workers.

Nearly all messages are errands without a partial body, their steps, arrivals, and images that were
landed. These are sent as flat tuples of texts and numbers, which pickle in a third of the time that
the values themselves take; everything else is sent as it is. Of an asset only what a crew needs
goes to a worker: who owns its host, and how often it was tried, is none of the crew's business.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from msgspec import Struct

from fetcher.model import (
    Asset,
    Expectation,
    Keep,
    Landed,
    Method,
    Receipt,
    State,
    Validators,
    Verdict,
)
from fetcher.ports import Arrived, Errand, Report, Step

_ERRAND, _ARRIVED, _LANDED, _STEP = range(4)
_UNKNOWN: Final = Validators()
_METHODS: Final = {method.value: method for method in Method}


class Reach(Struct, frozen=True):
    """To a worker: try whether any of these can be reached."""

    urls: tuple[str, ...]


class Reached(Struct, frozen=True):
    """From a worker: whether it could, in the order of the questions."""

    reached: bool


class Ping(Struct, frozen=True):
    """To a worker: say whether you are there."""


class Pong(Struct, frozen=True):
    """From a worker: it is."""


class Turn(Struct, frozen=True):
    """To a worker: the answer to ``Step.READY``."""

    asset_id: int
    may_send: bool


class Abandon(Struct, frozen=True):
    """To a worker: break off every request."""


class Close(Struct, frozen=True):
    """To a worker: end, as ``ports.Crew.close``."""

    patience: float


class Closed(Struct, frozen=True):
    """From a worker: everything has been reported."""


class Broke(Struct, frozen=True):
    """From a worker: a bug has ended its crew."""

    traceback: str


def pack_errand(errand: Errand) -> Any:
    asset = errand.asset
    expected = asset.expected
    return (
        _ERRAND,
        asset.asset_id,
        asset.image_id,
        asset.subset,
        asset.url,
        expected.size,
        expected.md5,
        None if errand.url == asset.url else errand.url,
        errand.memory,
        errand.partial,
        errand.cut_at,
        errand.method.value,
        asset.extra,
        errand.leave,
    )


def pack_report(report: Report) -> Any:
    asset_id, result = report.asset_id, report.result
    if isinstance(result, Arrived):
        return _ARRIVED, asset_id, result.received
    if isinstance(result, Landed):
        receipt, verdict = result.receipt, result.verdict
        return (
            _LANDED,
            asset_id,
            receipt.size,
            receipt.md5,
            receipt.content_type,
            receipt.final_url,
            receipt.http_status,
            verdict.state.value,
            verdict.code,
            verdict.keep.value,
            result.path,
            result.slot,
            report.received,
        )
    if isinstance(result, Step):
        return _STEP, asset_id, result.value
    return report


def unpack(message: Any) -> Any:
    """The value that was packed; of a landed image, its validators stay behind."""
    if type(message) is not tuple:
        return message
    tag = message[0]
    if tag == _ERRAND:
        _, asset_id, image_id, subset, listed, size, md5, url, memory, *rest = message
        partial, cut_at, how, extra, leave = rest
        asset = Asset(asset_id, image_id, subset, listed, "", Expectation(size, md5), 0, extra)
        url = url if url is not None else listed
        return Errand(asset, url, "", memory, partial, cut_at, _METHODS[how], leave)
    if tag == _ARRIVED:
        return Report(message[1], Arrived(message[2]))
    if tag == _STEP:
        return Report(message[1], Step(message[2]))
    _, asset_id, size, md5, content_type, final_url, status, *judged, path, slot, arrived = message
    receipt = Receipt(size, md5, content_type, final_url, status, _UNKNOWN)
    return Report(asset_id, Landed(asset_id, receipt, _verdict(*judged), path, slot), arrived)


@lru_cache(maxsize=256)
def _verdict(state: str, code: str | None, keep: str) -> Verdict:
    return Verdict(State(state), code, Keep(keep))

"""All targets. One that is new is named in its module's ``TARGETS``, and its module here."""

from __future__ import annotations

from itertools import chain
from typing import Final

from scripts.fuzzing import addresses, columns, headers, lists, rows, settings, texts
from scripts.fuzzing.laws import Target

_MODULES: Final = (lists, texts, columns, headers, addresses, settings, rows)

TARGETS: Final[dict[str, Target]] = {
    target.name: target for target in chain.from_iterable(module.TARGETS for module in _MODULES)
}

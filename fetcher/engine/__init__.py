"""The asyncio shell: asks the frontier, sends out the crew, settles.

What is named here is loaded when it is asked for: a worker does without what a run works with.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fetcher.engine.crew import TaskCrew
    from fetcher.engine.ending import Ending, EndReason
    from fetcher.engine.finishing import Finisher, LandingRules
    from fetcher.engine.landing import ThreadedLanding
    from fetcher.engine.options import EngineOptions
    from fetcher.engine.prompt import PromptLanding
    from fetcher.engine.recovery import AuditRecovery, StoreRecovery
    from fetcher.engine.run import Engine
else:

    def __getattr__(name):  # noqa: ANN001, ANN202  to mypy there are the names above
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


_HOMES = {
    "AuditRecovery": "recovery",
    "EndReason": "ending",
    "Ending": "ending",
    "Engine": "run",
    "EngineOptions": "options",
    "Finisher": "finishing",
    "LandingRules": "finishing",
    "PromptLanding": "prompt",
    "StoreRecovery": "recovery",
    "TaskCrew": "crew",
    "ThreadedLanding": "landing",
}

__all__ = [
    "AuditRecovery",
    "EndReason",
    "Ending",
    "Engine",
    "EngineOptions",
    "Finisher",
    "LandingRules",
    "PromptLanding",
    "StoreRecovery",
    "TaskCrew",
    "ThreadedLanding",
]

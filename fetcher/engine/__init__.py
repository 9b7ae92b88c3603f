"""The asyncio shell: asks the frontier, sends out the crew, settles.

What is named here is loaded when it is asked for: a worker does without what a run works with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fetcher.lazy import attach

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
    __getattr__ = attach(
        __name__,
        {
            "crew": ["TaskCrew"],
            "ending": ["EndReason", "Ending"],
            "finishing": ["Finisher", "LandingRules"],
            "landing": ["ThreadedLanding"],
            "options": ["EngineOptions"],
            "prompt": ["PromptLanding"],
            "recovery": ["AuditRecovery", "StoreRecovery"],
            "run": ["Engine"],
        },
    )

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

"""The asyncio shell: asks the frontier, sends out the crew, settles."""

from fetcher.engine.crew import TaskCrew
from fetcher.engine.ending import Ending, EndReason
from fetcher.engine.finishing import Finisher, LandingRules
from fetcher.engine.landing import ThreadedLanding
from fetcher.engine.options import EngineOptions
from fetcher.engine.prompt import PromptLanding
from fetcher.engine.recovery import AuditRecovery, StoreRecovery
from fetcher.engine.run import Engine

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

"""The asyncio shell: asks the frontier, sends out the crew, settles."""

from fetcher.engine.crew import TaskCrew
from fetcher.engine.landing import LandingRules, ThreadedLanding
from fetcher.engine.recovery import AuditRecovery, StoreRecovery
from fetcher.engine.run import Ending, EndReason, Engine, EngineOptions

__all__ = [
    "AuditRecovery",
    "EndReason",
    "Ending",
    "Engine",
    "EngineOptions",
    "LandingRules",
    "StoreRecovery",
    "TaskCrew",
    "ThreadedLanding",
]

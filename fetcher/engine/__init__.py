"""The asyncio shell: asks the frontier, runs attempts, settles."""

from fetcher.engine.landing import LandingRules, ThreadedLanding
from fetcher.engine.run import Ending, EndReason, Engine, EngineOptions

__all__ = ["EndReason", "Ending", "Engine", "EngineOptions", "LandingRules", "ThreadedLanding"]

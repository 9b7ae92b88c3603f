"""One run's life: how far it is, what fails in it, and when it is cut off.

A kill is not an exception that could be handled: from that instant on, whatever still runs cannot
do anything to the world any more, and the loop stops.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, Self

from tests.simulation.scenario import Crash, Run, Trouble

KILLED = -signal.SIGKILL


class Killed(BaseException):
    """Raised to whatever acts after its process has ended."""


class Mortal(Protocol):
    @property
    def dead(self) -> bool: ...

    def check(self) -> None:
        """Raises ``Killed``."""

    def kill(self, exit_code: int = ...) -> None:
        """It ends here and now."""


@dataclass(slots=True)
class Life:
    """``end`` stops the loop."""

    run: Run
    end: Callable[[], None]
    dead: bool = False
    disk_failed: str | None = None
    """The code of the disk's last fault that this run was told of."""
    book_failed: str | None = None
    _steps: dict[str, int] = field(default_factory=lambda: {"disk": 0, "book": 0})

    @classmethod
    def none(cls) -> Self:
        return cls(Run(), lambda: None)

    def check(self) -> None:
        if self.dead:
            raise Killed

    def kill(self, exit_code: int = KILLED) -> None:
        del exit_code
        self.dead = True
        self.end()

    def last_step(self, place: str) -> bool:
        """Whether the next step is the one at which the run is cut off."""
        return self._steps[place] + 1 == self._kill_at(place)

    def step(self, place: str) -> str | None:
        """Take one; the kind of trouble that befalls it, if any."""
        self.check()
        self._steps[place] += 1
        number = self._steps[place]
        if number == self._kill_at(place):
            self.kill()
            raise Killed
        troubles = self.run.disk if place == "disk" else self.run.book
        return _kind(troubles, number)

    def _kill_at(self, place: str) -> int | None:
        kill = self.run.kill
        if kill is None:
            return None
        return kill.disk if place == "disk" else kill.book


@dataclass(slots=True)
class WorkerLife:
    """A worker's, which ends with the run's. ``end`` is called when it ends before."""

    run: Life
    end: Callable[[], None]
    crash: Crash | None = None
    crashed: bool = False
    exit_code: int | None = None
    """How it ended, if before the run."""
    _steps: int = 0

    @property
    def dead(self) -> bool:
        return self.crashed or self.run.dead

    def check(self) -> None:
        if self.dead:
            raise Killed

    def kill(self, exit_code: int = KILLED) -> None:
        if not self.dead:
            self.crashed, self.exit_code = True, exit_code
            self.end()

    def last_step(self) -> bool:
        return self.crash is not None and self._steps + 1 == self.crash.step

    def step(self) -> None:
        self.check()
        self._steps += 1
        if self.crash is not None and self._steps == self.crash.step:
            self.kill()
            raise Killed


def _kind(troubles: tuple[Trouble, ...], number: int) -> str | None:
    for trouble in troubles:
        if trouble.first <= number <= trouble.last:
            return trouble.kind
    return None

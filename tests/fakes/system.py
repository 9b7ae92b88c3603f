"""The store's system calls: recorded, failing at the n-th, or ending the process there."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import fields, replace

from fetcher.store.system import System

EXT4 = 0xEF53
NO_CALLS = frozenset({"file_system_type", "release"})


class Killed(BaseException):
    """The process ends here: no call after it does anything, as after kill -9."""


@dataclass
class Recorder:
    """Makes ``system()``, whose calls are real, and written to ``calls`` as (name, path).

    ``fail_at``: the call of that number (from 0) raises ``OSError(number)`` instead.
    ``kill_at``: that one, and all after it, raise ``Killed``.
    """

    fail_at: int | None = None
    number: int = 0
    kill_at: int | None = None
    file_system: int = EXT4
    calls: list[tuple[str, str]] = field(default_factory=list)
    _paths: dict[int, str] = field(default_factory=dict)

    def system(self, **instead: Any) -> System:
        real = replace(System(), file_system_type=lambda _: self.file_system, **instead)
        wrapped: dict[str, Any] = {
            entry.name: self._wrap(entry.name, getattr(real, entry.name))
            for entry in fields(System)
            if entry.name not in NO_CALLS and getattr(real, entry.name) is not None
        }
        return replace(real, **wrapped)

    def names(self) -> list[str]:
        return [name for name, _ in self.calls]

    def paths(self, name: str) -> list[str]:
        return [path for called, path in self.calls if called == name]

    @property
    def open_descriptors(self) -> int:
        return len(self._paths)

    def _wrap(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any) -> Any:
            at = len(self.calls)
            what = arguments[0]
            path = self._paths.get(what, "") if isinstance(what, int) else os.fspath(what)
            self.calls.append((name, path))
            if name == "close":
                self._paths.pop(what, None)
                call(*arguments)  # or the test itself would leak
            if self.kill_at is not None and at >= self.kill_at:
                raise Killed
            if at == self.fail_at:
                raise OSError(self.number, os.strerror(self.number), path)
            if name == "close":
                return None
            result = call(*arguments)
            if name == "open":
                self._paths[result] = path
            return result

        return wrapped

"""An iterator that a thread of its own goes through, some way ahead of whoever takes from it.

What it makes waits in order, as much as there is room for. It belongs to its thread: what it opens
there it closes there. Whatever it raises is raised to the one who takes.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from types import TracebackType
from typing import Generic, Self, TypeVar

T = TypeVar("T")


class Ahead(Generic[T]):
    """A context manager, and an iterator over what ``make`` makes; leaving ends it where it is.

    ``make`` gets a function that says whether it was left, to ask in long work without a result.
    Items of a ``weight`` of ``room`` in all may wait, and one that is heavier.
    """

    def __init__(
        self,
        make: Callable[[Callable[[], bool]], Generator[T, None, None]],
        weight: Callable[[T], int],
        *,
        room: int,
    ) -> None:
        self._make = make
        self._weight = weight
        self._room = room
        self._changed = threading.Condition()
        self._items: deque[T] = deque()
        self._waiting = 0
        """The weight of all of them."""
        self._left = False
        self._ended = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._go, name="ahead", daemon=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._changed:
            self._left = True
            self._changed.notify_all()
        if self._thread.ident is not None:
            self._thread.join()

    def start(self) -> None:
        """Before anything is taken; taking starts it as well."""
        if self._thread.ident is None:
            self._thread.start()

    def __iter__(self) -> Iterator[T]:
        self.start()
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._items or self._ended)
                if not self._items:
                    break
                item = self._items.popleft()
                self._waiting -= self._weight(item)
                self._changed.notify_all()
            yield item
        if self._error is not None:
            raise self._error

    def _go(self) -> None:
        try:
            with closing(self._make(lambda: self._left)) as made:
                for item in made:
                    if not self._put(item):
                        break
        except BaseException as error:  # noqa: BLE001  raised again by who takes
            self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _put(self, item: T) -> bool:
        """Whether anybody wants more."""
        weight = self._weight(item)
        with self._changed:
            self._changed.wait_for(
                lambda: self._left or not self._items or self._waiting + weight <= self._room
            )
            self._items.append(item)
            self._waiting += weight
            self._changed.notify_all()
            return not self._left

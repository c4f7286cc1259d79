"""One at a time, the urgent first."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """A lock with two queues: while anyone urgent waits, nobody else gets it."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._taken = False
        self._urgent = 0

    @contextmanager
    def take(self, *, urgent: bool, timeout: float | None = None) -> Iterator[bool]:
        """Hold the lock for the length of the block; False where it was not to be had in so many seconds."""
        with self._condition:
            self._urgent += urgent
            taken = self._condition.wait_for(lambda: not self._taken and (urgent or not self._urgent), timeout)
            self._urgent -= urgent
            self._taken = self._taken or taken
            if not taken:
                self._condition.notify_all()  # others may have waited for the urgent one that gave up
        try:
            yield taken
        finally:
            if taken:
                with self._condition:
                    self._taken = False
                    self._condition.notify_all()

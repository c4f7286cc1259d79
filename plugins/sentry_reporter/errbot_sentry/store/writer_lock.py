"""One at a time, the urgent first."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from errbot_sentry.domain.errors import Reentered
from errbot_sentry.domain.locks import condition


class WriterLock:
    """A lock with two queues: while anyone urgent waits, nobody else gets it."""

    def __init__(self) -> None:
        self._condition = condition()
        self._taken_by: int | None = None  # a thread
        self._urgent = 0

    @contextmanager
    def take(self, *, urgent: bool, timeout: float | None = None) -> Iterator[bool]:
        """Hold the lock for the length of the block; False where it was not to be had in so many seconds.

        Raises Reentered when this thread holds it already.
        """
        if self._taken_by == threading.get_ident():
            raise Reentered("This is being done already, by the same thread.")
        with self._condition:
            self._urgent += urgent
            taken = self._condition.wait_for(lambda: self._taken_by is None and (urgent or not self._urgent), timeout)
            self._urgent -= urgent
            if taken:
                self._taken_by = threading.get_ident()
            else:
                self._condition.notify_all()  # others may have waited for the urgent one that gave up
        try:
            yield taken
        finally:
            if taken:
                with self._condition:
                    self._taken_by = None
                    self._condition.notify_all()

"""One at a time, the urgent first."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from errbot_sentry.errors import Reentered
from errbot_sentry.locks import condition


class Turns:
    """A lock with two queues: while anyone urgent waits, nobody else gets it."""

    def __init__(self) -> None:
        self._condition = condition()
        self._taken_by: int | None = None  # a thread
        self._urgent = 0

    @contextmanager
    def take(self, *, urgent: bool) -> Iterator[None]:
        """Hold the lock for the length of the block. Raises Reentered when this thread holds it already."""
        if self._taken_by == threading.get_ident():
            raise Reentered("This is being done already, by the same thread.")
        with self._condition:
            self._urgent += urgent
            self._condition.wait_for(lambda: self._taken_by is None and (urgent or not self._urgent))
            self._urgent -= urgent
            self._taken_by = threading.get_ident()
        try:
            yield
        finally:
            with self._condition:
                self._taken_by = None
                self._condition.notify_all()

"""Who may use the state: one writer at a time within a bot, and one bot on an SQLite file."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from errbot_sentry.domain.errors import Reentered
from errbot_sentry.domain.locks import condition

log = logging.getLogger(__name__)


class WriterLock:
    """A lock with two queues: while anyone urgent waits, nobody else gets it."""

    def __init__(self) -> None:
        self._condition = condition()
        self._taken_by: int | None = None  # a thread
        self._urgent = 0

    @contextmanager
    def take(self, *, urgent: bool, timeout: float | None = None) -> Iterator[bool]:
        """Take the lock for the length of the block; False where it was not free within so many seconds.

        Raises Reentered when this thread has it already.
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


class InstanceLock:
    """Taken while a state is open, as a lock on a small file beside the database.

    It only warns: an empty lock file that is left behind locks nobody out.
    """

    def __init__(self, path: str) -> None:
        """`path` is the database file; "" for one in memory, of which nobody else can know."""
        self._path = path
        self._file: int | None = None

    def take(self) -> bool:
        """Whether this is the only one; said in the log where it is not. True where that cannot be found out."""
        try:
            import fcntl  # not on Windows
        except ImportError:
            return True
        if not self._path or self._path == ":memory:":
            return True
        try:
            self._file = os.open(f"{self._path}.lock", os.O_CREAT | os.O_RDWR, 0o600)
        except OSError:
            return True
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self.release()
            log.warning(
                "another bot has %s open: each may repeat what the other has just sent; "
                "give each bot a file of its own, or both a PostgreSQL (SENTRY_STATE_URL)",
                self._path,
            )
            return False
        return True

    def release(self) -> None:
        """It is closed."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

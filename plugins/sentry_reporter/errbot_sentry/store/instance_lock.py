"""Whether another bot has the same SQLite file open, told by a lock on a small file beside it."""

from __future__ import annotations

import logging
import os

log = logging.getLogger(__name__)


class InstanceLock:
    """Held while a state is open. It only tells: an empty lock file left behind locks nobody out."""

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

"""Work that must not be done in Errbot's receiving thread: a thread of our own, a bounded queue, one at a time."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)

_MOST_WAITING = 100


class BackgroundQueue:
    """Runs jobs in order between `start` and `close`; one that fails is logged and stops no other."""

    def __init__(self) -> None:
        self._waiting: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self.refused = 0

    def start(self) -> None:
        """From now on jobs are run."""
        self._stopping.clear()
        self._thread = threading.Thread(target=self._run, name="sentry-background", daemon=True)
        self._thread.start()

    def close(self, timeout: float) -> None:
        """Stop within the timeout (seconds); what waits is dropped."""
        self._stopping.set()
        if self._thread is not None:
            self._waiting.put(None)
            self._thread.join(timeout)
            self._thread = None

    def do(self, job: Callable[[], None]) -> bool:
        """Have it done soon; returns at once, False where too much waits already (counted in `refused`)."""
        if self._thread is None:
            return False
        # Several threads at once may pass the bound by one each: no lock is worth that.
        if self._waiting.qsize() >= _MOST_WAITING:
            self.refused += 1
            log.info("too many jobs wait in the background; this one is dropped")
            return False
        self._waiting.put(job)
        return True

    def pause(self, seconds: float) -> bool:
        """For a job that has to wait: True when it should give up because of the end."""
        return self._stopping.wait(seconds)

    def _run(self) -> None:
        while not self._stopping.is_set():
            job = self._waiting.get()
            if job is None:
                continue
            try:
                job()
            except Exception as error:
                log.warning("a job in the background failed: %s", error, exc_info=error)

"""Work that must not be done in Errbot's receiving thread: a thread of our own, a bounded queue, one at a time."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable

from errbot_sentry.domain.clock import Clock, SystemClock

log = logging.getLogger(__name__)

_MOST_WAITING = 100
_LOG_SECONDS = 60.0


class BackgroundQueue:
    """Runs jobs in order between `start` and `close`; one that fails is logged and stops no other.

    Args:
        jobs: what the jobs are, in the plural; for the log and the thread's name.
    """

    def __init__(self, jobs: str = "jobs", clock: Clock | None = None) -> None:
        self.jobs = jobs
        self._clock = clock or SystemClock()
        self._logged_at: float | None = None
        self._waiting: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self.refused = 0

    def start(self) -> None:
        """From now on jobs are run."""
        self._stopping.clear()
        self._thread = threading.Thread(target=self._run, name=f"sentry-{self.jobs}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Take no more jobs; a job that pauses gives up, and what waits is dropped."""
        self._stopping.set()
        self._waiting.put(None)

    def close(self, timeout: float) -> None:
        """Stop, and wait for the running job to end, at most so many seconds."""
        self.stop()
        if self._thread is not None:
            self._thread.join(timeout)
            self._thread = None

    def do(self, job: Callable[[], None]) -> bool:
        """Have it done soon; returns at once, False where too much waits already: counted in `refused`, and logged at
        most once a minute."""
        if self._thread is None or self._stopping.is_set():
            return False
        # Several threads at once may pass the bound by one each: no lock is worth that.
        if self._waiting.qsize() >= _MOST_WAITING:
            self.refused += 1
            self._log_refusal()
            return False
        self._waiting.put(job)
        return True

    def _log_refusal(self) -> None:
        now = self._clock.monotonic()
        if self._logged_at is None or now - self._logged_at >= _LOG_SECONDS:
            self._logged_at = now
            log.warning("too many %s wait in the background: %d dropped since the start", self.jobs, self.refused)

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
            except Exception as error:  # the queue outlives any of its jobs
                log.warning("a job in the background failed: %s", error, exc_info=error)


def close_all(queues: Iterable[BackgroundQueue], timeout: float) -> None:
    """Close several queues within one timeout (seconds)."""
    end = time.monotonic() + timeout
    closing = list(queues)
    for each in closing:
        each.stop()
    for each in closing:
        each.close(max(0.0, end - time.monotonic()))

"""A bounded queue with its own thread, for work that must not delay Errbot's receiving thread."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable

from errbot_sentry.domain.clock import Clock, SystemClock
from errbot_sentry.domain.errors import SentryReporterError

log = logging.getLogger(__name__)

_MOST_WAITING = 100
_LOG_SECONDS = 60.0


class BackgroundQueue:
    """Runs jobs one after the other between `start` and `close`. A job that fails is logged, and the next one runs.

    Args:
        jobs: the jobs' name in the plural, for the log and the thread's name.
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
        """Run jobs from now on."""
        self._stopping.clear()
        self._thread = threading.Thread(target=self._run, name=f"sentry-{self.jobs}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Accept no more jobs and drop those that wait. The next `pause` of the running job tells it to give up."""
        self._stopping.set()
        self._waiting.put(None)

    def close(self, timeout: float) -> None:
        """Stop, and wait at most `timeout` seconds for the running job to end."""
        self.stop()
        if self._thread is not None:
            self._thread.join(timeout)
            self._thread = None

    def do(self, job: Callable[[], None]) -> bool:
        """Add a job; returns at once. False if the queue did not accept the job, because it is full or closed.

        Jobs that a full queue does not accept are counted in `refused`, and logged at most once a minute.
        """
        if self._thread is None or self._stopping.is_set():
            return False
        # Threads that add at the same moment may exceed the bound by one each, which does no harm.
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
        """Wait inside a job. True if the queue was stopped: then the job should give up."""
        return self._stopping.wait(seconds)

    def _run(self) -> None:
        while not self._stopping.is_set():
            job = self._waiting.get()
            if job is None:
                continue
            try:
                job()
            except SentryReporterError as error:
                log.warning("a job in the background failed: %s (cause: %r)", error, error.__cause__)
            except Exception as error:  # a job that fails must not end the thread
                log.warning("a job in the background failed: %s", error, exc_info=error)


def close_all(queues: Iterable[BackgroundQueue], timeout: float) -> None:
    """Close several queues within one timeout (seconds)."""
    end = time.monotonic() + timeout
    closing = list(queues)
    for each in closing:
        each.stop()
    for each in closing:
        each.close(max(0.0, end - time.monotonic()))

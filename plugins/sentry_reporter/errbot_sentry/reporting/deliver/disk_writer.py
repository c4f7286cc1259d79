"""The hand that writes: a thread of its own, so that a disk that hangs holds up the caller only once and briefly."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable

from errbot_sentry.domain.locks import Latch, Lock

log = logging.getLogger(__name__)

_PATIENCE = 2.0

Transaction = Callable[[], bool]


class _Job:
    __slots__ = ("abandoned", "done", "finished", "late", "result", "work")

    def __init__(self, work: Transaction, late: Callable[[bool], None]) -> None:
        self.work = work
        self.late = late
        self.result = False
        self.finished = self.abandoned = False
        self.done = Latch()


class DiskWriter:
    """Does work in its thread while the caller waits, at most `patience` seconds. Safe to use from any thread."""

    def __init__(self, patience: float = _PATIENCE) -> None:
        self._patience = patience
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._lock = Lock()
        self._abandoned = 0
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """From now on work is done in the thread; before, and where none can be started, by the caller."""
        thread = threading.Thread(target=self._run, name="errbot-sentry-spool", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            log.warning("The spool has no thread of its own: %s", error)
            return
        self._thread = thread

    def stop(self, timeout: float) -> None:
        """End the thread after what it has to do, waiting at most `timeout` seconds."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._jobs.put(None)
            thread.join(0.0 if self.stuck else timeout)

    @property
    def stuck(self) -> bool:
        """Whether some work does not come to its end: until it does, none is taken on."""
        return self._abandoned > 0

    def do(self, work: Transaction, late: Callable[[bool], None]) -> bool | None:
        """The result of the work; None where it is not done in time, and then `late` is told the result in the end,
        or where it was not taken on because the hand is stuck. An exception of the work counts as False."""
        if self._thread is None:
            return _result(work)
        if self.stuck:
            return None
        job = _Job(work, late)
        self._jobs.put(job)
        if job.done.wait(self._patience):
            return job.result
        with self._lock:
            if job.finished:
                return job.result
            job.abandoned = True
            self._abandoned += 1
        return None

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            result = _result(job.work)
            with self._lock:
                job.result = result
                job.finished = True
                if job.abandoned:
                    self._abandoned -= 1
            if job.abandoned:
                job.late(result)
            else:
                job.done.open()


def _result(work: Transaction) -> bool:
    try:
        return work()
    except Exception:
        log.exception("Work on the spool failed in an unforeseen way")
        return False

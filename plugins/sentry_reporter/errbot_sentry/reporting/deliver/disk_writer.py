"""Writes to the disk in a thread of its own, so that a disk that hangs delays the caller only once and briefly."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable

from errbot_sentry.domain.locks import Latch, Lock

log = logging.getLogger(__name__)

_PATIENCE = 2.0


class _Job:
    __slots__ = ("abandoned", "done", "finished", "late", "result", "write")

    def __init__(self, write: Callable[[], bool], late: Callable[[bool], None]) -> None:
        self.write = write
        self.late = late
        self.result = False
        self.finished = self.abandoned = False
        self.done = Latch()


class DiskWriter:
    """Runs writes in its thread while the caller waits, at most `patience` seconds. Safe to use from any thread."""

    def __init__(self, patience: float = _PATIENCE) -> None:
        self._patience = patience
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._lock = Lock()
        self._abandoned = 0
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """From now on the thread writes; before, and where none can be started, the caller does."""
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
        """Whether a write does not come to its end: until it does, the writer takes no other."""
        return self._abandoned > 0

    def do(self, write: Callable[[], bool], late: Callable[[bool], None]) -> bool | None:
        """The result of the write; None where it is not done in time, and then `late` gets the result in the end,
        or where it was refused because the writer is stuck. An exception counts as False."""
        if self._thread is None:
            return _result(write)
        if self.stuck:
            return None
        job = _Job(write, late)
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
            result = _result(job.write)
            with self._lock:
                job.result = result
                job.finished = True
                if job.abandoned:
                    self._abandoned -= 1
            if job.abandoned:
                job.late(result)
            else:
                job.done.open()


def _result(write: Callable[[], bool]) -> bool:
    try:
        return write()
    except Exception:
        log.exception("Writing to the spool failed in an unforeseen way")
        return False

"""A daemon thread that does one step after the other, and sleeps until there is more to do."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from errbot_sentry.domain.errors import SentryReporterError

log = logging.getLogger(__name__)

_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0
_LONGEST_WAIT = 86_400.0


class Worker:
    """Calls `step` again and again. It returns the seconds to sleep: 0 for none, None until `wake` is called.

    A step that raises is tried again after a growing pause. The same error several times in a row is logged once.
    """

    def __init__(self, name: str, step: Callable[[], float | None]) -> None:
        self._name = name
        self._step = step
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._pause = _FIRST_PAUSE
        self.error = ""

    def start(self) -> None:
        """Start the thread, unless it runs already."""
        if self._thread is not None and self._thread.is_alive():
            return
        self._closing = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(self._closing,), name=f"sentry-{self._name}", daemon=True
        )
        self._thread.start()

    def wake(self) -> None:
        """Have the next step done now."""
        self._wake.set()

    def stop(self) -> None:
        """Have the thread end after the present step."""
        self._closing.set()
        self._wake.set()

    def join(self, deadline: float) -> bool:
        """Wait for the end, at most until `deadline` on the monotonic clock; returns whether the thread has ended."""
        thread = self._thread
        if thread is None or thread is threading.current_thread():
            return True
        thread.join(max(0.0, deadline - time.monotonic()))
        return not thread.is_alive()

    def _run(self, closing: threading.Event) -> None:
        # Each run has its own event, so that the next start does not revive a thread that did not end in time.
        while True:
            self._wake.clear()
            if closing.is_set():  # checked after the clearing, because `stop` first sets this and then wakes
                return
            wait = self._guarded_step()
            if wait is None or not wait <= 0:
                # At most a day, because a time from a corrupt row may be too long for `wait`.
                self._wake.wait(None if wait is None else min(_LONGEST_WAIT, wait))

    def _guarded_step(self) -> float | None:
        try:
            wait = self._step()
        except Exception as error:  # noqa: BLE001 - the thread is the last to know; _note logs it
            self._note(error)
            self._pause = min(self._pause * 2, _LONGEST_PAUSE)
            return self._pause / 2
        if self.error:
            log.info("the %s goes on", self._name)
        self.error, self._pause = "", _FIRST_PAUSE
        return wait

    def _note(self, error: Exception) -> None:
        sentence = str(error) if isinstance(error, SentryReporterError) else "It failed; the log has the cause."
        if sentence != self.error:
            log.error("the %s stopped and will try again: %s", self._name, error, exc_info=error)
        self.error = sentence

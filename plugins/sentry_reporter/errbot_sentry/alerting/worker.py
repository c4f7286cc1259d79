"""A daemon thread that does one step after the other, sleeps until there is something to do, and ends when asked to."""

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
    """Runs `step` again and again; it returns the seconds to sleep, 0 for at once, None for "until woken".

    A step that raises is tried again after a growing pause; the same error in a row is logged once.
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
        """Begin; nothing happens if it runs already."""
        if self._thread is not None and self._thread.is_alive():
            return
        self._closing = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(self._closing,), name=f"sentry-{self._name}", daemon=True
        )
        self._thread.start()

    def wake(self) -> None:
        """There is something to do."""
        self._wake.set()

    def stop(self) -> None:
        """Ask it to end after the present step."""
        self._closing.set()
        self._wake.set()

    def join(self, deadline: float) -> bool:
        """Wait until it has ended, at most until `deadline` on the monotonic clock; whether it has."""
        thread = self._thread
        if thread is None or thread is threading.current_thread():
            return True
        thread.join(max(0.0, deadline - time.monotonic()))
        return not thread.is_alive()

    def _run(self, closing: threading.Event) -> None:
        # Each run has its own event: a thread that could not end in time must not be revived by the next start.
        while True:
            self._wake.clear()
            if closing.is_set():  # asked after the clearing: `stop` sets this first and wakes then
                return
            wait = self._guarded_step()
            if wait is None or not wait <= 0:
                # A day at the most: a time from a row may be none that can be waited for.
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

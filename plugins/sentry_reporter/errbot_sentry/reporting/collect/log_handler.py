"""The handler on Python's root logger: gets every record of the bot."""

from __future__ import annotations

import logging
import threading
from collections import deque

from errbot_sentry.domain.locks import afterwards
from errbot_sentry.reporting.collect.breadcrumbs import Breadcrumbs
from errbot_sentry.reporting.collect.capture import ErrorCapture

# An error while reporting is logged by one of these: reporting it would go round in circles.
_OURS = ("errbot_sentry.", "sentry_sdk.", "urllib3.")


class _Here(threading.local):
    """Where this thread is. The defaults are the class's: nothing has to be set up that could be interrupted."""

    busy = False
    handling_nested = False


class ErrorLogHandler(logging.Handler):
    """Breadcrumbs from one level on, events from another. Never raises, never waits, never calls itself.

    A record may come while its thread is inside this package: from a finaliser, a signal handler, or a `__repr__` that
    logs. Under a lock of ours it waits until the lock is free. While another record is handled it is handled after that
    one; what is logged meanwhile is dropped and counted in `lost`, or it could go on for ever.
    """

    def __init__(
        self, capture: ErrorCapture, breadcrumbs: Breadcrumbs, breadcrumb_level: int, event_level: int
    ) -> None:
        super().__init__(level=min(breadcrumb_level, event_level))
        self._capture = capture
        self._breadcrumbs = breadcrumbs
        self._breadcrumb_level = breadcrumb_level
        self._event_level = event_level
        self._here = _Here()
        self.failed = False  # a record could not be reported, ever
        self.lost = 0

    def handle(self, record: logging.LogRecord) -> bool:
        """Without logging's lock: breadcrumbs and spool have their own, and one slow capture must not block all."""
        filtered = self._filtered(record) if self.filters else record
        if filtered is not None:
            self.emit(filtered)
        return filtered is not None

    def _filtered(self, record: logging.LogRecord) -> logging.LogRecord | None:
        """What the filters of others leave of a record. (Some put theirs on every handler of the root logger.) One that
        fails may have been about to say no, or to take something out."""
        try:
            answer: object = self.filter(record)
        except Exception:
            logged, self.failed = self.failed, True  # first, because what we log comes by here too
            if not logged:
                logging.getLogger(__name__).exception("A filter on our handler failed; its records are not reported")
            return None
        return answer if isinstance(answer, logging.LogRecord) else record if answer else None

    def emit(self, record: logging.LogRecord) -> None:
        """Handle a record, unless it is about our own work."""
        if f"{record.name}.".startswith(_OURS):
            return
        if self._here.busy:
            self._add_nested(record)
        else:
            afterwards(lambda: self._handle_in_order(record))

    def _add_nested(self, record: logging.LogRecord) -> None:
        if self._here.handling_nested:
            self.lost += record.levelno >= self._event_level
        else:
            self._nested().append(record)

    def _nested(self) -> deque[logging.LogRecord]:
        found: deque[logging.LogRecord] = self._here.__dict__.setdefault("nested", deque())
        return found

    def _handle_in_order(self, record: logging.LogRecord) -> None:
        nested = self._nested()
        self._handle(record)
        while nested and not self._here.handling_nested:
            self._here.handling_nested = True
            try:
                self._handle(nested.popleft())
            except IndexError:  # an interruption between the check and here has handled it
                return
            finally:
                self._here.handling_nested = False

    def _handle(self, record: logging.LogRecord) -> None:
        self._here.busy = True
        try:
            if record.levelno >= self._event_level:
                self._capture.capture_record(record)
            if record.levelno >= self._breadcrumb_level:
                self._breadcrumbs.add(record)
        except Exception:
            if not self.failed:
                logging.getLogger(__name__).exception(
                    "A log record could not be reported; further failures are not logged"
                )
            self.failed = True
        finally:
            self._here.busy = False


def attach(handler: logging.Handler) -> None:
    """Listen to the root logger."""
    logging.getLogger().addHandler(handler)


def detach(handler: logging.Handler) -> None:
    """Stop listening."""
    logging.getLogger().removeHandler(handler)

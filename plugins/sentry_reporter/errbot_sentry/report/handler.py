"""The handler on Python's root logger: every record of the bot comes by here."""

from __future__ import annotations

import logging
import threading
from typing import Protocol

from errbot_sentry.report.trail import Trail

# An error while reporting is logged by one of these: reporting it would go round in circles.
_OURS = ("errbot_sentry", "sentry_sdk", "urllib3")


class Taker(Protocol):
    """Who makes events of records."""

    def take(self, record: logging.LogRecord) -> None:
        """A record at or above the level of events."""
        ...


class ReportHandler(logging.Handler):
    """Breadcrumbs from one level on, events from another. Never raises, never waits, never meets itself."""

    def __init__(self, taker: Taker, trail: Trail, breadcrumb_level: int, event_level: int) -> None:
        super().__init__(level=min(breadcrumb_level, event_level))
        self._taker = taker
        self._trail = trail
        self._breadcrumb_level = breadcrumb_level
        self._event_level = event_level
        self._busy = threading.local()
        self._failed = False

    def handle(self, record: logging.LogRecord) -> bool:
        """Without logging's lock: ring and spool have their own, and one slow capture must not hold up all loggers."""
        self.emit(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        """Take a record, unless it is about our own work."""
        if record.name.startswith(_OURS) or getattr(self._busy, "now", False):
            return
        self._busy.now = True
        try:
            if record.levelno >= self._event_level:
                self._taker.take(record)
            if record.levelno >= self._breadcrumb_level:
                self._trail.add(record)
        except Exception:
            if not self._failed:
                logging.getLogger(__name__).exception("A log record could not be reported; further ones are not told")
            self._failed = True
        finally:
            self._busy.now = False


def attach(handler: logging.Handler) -> None:
    """Listen to the root logger."""
    logging.getLogger().addHandler(handler)


def detach(handler: logging.Handler) -> None:
    """Stop listening."""
    logging.getLogger().removeHandler(handler)

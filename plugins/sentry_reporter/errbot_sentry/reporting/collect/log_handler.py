"""The handler on Python's root logger: every record of the bot comes by here."""

from __future__ import annotations

import logging
import threading
from collections import deque
from typing import Protocol

from errbot_sentry.domain.locks import afterwards
from errbot_sentry.reporting.collect.breadcrumbs import Breadcrumbs

# An error while reporting is logged by one of these: reporting it would go round in circles.
_OURS = ("errbot_sentry.", "sentry_sdk.", "urllib3.")


class Taker(Protocol):
    """Who makes events of records."""

    def take(self, record: logging.LogRecord) -> None:
        """A record at or above the level of events."""
        ...


class _Here(threading.local):
    """Where this thread is. The defaults are the class's: nothing has to be set up that could be interrupted."""

    busy = False
    following_up = False


class ReportHandler(logging.Handler):
    """Breadcrumbs from one level on, events from another. Never raises, never waits, never meets itself.

    A record may come while its thread is inside this package: from a finaliser, a signal handler, or a `__repr__` that
    logs. Under a lock of ours it waits until the lock is free, and while another record is taken it comes after that
    one. What comes while such a follower is taken is dropped and counted in `lost`, or it could go on for ever.
    """

    def __init__(self, taker: Taker, breadcrumbs: Breadcrumbs, breadcrumb_level: int, event_level: int) -> None:
        super().__init__(level=min(breadcrumb_level, event_level))
        self._taker = taker
        self._breadcrumbs = breadcrumbs
        self._breadcrumb_level = breadcrumb_level
        self._event_level = event_level
        self._here = _Here()
        self.failed = False  # a record could not be reported, ever
        self.lost = 0

    def handle(self, record: logging.LogRecord) -> bool:
        """Without logging's lock: ring and spool have their own, and one slow capture must not hold up all loggers."""
        kept = self._kept(record) if self.filters else record
        if kept is not None:
            self.emit(kept)
        return kept is not None

    def _kept(self, record: logging.LogRecord) -> logging.LogRecord | None:
        """What the filters of others leave of a record. (Some put theirs on every handler of the root logger.) One that
        fails may have been about to say no, or to take something out."""
        try:
            answer: object = self.filter(record)
        except Exception:
            told, self.failed = self.failed, True  # first, because what we log comes by here too
            if not told:
                logging.getLogger(__name__).exception("A filter on our handler failed; its records are not reported")
            return None
        return answer if isinstance(answer, logging.LogRecord) else record if answer else None

    def emit(self, record: logging.LogRecord) -> None:
        """Take a record, unless it is about our own work."""
        if f"{record.name}.".startswith(_OURS):
            return
        if self._here.busy:
            self._follow(record)
        else:
            afterwards(lambda: self._take_in_turn(record))

    def _follow(self, record: logging.LogRecord) -> None:
        if self._here.following_up:
            self.lost += record.levelno >= self._event_level
        else:
            self._followers().append(record)

    def _followers(self) -> deque[logging.LogRecord]:
        found: deque[logging.LogRecord] = self._here.__dict__.setdefault("followers", deque())
        return found

    def _take_in_turn(self, record: logging.LogRecord) -> None:
        followers = self._followers()
        self._take(record)
        while followers and not self._here.following_up:
            self._here.following_up = True
            try:
                self._take(followers.popleft())
            except IndexError:  # one that came between the question and here has taken it along
                return
            finally:
                self._here.following_up = False

    def _take(self, record: logging.LogRecord) -> None:
        self._here.busy = True
        try:
            if record.levelno >= self._event_level:
                self._taker.take(record)
            if record.levelno >= self._breadcrumb_level:
                self._breadcrumbs.add(record)
        except Exception:
            if not self.failed:
                logging.getLogger(__name__).exception("A log record could not be reported; further ones are not told")
            self.failed = True
        finally:
            self._here.busy = False


def attach(handler: logging.Handler) -> None:
    """Listen to the root logger."""
    logging.getLogger().addHandler(handler)


def detach(handler: logging.Handler) -> None:
    """Stop listening."""
    logging.getLogger().removeHandler(handler)

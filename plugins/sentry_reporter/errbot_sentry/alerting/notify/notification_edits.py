"""Edits of notifications: each writes onto one what became of its problem. What the chat network refuses is made later.

An edit is an ornament: the update under the notification says the same. So those that wait are in memory only, no more
than a bound, and a restart forgets them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from errbot_sentry.alerting.notify.retry_policy import Retry, after_refusal
from errbot_sentry.domain.clock import Clock
from errbot_sentry.domain.errors import NotConnected, SendError
from errbot_sentry.domain.locks import Lock
from errbot_sentry.store.records import OutboxRow

log = logging.getLogger(__name__)

_MOST_WAITING = 200
_OFFLINE_PAUSE = 1.0


@dataclass(frozen=True)
class _Edit:
    """What is written onto a notification, and when it is tried next, in seconds of the monotonic clock."""

    root: OutboxRow
    mark: str
    tries: int = 0
    at: float = 0.0


class NotificationEdits:
    """Makes edits one at a time, from any thread: of two marks on one notification, the later one stays.

    Args:
        edit: writes a mark onto a notification; it raises SendError.
    """

    def __init__(self, edit: Callable[[OutboxRow, str], None], clock: Clock) -> None:
        self._edit = edit
        self._clock = clock
        self._lock = Lock()
        self._waiting: dict[int, _Edit] = {}  # by the number of the notification, the oldest first

    def make(self, root: OutboxRow, mark: str) -> None:
        """Make one now, or later where it is refused. Raises nothing."""
        with self._lock:
            self._waiting.pop(root.id, None)
            self._try(_Edit(root, mark))

    def make_due(self) -> None:
        """Make one whose time has come, if there is one."""
        # Another thread's edit may hang: who has nothing to do does not wait for its lock.
        if self.seconds_until_due() != 0.0:
            return
        with self._lock:
            now = self._clock.monotonic()
            due = next((edit for edit in self._waiting.values() if edit.at <= now), None)
            if due is not None:
                self._try(self._waiting.pop(due.root.id))

    def seconds_until_due(self) -> float | None:
        """Until the next one is made; None where none waits."""
        times = [edit.at for edit in list(self._waiting.values())]
        return max(0.0, min(times) - self._clock.monotonic()) if times else None

    def _try(self, edit: _Edit) -> None:
        try:
            self._edit(edit.root, edit.mark)
        except SendError as error:
            now = self._clock.monotonic()
            is_away = isinstance(error, NotConnected)
            answer = (
                Retry(now + _OFFLINE_PAUSE, edit.tries) if is_away else after_refusal(edit.tries + 1, now, None, error)
            )
            log.info("message %s could not be edited: %s", edit.root.id, error)
            if isinstance(answer, Retry):
                self._waiting[edit.root.id] = replace(edit, tries=answer.tries, at=answer.at)
            if len(self._waiting) > _MOST_WAITING:
                del self._waiting[next(iter(self._waiting))]
        except Exception:  # what is stored of the notification cannot be rendered any more
            log.exception("message %s could not be edited", edit.root.id)

"""Informs the person whose command failed that the error was reported: once, and only where they typed it."""

from __future__ import annotations

import logging
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from cachetools import LRUCache

from errbot_sentry.domain.access import DIRECT
from errbot_sentry.domain.locks import Lock
from errbot_sentry.reporting.collect.bot_context import COMMAND, BotContext

log = logging.getLogger(__name__)

# Seconds. A working server confirms an event sooner. After this time, the person is informed that the report waits.
_CONFIRMATION_SECONDS = 10.0
_MOST_WAITING = 200
_MOST_PEOPLE = 500
# A person who causes many different errors is only informed of the first ones in _WINDOW seconds.
_MOST_FOR_PERSON, _WINDOW = 3, 60.0
_MOST_FOR_ROOM = 6  # the same limit for a room, in case everybody's commands fail


@dataclass(frozen=True)
class ReportedError:
    """A reported command error. `message` is the person's message, to which the bot replies.

    If `sent` is False, the event still waits for the server, and keeps this id.
    """

    event_id: str
    message: object
    command: str
    sent: bool


Notify = Callable[[ReportedError], object]
"""Informs a person how their error was reported. The sender's thread calls it, so it must return at once."""


class FollowUps:
    """Which people wait to be informed of a reported error, and the last error of each person. Thread-safe."""

    def __init__(self, notify: Notify | None) -> None:
        self._notify_person = notify
        self._lock = Lock()
        self._waiting: OrderedDict[str, tuple[float, ReportedError]] = OrderedDict()
        self._notified_at: LRUCache[str, deque[float]] = LRUCache(_MOST_PEOPLE)
        self._last: LRUCache[str, tuple[str, float]] = LRUCache(_MOST_PEOPLE)
        self._sent: LRUCache[str, bool] = LRUCache(_MOST_PEOPLE)

    def leave_to_parent(self) -> None:
        """In the child of a fork, inform nobody: the connection to the chat network belongs to the parent."""
        self._notify_person = None
        self._waiting.clear()

    def captured(self, event_id: str, context: BotContext, now: float, notify: bool) -> None:
        """Note an error that was captured in a person's command. `notify` says whether it made the command fail."""
        if context.kind != COMMAND or not context.person:
            return
        with self._lock:
            for person in {context.person, context.acl} - {context.room, ""}:
                self._last[person] = event_id, now
            if not notify or self._notify_person is None or context.message is None:
                return
            if not self._is_within_limits(context, now):
                return
            self._waiting[event_id] = (now, ReportedError(event_id, context.message, context.command, sent=False))
            if len(self._waiting) > _MOST_WAITING:
                self._waiting.popitem(last=False)

    def last_of(self, person: str) -> tuple[str, float] | None:
        """The id of this person's last error, and when it happened (seconds of the monotonic clock).

        `person` is BotContext.person or BotContext.acl, never a nick, which anybody may take.
        """
        with self._lock:
            return self._last.get(person)

    def is_sent(self, event_id: str) -> bool:
        """Whether the server has confirmed this event. Only the last events are remembered."""
        with self._lock:
            return event_id in self._sent

    def sent(self, event_id: str) -> None:
        """Note that the server has confirmed this event, and inform the person who waits for that."""
        with self._lock:
            self._sent[event_id] = True
            waiting = self._waiting.pop(event_id, None)
        if waiting is not None:
            self._notify(replace(waiting[1], sent=True))

    def notify_overdue(self, now: float) -> float | None:
        """Inform people who have waited too long for the confirmation.

        Returns the seconds until the next person has, None if nobody waits.
        """
        late: list[ReportedError] = []
        with self._lock:
            while self._waiting:
                since, reported = next(iter(self._waiting.values()))
                if now - since < _CONFIRMATION_SECONDS:
                    break
                self._waiting.popitem(last=False)
                late.append(reported)
            left = next((since + _CONFIRMATION_SECONDS - now for since, _ in self._waiting.values()), None)
        for reported in late:
            self._notify(reported)
        return left

    def _is_within_limits(self, context: BotContext, now: float) -> bool:
        limits = {context.person: _MOST_FOR_PERSON}
        if context.room not in ("", DIRECT):
            limits[f"in {context.room}"] = _MOST_FOR_ROOM
        times = {key: self._notified_at.setdefault(key, deque(maxlen=_MOST_FOR_ROOM)) for key in limits}
        if any(len([at for at in times[key] if now - at < _WINDOW]) >= most for key, most in limits.items()):
            return False
        for when in times.values():
            when.append(now)
        return True

    def _notify(self, reported: ReportedError) -> None:
        if self._notify_person is None:
            return
        try:
            self._notify_person(reported)
        except Exception:  # an error of the chat network's code; the event itself is reported
            log.exception("The person could not be notified of event %s", reported.event_id)

"""Notifying the person whose command failed where it was reported: once, and only where they typed."""

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

# Longer than a server that is up needs; after that the person is notified that the report waits.
_PATIENCE = 10.0
_MOST_WAITING = 200
_MOST_PEOPLE = 500
# A person who sets off a storm of different errors is notified of the first ones.
_MOST_FOR_PERSON, _WINDOW = 3, 60.0
_MOST_FOR_ROOM = 6  # nor does a room fill with them when everybody's commands fail


@dataclass(frozen=True)
class ReportedError:
    """A reported command error: `message` is the person's own message, to be answered; `sent` False: it still waits
    for the server, under the same id."""

    event_id: str
    message: object
    command: str
    sent: bool


Notify = Callable[[ReportedError], object]
"""Notifies a person of how their error was reported. Called from the sender's thread, so it must return at once."""


class FollowUps:
    """Who is to be notified of what, and which error each person ran into last. Safe to use from any thread."""

    def __init__(self, notify: Notify | None) -> None:
        self._notify_person = notify
        self._lock = Lock()
        self._waiting: OrderedDict[str, tuple[float, ReportedError]] = OrderedDict()
        self._notified_at: LRUCache[str, deque[float]] = LRUCache(_MOST_PEOPLE)
        self._last: LRUCache[str, tuple[str, float]] = LRUCache(_MOST_PEOPLE)
        self._sent: LRUCache[str, bool] = LRUCache(_MOST_PEOPLE)

    def leave_to_parent(self) -> None:
        """In the child of a fork: the connection to the chat network is the parent's, so nobody is notified."""
        self._notify_person = None
        self._waiting.clear()

    def captured(self, event_id: str, context: BotContext, now: float, notify: bool) -> None:
        """An error was captured in a person's command; `notify` says whether the command failed by it."""
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
        """The id of the event that this person (BotContext.person or BotContext.acl, never a nick, which anybody may
        take) ran into last, and when that was (seconds of the monotonic clock)."""
        with self._lock:
            return self._last.get(person)

    def is_sent(self, event_id: str) -> bool:
        """Whether the server has confirmed this event, as far as that is remembered."""
        with self._lock:
            return event_id in self._sent

    def sent(self, event_id: str) -> None:
        """The server has this event."""
        with self._lock:
            self._sent[event_id] = True
            found = self._waiting.pop(event_id, None)
        if found is not None:
            self._notify(replace(found[1], sent=True))

    def notify_overdue(self, now: float) -> float | None:
        """Notify those who have waited long enough; seconds until the next one has, None when nobody waits."""
        late: list[ReportedError] = []
        with self._lock:
            while self._waiting:
                since, reported = next(iter(self._waiting.values()))
                if now - since < _PATIENCE:
                    break
                self._waiting.popitem(last=False)
                late.append(reported)
            left = next((since + _PATIENCE - now for since, _ in self._waiting.values()), None)
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
        except Exception:  # the chat network's code; the event is reported already
            log.exception("The person could not be notified of event %s", reported.event_id)

"""Telling the person whose command failed where it was reported: once, and only where they typed."""

from __future__ import annotations

import logging
from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import Protocol

from errbot_sentry.domain.locks import Lock
from errbot_sentry.reporting.collect.bot_context import COMMAND, DIRECT, BotContext

log = logging.getLogger(__name__)

# Longer than a server that is up needs; after that the person learns that the report waits.
_PATIENCE = 10.0
_MOST_WAITING = 200
_MOST_PEOPLE = 500
# A person who sets off a storm of different errors is told about the first ones.
_MOST_TOLD, _TOLD_WITHIN = 3, 60.0
_MOST_TOLD_IN_ROOM = 6  # nor does a room fill with them when everybody's commands fail


@dataclass(frozen=True)
class Reported:
    """A reported command error: `message` is the person's own message, to be answered; `sent` False: it still waits
    for the server, under the same id."""

    event_id: str
    message: object
    command: str
    sent: bool


class Follower(Protocol):
    """Who tells people. Called from the sender's thread: hand the work on, and return at once."""

    def reported(self, reported: Reported) -> None:
        """A person's command failed, and this is where it went."""
        ...


class FollowUps:
    """Who is to be told what, and who ran into what last. Safe to use from any thread."""

    def __init__(self, follower: Follower | None) -> None:
        self._follower = follower
        self._lock = Lock()
        self._waiting: OrderedDict[str, tuple[float, Reported]] = OrderedDict()
        self._told: OrderedDict[str, deque[float]] = OrderedDict()
        self._last: OrderedDict[str, str] = OrderedDict()

    def leave_to_parent(self) -> None:
        """In the child of a fork: the connection to the chat network is the parent's, so nobody is told anything."""
        self._follower = None
        self._waiting.clear()

    def captured(self, event_id: str, where: BotContext, now: float, tell: bool) -> None:
        """An error was captured in a person's command; `tell` says whether the command failed by it."""
        if where.kind != COMMAND or not where.person:
            return
        with self._lock:
            for person in {where.person, where.acl} - {where.room, ""}:
                self._last[person] = event_id
                self._last.move_to_end(person)
            while len(self._last) > _MOST_PEOPLE:
                self._last.popitem(last=False)
            if not tell or self._follower is None or where.message is None:
                return
            if not self._may_tell(where, now):
                return
            self._waiting[event_id] = (now, Reported(event_id, where.message, where.command, sent=False))
            if len(self._waiting) > _MOST_WAITING:
                self._waiting.popitem(last=False)

    def last_of(self, person: str) -> str | None:
        """The id of the event that this person (BotContext.person or BotContext.acl, never a nick, which anybody may
        take) ran into last."""
        return self._last.get(person)

    def sent(self, event_id: str) -> None:
        """The server has this event."""
        with self._lock:
            found = self._waiting.pop(event_id, None)
        if found is not None:
            self._tell(Reported(event_id, found[1].message, found[1].command, sent=True))

    def overdue(self, now: float) -> float | None:
        """Tell those who have waited long enough; seconds until the next one has, None when nobody waits."""
        late: list[Reported] = []
        with self._lock:
            while self._waiting:
                since, reported = next(iter(self._waiting.values()))
                if now - since < _PATIENCE:
                    break
                self._waiting.popitem(last=False)
                late.append(reported)
            left = next((since + _PATIENCE - now for since, _ in self._waiting.values()), None)
        for reported in late:
            self._tell(reported)
        return left

    def _may_tell(self, where: BotContext, now: float) -> bool:
        limits = {where.person: _MOST_TOLD}
        if where.room not in ("", DIRECT):
            limits[f"in {where.room}"] = _MOST_TOLD_IN_ROOM
        told = {}
        for key in limits:
            told[key] = self._told.setdefault(key, deque(maxlen=_MOST_TOLD_IN_ROOM))
            self._told.move_to_end(key)
        while len(self._told) > _MOST_PEOPLE:
            self._told.popitem(last=False)
        if any(len([at for at in told[key] if now - at < _TOLD_WITHIN]) >= most for key, most in limits.items()):
            return False
        for times in told.values():
            times.append(now)
        return True

    def _tell(self, reported: Reported) -> None:
        if self._follower is None:
            return
        try:
            self._follower.reported(reported)
        except Exception:
            log.exception("The person could not be told about event %s", reported.event_id)

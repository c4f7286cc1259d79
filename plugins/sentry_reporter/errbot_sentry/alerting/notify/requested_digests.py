"""Digests that people ask for: one is made at a time, and not again for everybody who asks."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from errbot_sentry.domain.clock import Clock
from errbot_sentry.domain.errors import UserError
from errbot_sentry.domain.locks import Lock
from errbot_sentry.store.records import Message

FRESH = 30.0  # seconds for which a room is shown the same digest
PAUSE = 5.0  # seconds between two that are made for one person, in whatever rooms
_PATIENCE = 5.0  # seconds to wait for the one that is being made
_MOST_KEPT = 500


class RequestedDigests:
    """Bounds what `digest now` costs. Safe to use from any thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._making = Lock()
        self._made: OrderedDict[str, tuple[float, Message]] = OrderedDict()  # by room
        self._asked: OrderedDict[str, float] = OrderedDict()  # by person

    def get(self, room: str, person: str, make: Callable[[], Message]) -> Message:
        """The room's digest, made now or some seconds ago.

        Raises:
            AskError: others are being made, or this person has just had one.
        """
        with self._making.within(_PATIENCE) as taken:
            if not taken:
                raise UserError("Other digests are being made. Try again in a minute.")
            return self._fresh(room) or self._new(room, person, make)

    def _fresh(self, room: str) -> Message | None:
        at, message = self._made.get(room, (0.0, None))
        return message if self._clock.monotonic() - at < FRESH else None

    def _new(self, room: str, person: str, make: Callable[[], Message]) -> Message:
        now = self._clock.monotonic()
        if now - self._asked.get(person, -PAUSE) < PAUSE:
            raise UserError(f"You just asked for a digest. Try again in {PAUSE:g} seconds.")
        self._asked[person] = now
        message = make()
        self._made[room] = (self._clock.monotonic(), message)
        for kept in (self._made, self._asked):
            while len(kept) > _MOST_KEPT:
                kept.popitem(last=False)
        return message

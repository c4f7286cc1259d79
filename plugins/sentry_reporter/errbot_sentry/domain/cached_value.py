"""A value that is dear to find and may be some seconds old."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from errbot_sentry.domain.clock import Clock
from errbot_sentry.domain.locks import Lock

_Value = TypeVar("_Value")


class CachedValue(Generic[_Value]):
    """Finds the value when it is asked for, and again only after `seconds`. Safe to use from any thread.

    Whoever asks while another finds it waits for that one, so that however many ask it is found once. What `find`
    raises goes to whoever asked, and is not kept.
    """

    def __init__(self, find: Callable[[], _Value], seconds: float, clock: Clock) -> None:
        self._find = find
        self._seconds = seconds
        self._clock = clock
        self._found: tuple[float, _Value] | None = None  # when it was found, monotonic, and what
        self._guard = Lock()

    def get(self) -> _Value:
        """The value, at most `seconds` old."""
        with self._guard:
            if self._found is None or self._clock.monotonic() - self._found[0] >= self._seconds:
                value = self._find()
                self._found = (self._clock.monotonic(), value)
            return self._found[1]

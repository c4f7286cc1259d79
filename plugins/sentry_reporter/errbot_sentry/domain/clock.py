"""The clock, and the time to wait before the next try.

Pure rules take `now` as an argument. Code that needs the present time uses a `Clock`, which tests replace.
"""

from __future__ import annotations

import time
from datetime import datetime, timezone
from typing import Protocol


class Clock(Protocol):
    """The present time, and a time for measuring spans."""

    def now(self) -> datetime:
        """The present as an aware datetime in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary start that never run backwards."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        return datetime.now(timezone.utc)

    def monotonic(self) -> float:
        return time.monotonic()


def backoff(
    tries: int, first: float, longest: float, *, factor: float = 2.0, spread: float = 0.0, luck: float = 0.5
) -> float:
    """Seconds to wait after `tries` failed tries (at least 1): `first`, then `factor` times more each, up to `longest`.

    Args:
        spread: the random share of the wait, so that many bots do not try again at the same moment: 0.5 makes the wait
            75 % to 125 % of its length.
        luck: a random number from 0 to 1.
    """
    wait = longest
    if tries < 100:  # a greater power could overflow, and would exceed `longest` anyway
        wait = min(longest, first * factor ** max(tries - 1, 0))
    return wait * (1 + spread * (luck - 0.5))

"""The clock, and how long to wait before the next try.

Rules take `now` as an argument, and whoever needs the present uses a `Clock`, which tests replace.
"""

from __future__ import annotations

import time
from datetime import datetime, timezone
from typing import Protocol


class Clock(Protocol):
    """What the flows need of time."""

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
    """Seconds to wait after so many failed tries (at least 1): `first`, then `factor` times more each, up to `longest`.

    Args:
        spread: how much of the wait is left to chance, so that many bots do not come back at the same moment: 0.5 makes
            it three quarters to five quarters of itself.
        luck: the chance, from 0 to 1.
    """
    wait = longest
    if tries < 100:  # a larger power could overflow, and is beyond any `longest`
        wait = min(longest, first * factor ** max(tries - 1, 0))
    return wait * (1 + spread * (luck - 0.5))

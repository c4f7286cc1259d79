"""A clock of tests with real threads and processes; `tests/alerting/world.py` has the virtual one."""

from __future__ import annotations

from datetime import datetime, timedelta

from errbot_sentry.domain.clock import SystemClock


class ShiftedClock(SystemClock):
    """The machine's clock, which a test may put some seconds `ahead`."""

    def __init__(self, ahead: float = 0.0) -> None:
        self.ahead = ahead

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=self.ahead)

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead

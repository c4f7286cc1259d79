"""The clocks of tests."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from errbot_sentry.domain.clock import SystemClock

START = datetime(2026, 3, 2, 12, 0, tzinfo=timezone.utc)


class VirtualClock:
    """A clock that moves only by `advance`."""

    def __init__(self, start: datetime = START) -> None:
        self.at = start

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.at.timestamp()

    def advance(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


class ShiftedClock(SystemClock):
    """The machine's clock, which a test may put some seconds `ahead`."""

    def __init__(self, ahead: float = 0.0) -> None:
        self.ahead = ahead

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=self.ahead)

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead

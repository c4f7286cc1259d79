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


class SteppedClock(VirtualClock):
    """Of which the time of day can be put right: `World.put_right`."""

    offset = 0.0

    def monotonic(self) -> float:
        return super().monotonic() - self.offset


class ServersClock(VirtualClock):
    """The server's own, which is right all the time."""

    def __init__(self, bots: SteppedClock) -> None:
        super().__init__()
        self.bots = bots

    def now(self) -> datetime:
        return self.bots.now() - timedelta(seconds=self.bots.offset)

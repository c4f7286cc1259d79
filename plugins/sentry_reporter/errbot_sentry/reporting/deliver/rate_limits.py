"""The server's rate limits: when it takes envelopes again. Pure: `now` is passed in.

Headers: https://develop.sentry.dev/sdk/expected-features/rate-limiting/ (`X-Sentry-Rate-Limits`, else `Retry-After`
of a 429). Bugsink says with every answer that it takes no transactions.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

_DEFAULT_WAIT = 60.0
_LONGEST_WAIT = 24 * 3600.0
_ALL = ""
_MOST_CATEGORIES = 100
# What a person waits for stays until the limit is over. Of the rest the server wants none now, and it would push
# errors out of the spool; the SDK drops it too.
WORTH_WAITING = frozenset({"error", "default", "monitor", "feedback"})


class RateLimits:
    """Until when (monotonic seconds) the server takes nothing of a category."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}

    def read(self, status: int, headers: Mapping[str, str], now: float) -> None:
        """Learn from an answer. `headers` has lower-case names."""
        self._until = {category: until for category, until in self._until.items() if until > now}
        limits = headers.get("x-sentry-rate-limits", "")
        understood = False
        for limit in limits.split(","):
            parts = limit.strip().split(":")
            wait = _seconds(parts[0]) if len(parts) > 1 else None
            if wait is None:
                continue
            understood = True
            for category in parts[1].split(";"):
                if len(self._until) < _MOST_CATEGORIES:
                    self._until[category.strip().lower()] = now + wait
        if status == 429 and not understood:
            self._until[_ALL] = now + (_retry_after(headers.get("retry-after")) or _DEFAULT_WAIT)

    def wait(self, category: str, now: float) -> float:
        """Seconds until this category may be sent, 0 for now."""
        until = max(self._until.get(_ALL, 0.0), self._until.get(category, 0.0))
        return max(0.0, until - now)

    def closed(self, now: float) -> set[str]:
        """The categories that may not be sent now; with "" among them, none may."""
        return {category for category, until in self._until.items() if until > now}

    def next_change(self, now: float) -> float | None:
        """Seconds until the next limit ends, None without one."""
        return min((until - now for until in self._until.values() if until > now), default=None)


def _seconds(text: str) -> float | None:
    try:
        return float(min(max(0, int(text)), _LONGEST_WAIT))
    except ValueError:
        return None


def _retry_after(text: str | None) -> float | None:
    """Retry-After in seconds: a number, or a date as RFC 9110 allows."""
    if not text:
        return None
    wait = _seconds(text.strip())
    if wait is not None:
        return wait
    try:
        at = parsedate_to_datetime(text)
    except (TypeError, ValueError, OverflowError):
        return None
    at = at if at.tzinfo else at.replace(tzinfo=timezone.utc)
    return min(max(0.0, (at - datetime.now(timezone.utc)).total_seconds()), _LONGEST_WAIT)

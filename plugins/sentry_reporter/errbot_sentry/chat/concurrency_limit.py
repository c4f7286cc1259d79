"""A bound on the commands that run at once: all plugins share a few threads of Errbot, and ours never take all of them.

A command waits for the server (15 s at worst for each call), and on IRC for its lines to be sent, one a second. Without
a bound, a server that does not answer would stop the whole bot as soon as ten commands have been typed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from errbot_sentry.domain.locks import Lock

_LEFT_FOR_OTHERS = 2
_MOST_EACH = 4


class ConcurrencyLimit:
    """Counts what runs.

    Args:
        threads: how many commands Errbot runs at once (`BOT_ASYNC_POOLSIZE`).
    """

    def __init__(self, threads: int) -> None:
        self._most = max(1, threads - _LEFT_FOR_OTHERS)
        self._lock = Lock()
        self._running: Counter[str] = Counter()

    @contextmanager
    def taken(self, who: str) -> Iterator[bool]:
        """Inside: whether this person's command may run; nobody has to wait."""
        with self._lock:
            free = self._running.total() < self._most and self._running[who] < _MOST_EACH
            if free:
                self._running[who] += 1
        try:
            yield free
        finally:
            if free:
                with self._lock:
                    self._running[who] -= 1
                    self._running += Counter()  # drops who has nothing running

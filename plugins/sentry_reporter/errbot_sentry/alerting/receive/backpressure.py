"""Answers before decisions: senders of webhooks wait for a second at most, rooms can wait a little longer.

Both need the interpreter, and with SQLite the one right to write. While webhooks are being answered, a step of
decisions ends after `SLICE` and rests for `REST` times as long as it took: under the heaviest load decisions keep a
fifth of the time, and all of it as soon as nobody waits.
"""

from __future__ import annotations

from collections.abc import Callable

SLICE = 0.008
REST = 4.0
LONGEST_REST = 0.5
_LOOK = 0.02


class Backpressure:
    """When to decide, and when to let others go first. For one thread, which looks again by itself while `resting`."""

    def __init__(self, waiting: Callable[[], int], monotonic: Callable[[], float], *, reads: bool = True) -> None:
        """`waiting` says how many webhooks are being answered.

        `reads`: what comes before a step's first decision is part of its slice. With a database server that is most of
        it, and nobody waits for a lock meanwhile: a slice would come to one decision.
        """
        self._waiting = waiting
        self._monotonic = monotonic
        self._reads = reads
        self._decides_since: float | None = None
        self._begun = 0.0
        self._rests_until = 0.0
        self.resting = False

    def rest(self) -> float:
        """The seconds to wait before the next step; 0: go on."""
        left = self._rests_until - self._monotonic()
        self.resting = left > 0 and self._waiting() > 0
        return min(left, _LOOK) if self.resting else 0.0

    def begin(self) -> None:
        """A step begins."""
        self._begun = self._monotonic()
        self._decides_since = self._begun if self._reads else None

    def enough(self) -> bool:
        """Whether the present step should end here, because somebody waits; asked after each decision."""
        now = self._monotonic()
        self._decides_since = now if self._decides_since is None else self._decides_since
        return self._waiting() > 0 and now - self._decides_since >= SLICE

    def end(self) -> None:
        """The step is over."""
        now = self._monotonic()
        self._rests_until = now + min(LONGEST_REST, REST * (now - self._begun))

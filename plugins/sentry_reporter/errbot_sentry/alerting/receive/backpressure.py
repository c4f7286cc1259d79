"""Lets answers to webhooks go before decisions: a sender waits for one second at most, and rooms can wait longer.

Answers and decisions share the interpreter, and with SQLite the lock for writing. While webhooks are being answered, a
step of decisions ends after `SLICE` seconds, and then pauses `REST` times as long as it took. So decisions have a fifth
of the time under the heaviest load, and all of it when no webhook waits.
"""

from __future__ import annotations

from collections.abc import Callable

SLICE = 0.008
REST = 4.0
LONGEST_REST = 0.5
_LOOK = 0.02


class Backpressure:
    """Says when to decide and when to pause. For one thread, which asks again by itself while `resting`."""

    def __init__(self, waiting: Callable[[], int], monotonic: Callable[[], float], *, reads: bool = True) -> None:
        """`waiting` returns how many webhooks are being answered.

        `reads` says whether a step's slice includes what it reads before its first decision. With a database server
        that would be most of the slice, and no webhook waits for a lock meanwhile.
        """
        self._waiting = waiting
        self._monotonic = monotonic
        self._reads = reads
        self._decides_since: float | None = None
        self._begun = 0.0
        self._rests_until = 0.0
        self.resting = False

    def rest(self) -> float:
        """The seconds to wait before the next step; 0 to go on."""
        left = self._rests_until - self._monotonic()
        self.resting = left > 0 and self._waiting() > 0
        return min(left, _LOOK) if self.resting else 0.0

    def begin(self) -> None:
        """Note that a step begins."""
        self._begun = self._monotonic()
        self._decides_since = self._begun if self._reads else None

    def enough(self) -> bool:
        """Whether the present step should end because a webhook waits; called after each decision."""
        now = self._monotonic()
        self._decides_since = now if self._decides_since is None else self._decides_since
        return self._waiting() > 0 and now - self._decides_since >= SLICE

    def end(self) -> None:
        """Note that the step is over."""
        now = self._monotonic()
        self._rests_until = now + min(LONGEST_REST, REST * (now - self._begun))

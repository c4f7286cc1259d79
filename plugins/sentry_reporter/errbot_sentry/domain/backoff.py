"""How long to wait before the next try: one function for every part that tries again."""

from __future__ import annotations


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

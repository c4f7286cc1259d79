"""How long to wait before the next try."""

from __future__ import annotations

import pytest

from errbot_sentry.domain.clock import backoff


@pytest.mark.parametrize(
    ("tries", "wait"), [(0, 1.0), (1, 1.0), (2, 2.0), (3, 4.0), (4, 8.0), (7, 60.0), (99, 60.0), (10**6, 60.0)]
)
def test_waits_double_up_to_the_longest(tries: int, wait: float) -> None:
    assert backoff(tries, 1.0, 60.0) == wait


def test_another_factor() -> None:
    assert [backoff(tries, 0.5, 100.0, factor=3.0) for tries in (1, 2, 3)] == [0.5, 1.5, 4.5]


@pytest.mark.parametrize(("luck", "wait"), [(0.0, 45.0), (0.5, 60.0), (1.0, 75.0)])
def test_chance_spreads_many_bots(luck: float, wait: float) -> None:
    assert backoff(10, 1.0, 60.0, spread=0.5, luck=luck) == wait

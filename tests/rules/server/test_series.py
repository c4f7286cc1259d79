"""Events over time, in even slices."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errbot_sentry.server.time_series import DAY, HOUR, columns_of, pairs_of, spread, step_of
from tests.rules.server.test_reading import ANY_JSON

NOW = datetime(2026, 11, 21, 10, 20, 30, tzinfo=timezone.utc)


def test_points_are_summed_up_in_slices():
    """The last slice is the one that now is in; gaps are 0; what is outside is left out."""
    points = [
        (NOW - timedelta(minutes=5), 2),
        (NOW - timedelta(minutes=25), 3),
        (NOW - timedelta(hours=3), 4),
        (NOW - timedelta(hours=4), 9),
        (NOW + timedelta(hours=1), 9),
    ]
    counts = spread(points, NOW, timedelta(hours=4), HOUR)
    assert counts.start == datetime(2026, 11, 21, 7, tzinfo=timezone.utc)
    assert (counts.step, counts.counts) == (HOUR, (4, 0, 3, 2))


@pytest.mark.parametrize(
    ("span", "step"), [(timedelta(hours=1), HOUR), (timedelta(days=2), HOUR), (timedelta(days=3), DAY)]
)
def test_slices_are_hours_up_to_two_days(span, step):
    """As fine as a person can read."""
    assert step_of(span) == step


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=90)), st.sampled_from([HOUR, DAY]))
def test_every_span_has_its_slices(span, step):
    """At least one, and now is in the last."""
    counts = spread([(NOW, 1)], NOW, span, step)
    assert counts.counts[-1] == 1
    assert len(counts.counts) * step >= span
    assert counts.start + (len(counts.counts) - 1) * step <= NOW < counts.start + len(counts.counts) * step


@given(ANY_JSON, ANY_JSON)
def test_nonsense_has_no_points(times, counts):
    """Any JSON in place of a series."""
    assert all(count >= 0 for _at, count in [*pairs_of(times), *pairs_of([times]), *columns_of(times, counts)])

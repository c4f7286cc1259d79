"""Sums up a server's counts into slices of equal length. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from typing import Any

from errbot_sentry.domain import json_values
from errbot_sentry.domain.issues import Counts

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
Point = tuple[datetime, int]


def step_of(span: timedelta) -> timedelta:
    """The length of a slice: an hour for a span of up to two days, else a day."""
    return HOUR if span <= timedelta(days=2) else DAY


def spread(points: Iterable[Point], now: datetime, span: timedelta, step: timedelta) -> Counts:
    """The points of the last `span`, summed up in slices of `step`; the last slice contains `now`.

    Slices begin at whole hours or days in UTC, as servers have them; a slice without a point is 0.
    """
    seconds = step.total_seconds()
    end = (math.floor(now.timestamp() / seconds) + 1) * seconds
    slices = max(math.ceil(span.total_seconds() / seconds), 1)
    start = end - slices * seconds
    counts = [0] * slices
    for at, count in points:
        place = math.floor((at.timestamp() - start) / seconds)
        if 0 <= place < slices:
            counts[place] += count
    return Counts(datetime.fromtimestamp(start, timezone.utc), step, tuple(counts))


def pairs_of(value: Any) -> list[Point]:
    """Points from `[[Unix seconds, count], …]`; other values are left out."""
    found = []
    for row in json_values.rows(value):
        if isinstance(row, list) and len(row) > 1:
            at, count = json_values.moment(row[0]), json_values.whole(row[1])
            if at is not None and count is not None and count >= 0:
                found.append((at, count))
    return found


def columns_of(times: Any, counts: Any) -> list[Point]:
    """Points from a list of times (ISO 8601) and a list of counts."""
    return pairs_of(
        [
            [at.timestamp(), count]
            for at, count in zip(
                map(json_values.moment, json_values.rows(times)), json_values.rows(counts), strict=False
            )
            if at is not None
        ]
    )

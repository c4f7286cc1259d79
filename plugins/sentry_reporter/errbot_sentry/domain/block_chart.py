"""Events over time, in block characters: what `graph` shows where no picture can be sent. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from errbot_sentry.domain.issues import Counts
from errbot_sentry.domain.text import counted, short_count, span_words, sparkline

WIDTH = 60


@dataclass(frozen=True)
class Chart:
    """One line of blocks and what to know about it; `blocks` is "" where nothing happened."""

    blocks: str
    start: str
    end: str
    slice: str
    total: str
    peak: str


def chart_of(counts: Counts) -> Chart:
    """The chart of a series; times are in UTC."""
    width = min(WIDTH, len(counts.counts))
    per_block = counts.step * (len(counts.counts) / width) if width else counts.step
    top = max(range(len(counts.counts)), key=lambda index: counts.counts[index], default=0)
    total = sum(counts.counts)
    return Chart(
        blocks=sparkline(counts.counts, WIDTH),
        start=moment(counts.start, counts.step),
        end=moment(counts.start + counts.step * len(counts.counts), counts.step),
        slice=span_words(per_block),
        total=counted(total, "event"),
        peak=f"{short_count(counts.counts[top])} {'on' if counts.step >= timedelta(days=1) else 'at'} "
        f"{moment(counts.start + counts.step * top, counts.step)}"
        if total
        else "",
    )


def moment(at: datetime, step: timedelta) -> str:
    """A time as exact as the slices are."""
    return at.strftime("%b %d" if step >= timedelta(days=1) else "%b %d %H:%M")

"""Counts over time: as a PNG, and in block characters where no PNG can be sent.

The only module that knows matplotlib, which is an optional extra and slow to import.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone, tzinfo
from importlib.util import find_spec
from io import BytesIO

from errbot_sentry.domain.durations import write_duration
from errbot_sentry.domain.issues import Counts, Release
from errbot_sentry.domain.locks import Lock
from errbot_sentry.domain.text import counted, short_count, span_words, sparkline

# Its own light background: on a transparent one, no colour of letters reads well both in a light and in a dark chat.
_PAPER, _INK, _BARS, _MARKS, _BEFORE = "#fbfbfd", "#2b2233", "#6c5fc7", "#c0392b", "#d98200"
_MOST_RELEASES = 6
_BLOCKS = 60
_LONGEST_TITLE = 110  # characters, as many as the width takes
_ONE_AT_A_TIME = Lock()  # drawing keeps a core busy


def can_draw() -> bool:
    """Whether matplotlib is installed; does not import it."""
    return find_spec("matplotlib") is not None


def draw(
    counts: Counts,
    title: str,
    releases: Sequence[Release] = (),
    *,
    noun: str = "events",
    before: Sequence[int] = (),
    zone: tzinfo = timezone.utc,
) -> bytes:
    """The PNG of a series, with a title, labelled axes and the releases that fall into it; takes about a second.

    Args:
        noun: what is counted.
        before: the counts of the time before, slice for slice, to be drawn as a line.
        zone: whose times the axis shows.
    """
    with _ONE_AT_A_TIME:
        return _drawn(counts, title, releases, noun, before, zone)


def _drawn(
    counts: Counts, title: str, releases: Sequence[Release], noun: str, before: Sequence[int], zone: tzinfo
) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(9, 3.2), dpi=130, facecolor=_PAPER, layout="constrained")
    axes = figure.add_subplot(facecolor=_PAPER)
    starts = [float(date2num(counts.start + counts.step * index)) for index in range(len(counts.counts))]
    width = counts.step.total_seconds() / 86400
    axes.bar(starts, counts.counts, width=width * 0.9, align="edge", color=_BARS, label="now")
    axes.set_title(_drawable(_short(title, _LONGEST_TITLE)), color=_INK, fontsize=10, loc="left", parse_math=False)
    axes.set_ylabel(f"{noun} per {write_duration(counts.step)}", color=_INK)
    axes.set_xlabel(f"time ({zone})", color=_INK)
    axes.set_xlim(starts[0] if starts else 0, starts[-1] + width if starts else 1)
    axes.set_ylim(0, max((*counts.counts, *before), default=0) * 1.15 or 1)
    if any(before):
        edges = [*starts, starts[-1] + width]
        axes.stairs(list(before), edges, color=_BEFORE, linewidth=1.4, label="the time before")
        axes.legend(fontsize=7, frameon=False, labelcolor=_INK, ncols=2, loc="upper right")
    if not any(counts.counts):
        axes.text(0.5, 0.5, f"no {noun}", transform=axes.transAxes, ha="center", va="center", color=_INK)
    locator = AutoDateLocator(tz=zone)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=zone))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    axes.tick_params(colors=_INK)
    axes.grid(axis="y", color=_INK, alpha=0.12)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for release in _inside(counts, releases):
        at = float(date2num(release.at))
        axes.axvline(at, color=_MARKS, linestyle="--", linewidth=1)
        axes.annotate(
            _drawable(_short(release.version, 24)),
            (at, 1),
            xycoords=("data", "axes fraction"),
            xytext=(3, -3),
            textcoords="offset points",
            rotation=90,
            va="top",
            color=_MARKS,
            fontsize=7,
            bbox={"facecolor": _PAPER, "edgecolor": "none", "alpha": 0.85, "pad": 1},
            parse_math=False,
        )
    out = BytesIO()
    FigureCanvasAgg(figure).print_png(out)
    return out.getvalue()


def _inside(counts: Counts, releases: Sequence[Release]) -> list[Release]:
    end = counts.start + counts.step * len(counts.counts)
    found = [release for release in releases if release.at is not None and counts.start <= release.at < end]
    return found[:_MOST_RELEASES]


def _short(text: str, longest: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= longest else line[: longest - 1].rstrip() + "…"


def _drawable(text: str) -> str:
    """The text with a box for each character that the font lacks: matplotlib would warn about every one."""
    from matplotlib.font_manager import findfont, get_font

    known = get_font(findfont("DejaVu Sans")).get_charmap()
    return "".join(ch if ord(ch) in known else "□" for ch in text)


@dataclass(frozen=True)
class BlockChart:
    """One line of blocks and what to know about it; `blocks` is "" where nothing happened."""

    blocks: str
    start: str
    end: str
    slice: str
    total: str
    peak: str


def block_chart(counts: Counts) -> BlockChart:
    """The chart of a series; times are in UTC."""
    width = min(_BLOCKS, len(counts.counts))
    per_block = counts.step * (len(counts.counts) / width) if width else counts.step
    top = max(range(len(counts.counts)), key=lambda index: counts.counts[index], default=0)
    total = sum(counts.counts)
    return BlockChart(
        blocks=sparkline(counts.counts, _BLOCKS),
        start=_moment(counts.start, counts.step),
        end=_moment(counts.start + counts.step * len(counts.counts), counts.step),
        slice=span_words(per_block),
        total=counted(total, "event"),
        peak=f"{short_count(counts.counts[top])} {'on' if counts.step >= timedelta(days=1) else 'at'} "
        f"{_moment(counts.start + counts.step * top, counts.step)}"
        if total
        else "",
    )


def _moment(at: datetime, step: timedelta) -> str:
    """A time as exact as the slices are."""
    return at.strftime("%b %d" if step >= timedelta(days=1) else "%b %d %H:%M")

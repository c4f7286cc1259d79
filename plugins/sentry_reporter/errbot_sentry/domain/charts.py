"""Charts of counts over time: as a PNG, or in block characters if no PNG can be sent.

Only this module uses matplotlib, which is an optional extra and slow to import.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone, tzinfo
from importlib.util import find_spec
from io import BytesIO

from errbot_sentry.domain.issues import Counts, Release
from errbot_sentry.domain.locks import Lock
from errbot_sentry.domain.text import counted, short_count, span_words, sparkline


@dataclass(frozen=True)
class _Palette:
    paper: str
    ink: str
    bars: str
    marks: str
    before: str


# Both have a background: on a transparent one, no text colour is readable in light and in dark chats.
_LIGHT = _Palette("#fbfbfd", "#2b2233", "#6c5fc7", "#c0392b", "#b36b00")
_DARK = _Palette("#1f1b24", "#ebe6f2", "#9386e6", "#ff8a7a", "#ffb95c")
# The PNG is 1170 pixels wide. A phone shows it 390 pixels wide, and text of 11 points is then 10 pixels high.
_SIZE, _DPI, _FONT_SIZE = (6.0, 3.7), 195, 11
_MOST_RELEASES = 6
_CLOSE = 0.05  # share of the width; release marks that are closer than this get one label
_BLOCKS = 60
_LONGEST_TITLE = 62  # characters that fit into the width
_DRAWING_LOCK = Lock()  # one drawing at a time, because each keeps a CPU core busy


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
    dark: bool = False,
) -> bytes:
    """The PNG of a series, with a title, labelled axes and marks for its releases. Takes about a second.

    Args:
        noun: what is counted.
        before: the counts of the previous period, slice for slice, drawn as a line.
        zone: the time zone of the axis.
        dark: light text on a dark background.
    """
    with _DRAWING_LOCK:
        return _drawn(counts, title, releases, noun, before, zone, _DARK if dark else _LIGHT)


def _drawn(
    counts: Counts,
    title: str,
    releases: Sequence[Release],
    noun: str,
    before: Sequence[int],
    zone: tzinfo,
    colors: _Palette,
) -> bytes:
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.dates import AutoDateLocator, date2num
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    with rc_context({"font.size": _FONT_SIZE, "text.color": colors.ink, "axes.edgecolor": colors.ink}):
        figure = Figure(figsize=_SIZE, dpi=_DPI, facecolor=colors.paper, layout="constrained")
        axes = figure.add_subplot(facecolor=colors.paper)
        starts = [float(date2num(counts.start + counts.step * index)) for index in range(len(counts.counts))]
        width = counts.step.total_seconds() / 86400
        axes.bar(starts, counts.counts, width=width * 0.9, align="edge", color=colors.bars, label="now")
        marked = _inside(counts, releases)
        # The padding leaves space for the releases' numbers between the title and the bars.
        axes.set_title(
            _drawable(_short(title, _LONGEST_TITLE)),
            fontsize=_FONT_SIZE,
            loc="left",
            parse_math=False,
            pad=22 if marked else 6,
        )
        axes.set_ylabel(f"{noun} per {slice_noun(counts.step)}", color=colors.ink)
        axes.set_xlabel("\n".join((str(zone), *_release_lines(marked))), color=colors.ink, parse_math=False)
        axes.set_xlim(starts[0] if starts else 0, starts[-1] + width if starts else 1)
        axes.set_ylim(0, max((*counts.counts, *before), default=0) * 1.15 or 1)
        if any(before):
            axes.stairs(
                list(before), [*starts, starts[-1] + width], color=colors.before, linewidth=2, label="the time before"
            )
            axes.legend(frameon=False, ncols=2, loc="lower right", bbox_to_anchor=(1, 0.94), borderaxespad=0)
        if not any(counts.counts):
            axes.text(0.5, 0.5, f"no {noun}", transform=axes.transAxes, ha="center", va="center")
        axes.xaxis.set_major_locator(AutoDateLocator(tz=zone, minticks=3, maxticks=6))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda at, place: tick_label(at, place, counts.step, zone)))
        axes.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
        axes.tick_params(colors=colors.ink)
        axes.grid(axis="y", color=colors.ink, alpha=0.15)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        marks = [float(date2num(release.at)) for release in marked]
        for at in marks:
            axes.axvline(at, color=colors.marks, linestyle="--", linewidth=1.4)
        for numbers, at in number_marks(
            [float(date2num(release.at)) for release in marked], _CLOSE * width * len(starts)
        ):
            axes.annotate(numbers, (at, 1), xycoords=("data", "axes fraction"), xytext=(0, 3),
                textcoords="offset points", ha="center", va="bottom", color=colors.marks)  # fmt: skip
        out = BytesIO()
        FigureCanvasAgg(figure).print_png(out)
        return out.getvalue()


def slice_noun(step: timedelta) -> str:
    """`day`, `hour`, `15 minutes`."""
    words = span_words(step)
    return words.removeprefix("a ").removeprefix("an ")


def tick_label(at: float, place: int | None, step: timedelta, zone: tzinfo) -> str:
    """The label of a time on the axis: `Nov 7` for slices of days, else `14:00`; the first and midnight add the day."""
    from matplotlib.dates import num2date

    when = num2date(at, tz=zone)
    day = f"{when:%b} {when.day}"
    if step >= timedelta(days=1):
        return day
    return f"{when:%H:%M}\n{day}" if not place or (when.hour, when.minute) == (0, 0) else f"{when:%H:%M}"


def number_marks(places: Sequence[float], close: float) -> list[tuple[str, float]]:
    """The numbers of the marks, and where to write each. Marks that are close share one label, such as `2–4`."""
    groups: list[list[int]] = []
    for index, at in enumerate(places):
        if groups and at - places[groups[-1][-1]] < close:
            groups[-1].append(index)
        else:
            groups.append([index])
    return [
        (f"{group[0] + 1}" if len(group) == 1 else f"{group[0] + 1}–{group[-1] + 1}",
         (places[group[0]] + places[group[-1]]) / 2)
        for group in groups
    ]  # fmt: skip


def _release_lines(releases: Sequence[Release]) -> list[str]:
    """`1: 2.14.0     2: 2.14.1`, two on a line, without the package's name, which all of them share."""
    names = [
        f"{number}: {_drawable(_short(release.version.rpartition('@')[2] or release.version, 24))}"
        for number, release in enumerate(releases, 1)
    ]
    return ["     ".join(names[at : at + 2]) for at in range(0, len(names), 2)]


def _inside(counts: Counts, releases: Sequence[Release]) -> list[Release]:
    end = counts.start + counts.step * len(counts.counts)
    inside = [release for release in releases if release.at is not None and counts.start <= release.at < end]
    return sorted(inside[:_MOST_RELEASES], key=lambda release: release.at or end)


def _short(text: str, longest: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= longest else line[: longest - 1].rstrip() + "…"


def _drawable(text: str) -> str:
    """The text with a box in place of each character that the font lacks; matplotlib would warn about each of them."""
    from matplotlib.font_manager import findfont, get_font

    known = get_font(findfont("DejaVu Sans")).get_charmap()
    return "".join(ch if ord(ch) in known else "□" for ch in text)


@dataclass(frozen=True)
class BlockChart:
    """One line of blocks and the numbers to read it by; `blocks` is "" if all counts are zero."""

    blocks: str
    start: str
    end: str
    slice: str
    total: str
    peak: str


def block_chart(counts: Counts) -> BlockChart:
    """The chart of a series in block characters; times are in UTC."""
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

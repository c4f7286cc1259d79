"""Formats numbers, times and long texts for a narrow chat window; reads and writes durations such as `1h30m`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from itertools import accumulate, takewhile
from operator import add

import humanize

from errbot_sentry.domain.typed_text import echo, read_number

LINE_BYTES = 400  # IRC cuts longer lines, and counts bytes
_BLOCKS = "▁▂▃▄▅▆▇█"
_MARKUP = re.compile(r"[\\`*_{}\[\]()>#+\-.!|~:]")  # some backend escapes these with one more character
_LONG_ESCAPES = re.compile(r"[&<@]")  # some backend escapes these with several characters
_HEAVIEST = 6  # the greatest weight of one character
_STEPS = ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k"))
_WHOLE_PATH = 4  # parts that a path may have to be shown whole
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION_PART = re.compile(r"([0-9]+)\s*(seconds?|minutes?|hours?|days?|weeks?|[smhdw])\s*")
_LONGEST_DURATION = timedelta(days=3650)
_MOST_UNITS = 999_999_999  # of one unit; any more of it is over _LONGEST_DURATION anyway
_LONGEST_TYPED = 80
_LEAST_CUT = 90  # of a shorter text, an ellipsis at the end is its own
_BETWEEN_WORDS = " \n\t,;&'\""
_FEW = 256  # charts whose counts are below this have their blocks made once


def short_count(number: int) -> str:
    """`950`, `1.2k`, `34k`, `5.6M`."""
    if number < 1000:
        return str(number)
    # A number that would round up to 1000 in the smaller step uses the greater one: 999 500 is 1M.
    step, letter = next((step, letter) for step, letter in _STEPS if number >= step * 0.9995)
    scaled = number / step
    return f"{scaled:.1f}".removesuffix(".0") + letter if scaled < 9.95 else f"{scaled:.0f}{letter}"


def counted(number: int, noun: str) -> str:
    """`1 event`, `1.2k events`."""
    return f"{short_count(number)} {noun}" + ("" if number == 1 else "s")


def ago(at: datetime, now: datetime) -> str:
    """`3 minutes ago`; a time in the future, from a clock ahead of ours, is "now"."""
    passed = max(int((now - at).total_seconds()), 0)
    return "now" if passed < 2 else f"{_words(_coarse(passed))} ago"


def span_words(span: timedelta) -> str:
    """`3 minutes`, `2 days`."""
    return _words(_coarse(max(int(span.total_seconds()), 0)))


def _coarse(seconds: int) -> int:
    """The seconds rounded down to what the words express, so that the cache of `_words` needs few entries."""
    for unit in (86400, 3600, 60):
        if seconds >= unit:
            return seconds - seconds % unit
    return seconds


@lru_cache(maxsize=1024)
def _words(seconds: int) -> str:
    return humanize.naturaldelta(timedelta(seconds=seconds))


def read_duration(text: str) -> timedelta:
    """`"1h30m"` as a timedelta; "0s" is zero.

    Raises:
        ValueError: with a sentence that says what to type instead.
    """
    words = text.strip().lower()
    parts = _DURATION_PART.findall(words) if len(words) <= _LONGEST_TYPED else []
    if not parts or _DURATION_PART.sub("", words):
        raise ValueError(f"{echo(text)} isn't a valid duration; try 90s, 30m, 2h, 7d or 1h30m")
    try:
        seconds = sum(read_number(number, 0, _MOST_UNITS) * _UNITS[unit[0]] for number, unit in parts)
    except ValueError as error:
        raise ValueError(f"{echo(text)} is longer than ten years") from error
    if seconds > _LONGEST_DURATION.total_seconds():
        raise ValueError(f"{echo(text)} is longer than ten years")
    return timedelta(seconds=seconds)


def write_duration(span: timedelta) -> str:
    """The shortest text for a duration, in whole seconds: `1h30m`, `7d`, `0s`."""
    left = int(span.total_seconds())
    words = ""
    for unit in ("d", "h", "m", "s"):
        count, left = divmod(left, _UNITS[unit])
        words += f"{count}{unit}" if count else ""
    return words or "0s"


def write_roughly(span: timedelta) -> str:
    """Like `write_duration`, but rounded: to minutes from ten minutes on, to hours from a day on."""
    seconds = int(span.total_seconds())
    step = 1 if seconds < 600 else 60 if seconds < 86400 else 3600
    return write_duration(timedelta(seconds=round(seconds / step) * step))


def sparkline(counts: Sequence[int], width: int = 12) -> str:
    """The counts as at most `width` block characters, oldest first; "" if all counts are zero."""
    positive = counts if not counts or min(counts) >= 0 else [max(count, 0) for count in counts]
    slices = _resample(positive, width)
    top = max(slices, default=0)
    if not top:
        return ""
    if top < _FEW:
        blocks = _blocks_up_to(top)
        return "".join([blocks[count] for count in slices])
    return "".join([_block(count, top) for count in slices])


def _block(count: int, top: int) -> str:
    """Only zero gets the lowest block, so that any greater count is visible."""
    return _BLOCKS[round(count * ((len(_BLOCKS) - 1) / top)) or 1 if count else 0]


@lru_cache(maxsize=_FEW)
def _blocks_up_to(top: int) -> str:
    """The block of each count from 0 to `top`, in charts whose highest count is `top`; most have small counts."""
    return "".join([_block(count, top) for count in range(top + 1)])


def _resample(counts: Sequence[int], width: int) -> Sequence[int]:
    many = len(counts)
    if many <= width:
        return counts
    per_slice, left = divmod(many, width)
    if not left:  # the usual case, without a Python loop over the counts
        sums = counts[::per_slice]
        for place in range(1, per_slice):
            sums = list(map(add, sums, counts[place::per_slice]))
        return sums
    return [sum(counts[at * many // width : (at + 1) * many // width]) for at in range(width)]


def one_line(text: str) -> str:
    """The text on one line. The renderer removes invisible characters."""
    if text.isprintable() and "  " not in text:  # a short cut for nearly all texts: only " " is printable white space
        return text.strip()
    return " ".join(text.split())


def weight(text: str) -> int:
    """How many bytes a text needs when it is sent to the chat network: in UTF-8, with its markup escaped."""
    return len(text.encode(errors="replace")) + len(_MARKUP.findall(text)) + 4 * len(_LONG_ESCAPES.findall(text))


def cut(text: str, limit: int = LINE_BYTES) -> str:
    """The text on one line of at most this weight; a longer text is cut after a word and ends with `…`."""
    flat = one_line(text[: limit * 4])
    if len(text) * _HEAVIEST <= limit or (len(text) * 2 <= limit and flat.isascii() and not _LONG_ESCAPES.search(flat)):
        return flat
    if weight(flat) <= limit and len(text) <= limit * 4:
        return flat
    room = limit - weight("…")
    sizes = accumulate(map(weight, flat))
    head = flat[: sum(1 for _ in takewhile(lambda size: size <= room, sizes))]
    words, space, _ = head.rpartition(" ")
    # A word is cut in two if the line would otherwise be half empty.
    return (words if space and len(words) > len(head) // 2 else head).rstrip() + "…"


def whole_words(text: str, longest: int) -> str:
    """The beginning of a text before it is masked. If it is cut, or was cut before, its last word goes too.

    That could be half a secret, which nobody recognises: `postgres://bob:hunt`.
    """
    if len(text) <= longest and not (text.endswith("…") and len(text) > _LEAST_CUT):
        return text
    head = text[: min(longest, len(text) - 1)]
    return head[: max(map(head.rfind, _BETWEEN_WORDS)) + 1] + "…"


def in_lines(words: Iterable[str]) -> list[str]:
    """All words, joined by commas, on as many lines as they need."""
    lines: list[str] = []
    for word in words:
        if lines and weight(lines[-1]) + weight(word) + 3 <= LINE_BYTES:
            lines[-1] += f", {word}"
        else:
            lines.append(word)
    return lines


def short_path(path: str) -> str:
    """A file's path for a narrow window: whole if it has at most four parts, else its folder and name."""
    parts = path.replace("\\", "/").split("/")
    return path if len(parts) <= _WHOLE_PATH else "…/" + "/".join(parts[-2:])


def utc_time(at: float) -> str:
    """`2026-03-02 14:00 UTC`, from seconds since 1970."""
    return datetime.fromtimestamp(at, timezone.utc).strftime("%Y-%m-%d %H:%M UTC")

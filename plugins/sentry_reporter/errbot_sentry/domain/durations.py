"""Reads and writes durations as people type them: `90s`, `2h`, `1h30m`, `7d`, `2hours`."""

from __future__ import annotations

import re
from datetime import timedelta

from errbot_sentry.domain.typed_text import echo, read_number

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_PART = re.compile(r"([0-9]+)\s*(seconds?|minutes?|hours?|days?|weeks?|[smhdw])\s*")
_LONGEST = timedelta(days=3650)
_MOST = 999_999_999  # of one unit; any more of it is over _LONGEST anyway
_LONGEST_TEXT = 80


def read_duration(text: str) -> timedelta:
    """`"1h30m"` as a timedelta; "0s" is zero.

    Raises:
        ValueError: with a sentence that says what to type instead.
    """
    words = text.strip().lower()
    parts = _PART.findall(words) if len(words) <= _LONGEST_TEXT else []
    if not parts or _PART.sub("", words):
        raise ValueError(f"{echo(text)} isn't a valid duration; try 90s, 30m, 2h, 7d or 1h30m")
    try:
        seconds = sum(read_number(number, 0, _MOST) * _UNITS[unit[0]] for number, unit in parts)
    except ValueError as error:
        raise ValueError(f"{echo(text)} is longer than ten years") from error
    if seconds > _LONGEST.total_seconds():
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

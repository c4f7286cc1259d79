"""What a route is: rooms, matchers, and how alerts come there.

Routes are read from `SENTRY_ALERTS`; subscriptions made in chat are routes too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from errbot_sentry.config.matchers import Matcher, read_matcher
from errbot_sentry.config.mention_rules import Mention, read_mention
from errbot_sentry.domain.alerts import (
    ALERT_REASONS,
    ESCALATING,
    METRIC,
    NEW,
    REGRESSED,
    RULE,
    STILL_OPEN,
    TEST,
    UNMUTED,
)
from errbot_sentry.domain.durations import read_duration

THREAD_MODES = ("thread", "channel", "both")
DEFAULT_REASONS = (NEW, REGRESSED, ESCALATING, UNMUTED, RULE, METRIC, STILL_OPEN, TEST)


@dataclass(frozen=True)
class QuietHours:
    """A daily span of local time in which a room gets no notifications; `start` after `end` goes over midnight."""

    start: time
    end: time
    zone: ZoneInfo


@dataclass(frozen=True)
class Route:
    """One route: `wait` is the span before a notification, `window` that of merging, `repeat` that to a reminder."""

    rooms: tuple[str, ...]
    matchers: tuple[Matcher, ...] = ()
    reasons: tuple[str, ...] = DEFAULT_REASONS
    mention: Mention = Mention()
    threads: str = "thread"
    wait: timedelta = timedelta(0)
    window: timedelta = timedelta(minutes=5)
    repeat: timedelta = timedelta(hours=4)
    quiet: QuietHours | None = None
    goes_on: bool = False


def read_route(raw: object) -> Route:
    """One entry of `SENTRY_ALERTS`.

    Raises:
        ValueError: with a sentence that names the key, what was found and what was expected.
    """
    if not isinstance(raw, Mapping):
        raise ValueError(f'{raw!r} is not a valid route; try {{"rooms": ["#ops"], "match": ["level>=error"]}}')
    unknown = [str(key) for key in raw if key not in _READERS]
    if unknown:
        raise ValueError(f"unknown key {unknown[0]!r}; a route has {', '.join(_READERS)}")
    if not raw.get("rooms"):
        raise ValueError('"rooms" is missing: name at least one room')
    values: dict[str, Any] = {}
    for key, value in raw.items():
        field, reader = _READERS[key]
        try:
            values[field] = reader(value)
        except ValueError as error:
            raise ValueError(f'"{key}": {error}') from error
    return Route(**values)


def read_quiet_hours(text: str) -> QuietHours:
    """`"22:00-07:00 Europe/Paris"`; without a zone it is UTC.

    Raises:
        ValueError: with a sentence that says what is wanted.
    """
    span, _, zone = text.strip().partition(" ")
    try:
        start, end = (time.fromisoformat(part) for part in span.split("-"))
        quiet = QuietHours(start, end, ZoneInfo(zone.strip() or "UTC"))
    except (ValueError, KeyError, OSError) as error:
        raise ValueError(f'{text!r} is not a span such as "22:00-07:00 Europe/Paris"') from error
    if start.tzinfo or end.tzinfo:
        raise ValueError(f'{text!r}: the zone stands at the end, as in "22:00-07:00 Europe/Paris"')
    if start == end:
        raise ValueError(f"{text!r} begins and ends at the same minute")
    return quiet


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) and item.strip() for item in value):
        raise ValueError(f"{value!r} is not a list of strings")
    return tuple(value)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not a string")
    return value


def _reasons(value: object) -> tuple[str, ...]:
    reasons = _texts(value)
    for reason in reasons:
        if reason not in ALERT_REASONS:
            raise ValueError(f"{reason!r} is none of {', '.join(ALERT_REASONS)}")
    return reasons


def _threads(value: object) -> str:
    if value not in THREAD_MODES:
        raise ValueError(f"{value!r} is none of {', '.join(THREAD_MODES)}")
    return str(value)


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{value!r} is neither True nor False")
    return value


_READERS: dict[str, tuple[str, Callable[[Any], object]]] = {
    "rooms": ("rooms", _texts),
    "match": ("matchers", lambda value: tuple(read_matcher(text) for text in _texts(value))),
    "reasons": ("reasons", _reasons),
    "mention": ("mention", read_mention),
    "threads": ("threads", _threads),
    "wait": ("wait", lambda value: read_duration(_text(value))),
    "window": ("window", lambda value: read_duration(_text(value))),
    "repeat": ("repeat", lambda value: read_duration(_text(value))),
    "quiet": ("quiet", lambda value: read_quiet_hours(_text(value))),
    "continue": ("goes_on", _flag),
}

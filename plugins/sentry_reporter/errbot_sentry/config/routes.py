"""Routes: which alerts go to which rooms, and how.

They are read from `SENTRY_ALERTS`. Subscriptions made in chat are routes too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import time, timedelta
from difflib import get_close_matches
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from errbot_sentry.config.facts import SHOWN
from errbot_sentry.config.matchers import Matcher, read_matcher
from errbot_sentry.config.mention_rules import Mention, read_mention
from errbot_sentry.config.secrets import shape
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
from errbot_sentry.domain.text import read_duration

# By key of a dict in config.py: the field that the key sets, and the function that reads its value.
Readers = Mapping[str, tuple[str, Callable[[Any], object]]]
THREAD_MODES = ("thread", "channel", "both")
DEFAULT_REASONS = (NEW, REGRESSED, ESCALATING, UNMUTED, RULE, METRIC, STILL_OPEN, TEST)


@dataclass(frozen=True)
class QuietHours:
    """A daily span of local time in which a room gets no notifications. It spans midnight if `start` is after `end`."""

    start: time
    end: time
    zone: ZoneInfo


@dataclass(frozen=True)
class Route:
    """One route: the rooms, the alerts that go there, and how.

    - `wait` is the time before a notification, in which more alerts are collected. Within `window`, alerts about one
      problem are merged. `repeat` is the time until a reminder.
    - `show` names the facts that its notifications show, empty for the usual ones. `trace` adds a short stack trace.
    - With `direct`, a message that mentions a linked person also goes to that person.
    - With `goes_on` (`"continue"`), later routes may match the same alert too.
    """

    rooms: tuple[str, ...]
    matchers: tuple[Matcher, ...] = ()
    reasons: tuple[str, ...] = DEFAULT_REASONS
    mention: Mention = Mention()
    direct: bool = False
    threads: str = "thread"
    wait: timedelta = timedelta(0)
    window: timedelta = timedelta(minutes=5)
    repeat: timedelta = timedelta(hours=4)
    quiet: QuietHours | None = None
    goes_on: bool = False
    show: tuple[str, ...] = ()
    trace: bool = False


def read_route(raw: object) -> Route:
    """One entry of `SENTRY_ALERTS`.

    Raises:
        ValueError: names every mistake, with its key, what was found and what was expected.
    """
    if not isinstance(raw, Mapping):
        raise ValueError(f'expected a dict such as {{"rooms": ["#ops"], "match": ["level>=error"]}}, got {shape(raw)}')
    missing = "" if raw.get("rooms") else '"rooms" is missing: name at least one room'
    return Route(**read_entry(raw, _READERS, "a route", missing))


def read_entry(raw: Mapping[Any, Any], readers: Readers, kind: str, missing: str) -> dict[str, Any]:
    """The fields of one entry of a list of dicts. `missing` is a sentence about a missing key, "" if none is missing.

    Raises:
        ValueError: names every mistake.
    """
    mistakes = [_unknown_key(str(key), readers, kind) for key in raw if key not in readers]
    if missing:
        mistakes.append(missing)
    values: dict[str, Any] = {}
    for key, value in raw.items():
        field, reader = readers.get(key, ("", _nothing))
        try:
            values[field] = reader(value)
        except ValueError as error:
            mistakes.append(f'"{key}": {error}')
    if mistakes:
        raise ValueError("; ".join(mistakes))
    return values


def _unknown_key(key: str, readers: Readers, kind: str) -> str:
    near = get_close_matches(key, readers, n=1)
    shown = shape(key) if ":" in key else repr(key)  # the key may be an address with a password
    return f"unknown key {shown}; " + (f"did you mean {near[0]!r}?" if near else f"{kind} has {', '.join(readers)}")


def _nothing(_value: object) -> None:
    """The reader of an unknown key, whose value is ignored."""


def read_quiet_hours(text: str) -> QuietHours:
    """Quiet hours from a text such as `"22:00-07:00 Europe/Paris"`; without a zone they are in UTC.

    Raises:
        ValueError: says what is expected.
    """
    span, _, name = text.strip().partition(" ")
    try:
        start, end = (time.fromisoformat(part) for part in span.split("-"))
    except ValueError as error:
        raise ValueError(f'{text!r} is not a span such as "22:00-07:00 Europe/Paris"') from error
    zone = read_zone(name.strip() or "UTC")
    if start.tzinfo or end.tzinfo:
        raise ValueError(f'{text!r}: put the zone at the end, as in "22:00-07:00 Europe/Paris"')
    if start == end:
        raise ValueError(f"{text!r} begins and ends at the same minute")
    return QuietHours(start, end, zone)


def read_zone(name: str) -> ZoneInfo:
    """A time zone by its name, such as `Europe/Paris`.

    Raises:
        ValueError: there is no such zone; the sentence suggests the name that was probably meant.
    """
    try:
        return ZoneInfo(name)
    except (ValueError, KeyError, OSError) as error:
        folded = {zone.casefold(): zone for zone in available_timezones()}
        near = get_close_matches(name.casefold()[:60], folded, n=1)
        hint = f"; did you mean {folded[near[0]]}?" if near else "; write it as in Europe/Paris"
        raise ValueError(f"{name[:60]!r} isn't a time zone{hint}") from error


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) and item.strip() for item in value):
        raise ValueError(f"{value!r} is not a list of strings")
    return tuple(value)


def read_text(value: object) -> str:
    """The value, checked to be a string."""
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not a string")
    return value


def _reasons(value: object) -> tuple[str, ...]:
    reasons = _texts(value)
    for reason in reasons:
        if reason not in ALERT_REASONS:
            raise ValueError(f"{reason!r} is not one of {', '.join(ALERT_REASONS)}")
    return reasons


def _shown(value: object) -> tuple[str, ...]:
    names = _texts(value)
    for name in names:
        if name not in SHOWN and not (name.startswith("tag.") and len(name) > len("tag.")):
            raise ValueError(f"{name!r} is not one of {', '.join(SHOWN)}, tag.KEY")
    return names


def read_matchers(value: object) -> tuple[Matcher, ...]:
    """All matchers of a list. The error names every wrong one."""
    read, wrong = [], []
    for text in _texts(value):
        try:
            read.append(read_matcher(text))
        except ValueError as error:
            wrong.append(str(error))
    if wrong:
        raise ValueError("; ".join(wrong))
    return tuple(read)


def _threads(value: object) -> str:
    if value not in THREAD_MODES:
        raise ValueError(f"{value!r} is not one of {', '.join(THREAD_MODES)}")
    return str(value)


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{value!r} is neither True nor False")
    return value


_READERS: Readers = {
    "rooms": ("rooms", _texts),
    "match": ("matchers", read_matchers),
    "reasons": ("reasons", _reasons),
    "mention": ("mention", read_mention),
    "direct": ("direct", _flag),
    "threads": ("threads", _threads),
    "wait": ("wait", lambda value: read_duration(read_text(value))),
    "window": ("window", lambda value: read_duration(read_text(value))),
    "repeat": ("repeat", lambda value: read_duration(read_text(value))),
    "quiet": ("quiet", lambda value: read_quiet_hours(read_text(value))),
    "continue": ("goes_on", _flag),
    "show": ("show", _shown),
    "trace": ("trace", _flag),
}

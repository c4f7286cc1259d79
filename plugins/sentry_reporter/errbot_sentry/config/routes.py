"""What a route is: rooms, matchers, and how alerts come there.

Routes are read from `SENTRY_ALERTS`; subscriptions made in chat are routes too.
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

# The key of a dict in config.py, the field that it sets, and what makes the field's value.
Readers = Mapping[str, tuple[str, Callable[[Any], object]]]
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
    """One route: `wait` is the span before a notification, `window` that of merging, `repeat` that to a reminder.

    `show` names the facts of its notifications, empty for the usual ones; `trace` asks for a short stack trace.
    `direct` sends what mentions a linked person to that person, too.
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
        ValueError: with every mistake in it: the key, what was found and what was expected.
    """
    if not isinstance(raw, Mapping):
        raise ValueError(f'expected a dict such as {{"rooms": ["#ops"], "match": ["level>=error"]}}, got {shape(raw)}')
    missing = "" if raw.get("rooms") else '"rooms" is missing: name at least one room'
    return Route(**read_entry(raw, _READERS, "a route", missing))


def read_entry(raw: Mapping[Any, Any], readers: Readers, kind: str, missing: str) -> dict[str, Any]:
    """The fields of one entry of a list of dicts; `missing` says what is not there at all ("": nothing).

    Raises:
        ValueError: with every mistake in it.
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
    shown = shape(key) if ":" in key else repr(key)  # an address may stand there, with its password
    return f"unknown key {shown}; " + (f"did you mean {near[0]!r}?" if near else f"{kind} has {', '.join(readers)}")


def _nothing(_value: object) -> None:
    """What stands under an unknown key is not read."""


def read_quiet_hours(text: str) -> QuietHours:
    """`"22:00-07:00 Europe/Paris"`; without a zone it is UTC.

    Raises:
        ValueError: with a sentence that says what is wanted.
    """
    span, _, name = text.strip().partition(" ")
    try:
        start, end = (time.fromisoformat(part) for part in span.split("-"))
    except ValueError as error:
        raise ValueError(f'{text!r} is not a span such as "22:00-07:00 Europe/Paris"') from error
    zone = read_zone(name.strip() or "UTC")
    if start.tzinfo or end.tzinfo:
        raise ValueError(f'{text!r}: the zone stands at the end, as in "22:00-07:00 Europe/Paris"')
    if start == end:
        raise ValueError(f"{text!r} begins and ends at the same minute")
    return QuietHours(start, end, zone)


def read_zone(name: str) -> ZoneInfo:
    """A time zone by its name, such as `Europe/Paris`.

    Raises:
        ValueError: there is none of this name; with the name that was probably meant.
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
    """A string."""
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not a string")
    return value


def _reasons(value: object) -> tuple[str, ...]:
    reasons = _texts(value)
    for reason in reasons:
        if reason not in ALERT_REASONS:
            raise ValueError(f"{reason!r} is none of {', '.join(ALERT_REASONS)}")
    return reasons


def _shown(value: object) -> tuple[str, ...]:
    names = _texts(value)
    for name in names:
        if name not in SHOWN and not (name.startswith("tag.") and len(name) > len("tag.")):
            raise ValueError(f"{name!r} is none of {', '.join(SHOWN)}, tag.KEY")
    return names


def read_matchers(value: object) -> tuple[Matcher, ...]:
    """All matchers; every wrong one is named."""
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
        raise ValueError(f"{value!r} is none of {', '.join(THREAD_MODES)}")
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

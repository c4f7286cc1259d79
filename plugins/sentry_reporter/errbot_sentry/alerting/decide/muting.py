"""Rules for when a room gets nothing, or a list instead: silences, quiet hours, storms. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta

from errbot_sentry.config.matchers import Matcher, all_match, read_matcher, values_of
from errbot_sentry.config.routes import QuietHours
from errbot_sentry.domain.alerts import STORM_KINDS, Alert, MessageKind
from errbot_sentry.store.records import Deferred, RecentMessage, Silence, issue_key

# More than this many notifications in this many seconds are a storm; it lasts until a list has fewer than STORM_ENDS.
MOST_NOTIFICATIONS = 20
STORM_SPAN = 60.0
STORM_ENDS = 5

# After the bot was away, a found alert waits this long for others; more than this number come in one list.
CATCH_UP_SPAN = 10.0
MOST_SINGLE_AFTER_AWAY = 3

# More updates than this in STORM_SPAN, in a room or about one problem, are sent as one list a minute.
MOST_UPDATES = 20
MOST_UPDATES_OF_ONE = 5

_GLOB = frozenset("*?[")
# The end of a silence is announced after nine tenths of its length, at most so many seconds before its end;
_EARLIEST_NOTICE = 900.0
# a silence that is shorter than this has no announcement.
_SHORTEST_WITH_NOTICE = 1800.0
_DAY = 86_400.0


class SilenceIndex:
    """Silences by the issue or value that they match, so that an alert is compared with few of them."""

    def __init__(self, silences: Sequence[Silence]) -> None:
        self.silences = list(silences)
        self._by_issue: dict[str, list[Silence]] = {}
        self._by_value: dict[tuple[str, str], list[Silence]] = {}
        self._others: list[Silence] = []
        self._matchers: dict[int, tuple[Matcher, ...]] = {}
        for silence in silences:
            if silence.issue:
                self._by_issue.setdefault(silence.issue, []).append(silence)
                continue
            matchers = tuple(read_matcher(text) for text in silence.matchers)
            self._matchers[silence.id] = tuple(sorted(matchers, key=lambda each: each.operator in ("=~", "!~")))
            plain = next((each for each in matchers if each.operator == "=" and not _GLOB & set(each.value)), None)
            if plain is None:
                self._others.append(silence)
            else:
                self._by_value.setdefault((plain.name, plain.value.casefold()), []).append(silence)
        self._names = {name for name, _ in self._by_value}

    def of(self, alert: Alert, room: str, now: float) -> Silence | None:
        """The silence that matches this alert in this room; of several, the one that ends last."""
        about = [*self._by_issue.get(issue_key(alert), ()), *self._others]
        for name in self._names:
            for value in values_of(alert, name):
                about += self._by_value.get((name, value.casefold()), ())
        found = [each for each in about if self._matches(each, alert, room, now)]
        return max(found, key=lambda silence: silence.ends, default=None)

    def _matches(self, silence: Silence, alert: Alert, room: str, now: float) -> bool:
        if now >= silence.ends or silence.room not in ("", room):
            return False
        return bool(silence.issue) or all_match(self._matchers[silence.id], alert)


class SilenceIndexCache:
    """Makes a new index only if the silences have changed. For one thread."""

    def __init__(self) -> None:
        self._index = SilenceIndex(())

    def index(self, silences: Sequence[Silence]) -> SilenceIndex:
        """The index of these silences."""
        if self._index.silences != silences:
            self._index = SilenceIndex(silences)
        return self._index


def same_silence(silences: Iterable[Silence], silence: Silence, room: str, until: float) -> Silence | None:
    """Another silence of the same that holds in a room ("" for every room) after this moment; of several, the last."""
    same = (
        each
        for each in silences
        if each.id != silence.id
        and each.ends > until
        and each.room in ("", room)
        and (each.issue, set(each.matchers)) == (silence.issue, set(silence.matchers))
    )
    return max(same, key=lambda each: each.ends, default=None)


def notice_at(silence: Silence) -> float | None:
    """When to announce the end of a silence; None if the silence is too short for that."""
    length = silence.ends - silence.made
    if length < _SHORTEST_WITH_NOTICE:
        return None
    return silence.ends - min(length / 10, _EARLIEST_NOTICE)


def rooms_of(silence: Silence, deferred: Sequence[Deferred]) -> set[str]:
    """The rooms that get notices about a silence; for one of all rooms, those where it has silenced something."""
    return {silence.room} if silence.room else {each.room for each in deferred}


def next_change(silence: Silence) -> float:
    """When the next notice about a silence, or its end, is due."""
    notice = notice_at(silence) if silence.stage == 0 else None
    return silence.ends if notice is None else min(notice, silence.ends)


def quiet_until(hours: Collection[QuietHours], now: float) -> float | None:
    """When the quiet hours of a room end, by all of its routes; None outside of quiet hours.

    Hours that begin before others end count as one span, of at most one day.
    """
    quiet = now
    while quiet < now + _DAY:
        ends = [end for each in hours if (end := _end_of(each, quiet)) is not None]
        if not ends:
            break
        quiet = max(ends)
    return quiet if quiet > now else None


def _end_of(hours: QuietHours, now: float) -> float | None:
    """When the quiet hours around `now` end; None outside of them. Midnight and daylight saving are handled."""
    today = datetime.fromtimestamp(now, hours.zone).date()
    for day in (today - timedelta(days=1), today):
        start = datetime.combine(day, hours.start, hours.zone).timestamp()
        last_day = day if hours.end > hours.start else day + timedelta(days=1)
        end = datetime.combine(last_day, hours.end, hours.zone).timestamp()
        if start <= now < end:
            return end
    return None


def is_storm(recent: Sequence[RecentMessage]) -> bool:
    """Whether one more notification would be too many, after these messages in the channel within STORM_SPAN."""
    notifications = [each for each in recent if each.kind in STORM_KINDS]
    if len(notifications) >= MOST_NOTIFICATIONS:
        return True
    return any(each.kind is MessageKind.STORM_LIST and each.count >= STORM_ENDS for each in notifications)


def has_too_many_updates(recent: Sequence[RecentMessage], issue: str) -> bool:
    """Whether one more update about this issue would be too many, after these updates within STORM_SPAN.

    A list about several issues has the issue "".
    """
    issues = [each.issue for each in recent if each.kind is MessageKind.UPDATE]
    if len(issues) >= MOST_UPDATES or issues.count(issue) >= MOST_UPDATES_OF_ONE:
        return True
    lists = [each for each in recent if each.kind is MessageKind.UPDATE_LIST and each.issue in ("", issue)]
    return any(each.count >= STORM_ENDS for each in lists)

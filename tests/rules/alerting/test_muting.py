"""Quiet hours, storms and too many updates as tables: what there is, when, and the answer that is expected."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from errbot_sentry.alerting.decide.muting import has_too_many_updates, is_storm, notice_at, quiet_until
from errbot_sentry.config.routes import read_quiet_hours
from errbot_sentry.domain.alerts import MessageKind
from errbot_sentry.store.records import RecentMessage, Silence
from tests.tables import table

NIGHT, PARIS, DAWN = "22:00-07:00", "22:00-07:00 Europe/Paris", "06:00-08:00"

QUIET: tuple[tuple[str, list[str], str, str | None], ...] = (
    ("no quiet hours", [], "03-02T23:00", None),
    ("before them", [NIGHT], "03-02T21:59", None),
    ("their first minute", [NIGHT], "03-02T22:00", "03-03T07:00"),
    ("after midnight", [NIGHT], "03-03T06:59", "03-03T07:00"),
    ("their end", [NIGHT], "03-03T07:00", None),
    ("within a day", ["12:00-13:00"], "03-02T12:30", "03-02T13:00"),
    ("the night in which Paris loses an hour", [PARIS], "03-28T21:30", "03-29T05:00"),
    ("the night in which Paris gains an hour", [PARIS], "10-24T20:30", "10-25T06:00"),
    ("the last minute of the short night", [PARIS], "03-29T04:59", "03-29T05:00"),
    ("the end of the short night", [PARIS], "03-29T05:00", None),
    ("before the short night", [PARIS], "03-28T20:59", None),
    ("others are quiet", [NIGHT, "12:00-13:00"], "03-02T12:30", "03-02T13:00"),
    ("the later end of two", [NIGHT, DAWN], "03-03T06:30", "03-03T08:00"),
    ("the second begins before the first ends", [NIGHT, DAWN], "03-02T23:00", "03-03T08:00"),
    ("the second begins when the first ends", [NIGHT, "07:00-09:00"], "03-02T23:00", "03-03T09:00"),
    ("the whole day: once a day", ["00:00-12:00", "12:00-00:00"], "03-02T12:30", "03-04T00:00"),
)


def _at(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-{text}:00+00:00")


@table(("hours", "now", "ends"), QUIET)
def test_quiet_hours(hours: list[str], now: str, ends: str | None) -> None:
    found = quiet_until([read_quiet_hours(each) for each in hours], _at(now).timestamp())
    assert (found and datetime.fromtimestamp(found, timezone.utc)) == (ends and _at(ends))


def some(kind: MessageKind, number: int = 1, *, issue: str = "", count: int = 1) -> list[RecentMessage]:
    return [RecentMessage(issue, kind, count)] * number


STORMS: tuple[tuple[str, list[RecentMessage], bool], ...] = (
    ("nothing", [], False),
    ("nineteen notifications", some(MessageKind.NOTIFICATION, 19), False),
    ("twenty notifications", some(MessageKind.NOTIFICATION, 20), True),
    ("lists are notifications", some(MessageKind.NOTIFICATION, 19) + some(MessageKind.WAIT_LIST), True),
    ("digests are not", some(MessageKind.DIGEST, 30), False),
    ("ends of silences are not", some(MessageKind.SILENCE_NOTICE, 30), False),
    ("a catch-up is no storm", some(MessageKind.NOTIFICATION, 19) + some(MessageKind.AWAY_LIST, count=60), False),
    ("the last storm's list is long", some(MessageKind.STORM_LIST, count=5), True),
    ("the last storm's list is short", some(MessageKind.STORM_LIST, count=4), False),
    ("a long list for another reason", some(MessageKind.QUIET_LIST, count=99), False),
)


@table(("recent", "expected"), STORMS)
def test_storm(recent: list[RecentMessage], expected: bool) -> None:
    assert is_storm(recent) is expected


UPDATES: tuple[tuple[str, list[RecentMessage], bool], ...] = (
    ("nothing", [], False),
    ("nineteen about others", some(MessageKind.UPDATE, 19, issue="2"), False),
    ("twenty about others", some(MessageKind.UPDATE, 20, issue="2"), True),
    ("four about this one", some(MessageKind.UPDATE, 4, issue="1"), False),
    ("five about this one", some(MessageKind.UPDATE, 5, issue="1"), True),
    ("counts are none", some(MessageKind.COUNT_UPDATE, 30, issue="1"), False),
    ("a long list about several", some(MessageKind.UPDATE_LIST, count=5), True),
    ("a short list about several", some(MessageKind.UPDATE_LIST, count=4), False),
    ("a long list about this one", some(MessageKind.UPDATE_LIST, issue="1", count=5), True),
    ("a long list about another", some(MessageKind.UPDATE_LIST, issue="2", count=5), False),
)


@table(("recent", "expected"), UPDATES)
def test_too_many_updates(recent: list[RecentMessage], expected: bool) -> None:
    assert has_too_many_updates(recent, "1") is expected


@pytest.mark.parametrize(("length", "before_end"), [(1799, None), (1800, 180), (7200, 720), (9000, 900), (86_400, 900)])
def test_when_the_end_of_a_silence_is_announced(length: float, before_end: float | None) -> None:
    silence = Silence("#ops", (), "1", "", "ann", "", 0.0, length)
    assert notice_at(silence) == (None if before_end is None else length - before_end)

"""Grouping as tables: what was sent last, the alert, seconds since the notification, and the expected decision."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

from errbot_sentry.alerting.decide.decisions import DecisionName
from errbot_sentry.alerting.decide.grouping import (
    PlacementDecision,
    WindowDecision,
    decide_placement,
    decide_window,
    group_after,
    group_after_window,
    group_not_sent,
)
from errbot_sentry.config.routes import Route
from errbot_sentry.domain.alerts import Alert, Placement
from errbot_sentry.domain.issues import ARCHIVED, RESOLVED, UNRESOLVED
from errbot_sentry.store.records import Group, KnownIssue
from tests.tables import table

AT = datetime(2026, 3, 2, 12, 0, tzinfo=timezone.utc)
NOW = AT.timestamp()
MINUTE, HOUR = 60.0, 3600.0
CHANNEL, THREAD, NONE = Placement.CHANNEL, Placement.THREAD, Placement.NONE
# One problem, notified of at NOW by a webhook; its first window of five minutes is open.
OPEN = Group(
    "#ops", "1", "new", "webhook", NOW, NOW, UNRESOLVED, level="error", last_sent=NOW, due=NOW + 300,
    span=300.0, window=300.0, repeat=4 * HOUR, thread_root=1,
)  # fmt: skip
RESTING = replace(OPEN, due=None)
SOLVED = replace(OPEN, status=RESOLVED, reason="resolved", due=None)
MUTED = replace(OPEN, status=ARCHIVED, reason="archived", due=None)
BY_RULE = replace(OPEN, reason="rule")
FATAL_METRIC = replace(OPEN, reason="metric", issue="metric-9", level="fatal")


def alert(reason: str, source: str = "webhook", **fields: object) -> Alert:
    return Alert("d", reason, source, AT, "1", "WEB-1", "T", **fields)


UP, DOWN = alert("metric", level="fatal"), alert("metric", level="info", tags=(("status", "resolved"),))

PLACEMENTS: tuple[tuple[str, Group | None, Alert, float, DecisionName, Placement], ...] = (
    ("nothing was sent yet", None, alert("new"), 0, DecisionName.FIRST, CHANNEL),
    ("nothing was sent yet, an old problem", None, alert("regressed"), 0, DecisionName.FIRST, CHANNEL),
    ("a test is always sent", OPEN, alert("test"), 1, DecisionName.FIRST, CHANNEL),
    ("an issue is new once", OPEN, alert("new"), 1, DecisionName.MERGED, NONE),
    ("an issue is new once, months later", OPEN, alert("new"), 9e6, DecisionName.MERGED, NONE),
    ("a rule fires for the event of the notification", OPEN, alert("rule"), 89, DecisionName.MERGED, NONE),
    ("a rule fires for a later event", OPEN, alert("rule"), 90, DecisionName.COUNTED, NONE),
    ("a single event", OPEN, alert("event"), 90, DecisionName.COUNTED, NONE),
    ("the window is open after `repeat`", OPEN, alert("rule"), 5 * HOUR, DecisionName.COUNTED, NONE),
    ("no window is open, before `repeat`", RESTING, alert("rule"), 3 * HOUR, DecisionName.COUNTED, NONE),
    ("no window is open, after `repeat`", RESTING, alert("rule"), 4 * HOUR, DecisionName.REPEAT, CHANNEL),
    ("without a `repeat`", replace(RESTING, repeat=0.0), alert("rule"), 9e6, DecisionName.COUNTED, NONE),
    ("somebody resolves it", OPEN, alert("resolved"), 1, DecisionName.UPDATE, THREAD),
    ("resolved, said twice", SOLVED, alert("resolved"), 1, DecisionName.MERGED, NONE),
    ("archived, said twice", MUTED, alert("archived"), 1, DecisionName.MERGED, NONE),
    ("somebody archives what is resolved", SOLVED, alert("archived"), 1, DecisionName.UPDATE, THREAD),
    ("somebody assigns it", OPEN, alert("assigned"), 1, DecisionName.UPDATE, THREAD),
    ("somebody assigns it again", OPEN, alert("assigned"), 2, DecisionName.UPDATE, THREAD),
    ("somebody comments", OPEN, alert("comment"), 1, DecisionName.UPDATE, THREAD),
    ("somebody reopens it", SOLVED, alert("reopened"), 1, DecisionName.UPDATE, THREAD),
    ("reopened while it is open", OPEN, alert("reopened"), 1, DecisionName.MERGED, NONE),
    ("it comes back after the window", SOLVED, alert("regressed"), 300, DecisionName.REGRESSED, CHANNEL),
    ("it comes back within the window", SOLVED, alert("regressed"), 299, DecisionName.FLAPPING, THREAD),
    ("it comes back, the clock was put back", SOLVED, alert("regressed"), -299, DecisionName.FLAPPING, THREAD),
    ("it escalates", MUTED, alert("escalating"), 300, DecisionName.ESCALATING, CHANNEL),
    ("it is no longer archived", MUTED, alert("unmuted"), 300, DecisionName.UNMUTED, CHANNEL),
    ("the poller finds what a rule reported", BY_RULE, alert("regressed", "poll"), 600, DecisionName.MERGED, NONE),
    ("the poller, too late for that", BY_RULE, alert("regressed", "poll"), 601, DecisionName.REGRESSED, CHANNEL),
    ("the same way reports both", BY_RULE, alert("regressed"), 600, DecisionName.REGRESSED, CHANNEL),
    ("a metric alert, the same level", FATAL_METRIC, UP, 100, DecisionName.COUNTED, NONE),
    ("a metric alert, another level", OPEN, UP, 100, DecisionName.UPDATE, THREAD),
    ("a metric alert is resolved", FATAL_METRIC, DOWN, 100, DecisionName.UPDATE, THREAD),
    ("a metric alert comes back", replace(FATAL_METRIC, status=RESOLVED), UP, 1, DecisionName.REGRESSED, CHANNEL),
)  # fmt: skip


@table(("last", "given", "seconds", "name", "placement"), PLACEMENTS)
def test_placement(last: Group | None, given: Alert, seconds: float, name: DecisionName, placement: Placement) -> None:
    assert decide_placement(last, given, NOW + seconds) == PlacementDecision(name, placement)


def known(events: int | None, status: str = UNRESOLVED) -> KnownIssue:
    return KnownIssue("1", status, events=events)


COUNTING = replace(OPEN, counted=3, events=10)
LONG = replace(COUNTING, span=4 * HOUR)
WINDOWS: tuple[tuple[str, Group, KnownIssue | None, float, WindowDecision], ...] = (
    ("alerts were counted", COUNTING, None, 300, WindowDecision.COUNT_UPDATE),
    ("events happened", replace(COUNTING, counted=0), known(11), 300, WindowDecision.COUNT_UPDATE),
    ("no event happened", replace(COUNTING, counted=0), known(10), 300, WindowDecision.IDLE),
    ("nobody knows the events", replace(COUNTING, counted=0), known(None), 300, WindowDecision.IDLE),
    ("the window is as long as `repeat`", LONG, None, 300, WindowDecision.REMINDER),
    ("nothing was sent for `repeat`", COUNTING, None, 4 * HOUR, WindowDecision.REMINDER),
    ("the room knows that it is resolved", replace(COUNTING, status=RESOLVED), None, 300, WindowDecision.CLOSED),
    ("it is known to be resolved", COUNTING, known(99, RESOLVED), 300, WindowDecision.CLOSED),
)


@table(("group", "issue", "seconds", "expected"), WINDOWS)
def test_window(group: Group, issue: KnownIssue | None, seconds: float, expected: WindowDecision) -> None:
    assert decide_window(group, issue, NOW + seconds) is expected


def test_windows_double_up_to_the_repeat_time() -> None:
    group, spans = replace(COUNTING, repeat=30 * MINUTE), []
    for _ in range(5):
        group = group_after_window(group, WindowDecision.COUNT_UPDATE, None, NOW)
        spans.append(group.span / MINUTE)
    assert spans == [10, 20, 30, 30, 30]


def test_an_idle_group_is_looked_at_once_more_when_the_reminder_would_be_due() -> None:
    once = group_after_window(OPEN, WindowDecision.IDLE, None, NOW + 300)
    assert once.due == NOW + 4 * HOUR
    assert group_after_window(once, WindowDecision.IDLE, None, NOW + 4 * HOUR).due is None


def test_counting_opens_a_window_that_later_alerts_do_not_move() -> None:
    counted = PlacementDecision(DecisionName.COUNTED, NONE)
    opened = group_after(RESTING, counted, alert("rule"), "#ops", None, NOW + 100)
    again = group_after(opened, counted, alert("rule"), "#ops", None, NOW + 200)
    assert (opened.counted, opened.due, again.counted, again.due) == (1, NOW + 400, 2, NOW + 400)


def test_a_notification_begins_anew_and_an_update_does_not() -> None:
    route = Route(("#ops",), window=timedelta(minutes=1), repeat=timedelta(hours=1), threads="both")
    first = PlacementDecision(DecisionName.REGRESSED, CHANNEL)
    sent = group_after(replace(SOLVED, counted=5), first, alert("regressed"), "#ops", route, NOW + HOUR)
    assert (sent.notified_at, sent.thread_root, sent.counted, sent.span, sent.due, sent.threads, sent.status) == (
        NOW + HOUR, 0, 0, 60.0, NOW + HOUR + 60, "both", UNRESOLVED,
    )  # fmt: skip
    update = PlacementDecision(DecisionName.UPDATE, THREAD)
    after = group_after(OPEN, update, alert("assigned"), "#ops", route, NOW + 10)
    assert (after.notified_at, after.thread_root, after.last_sent, after.window) == (NOW, 1, NOW + 10, 300.0)
    assert group_after(OPEN, update, alert("resolved"), "#ops", route, NOW + 10).due is None


def test_a_room_that_gets_nothing_still_knows_the_status() -> None:
    assert group_not_sent(OPEN, alert("resolved")) == replace(OPEN, status=RESOLVED)
    assert group_not_sent(OPEN, alert("rule")) is None

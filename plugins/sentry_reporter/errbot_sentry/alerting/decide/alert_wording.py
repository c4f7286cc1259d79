"""Puts alerts into words: their names, facts and activities. Pure; foreign texts are not escaped here."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from errbot_sentry.config.matchers import values_of
from errbot_sentry.domain.alerts import (
    ACTIVITIES,
    ASSIGNED,
    FEEDBACK,
    METRIC,
    NEW,
    RULE,
    SEEN_RESOLVED,
    SEER,
    STILL_OPEN,
    UPTIME,
    Alert,
)
from errbot_sentry.domain.issues import RESOLVED
from errbot_sentry.domain.text import write_roughly

# By reason: how a notification begins, and what an update says.
_WORDS = {
    "new": ("New", "new"),
    "amount": ("Many events", "many events"),
    "regressed": ("Regressed", "regressed"),
    "escalating": ("Escalating", "escalating"),
    "unmuted": ("No longer muted", "no longer muted"),
    "rule": ("Alert", "alert"),
    "metric": ("Metric alert", "metric alert"),
    "test": ("Test", "test"),
    "resolved": ("Resolved", "resolved"),
    "archived": ("Archived", "archived"),
    "assigned": ("Assigned", "assigned"),
    "comment": ("Comment", "comment"),
    "reopened": ("Reopened", "reopened"),
    "event": ("Seen", "seen"),
    "pull_request": ("Pull request", "appeared in a pull request"),
    "seer": ("Seer", "Seer"),
    "still_open": ("Still open", "still open"),
}
_USUAL_FACTS = ("level", "events", "users", "environment", "release")
_METRIC_STATES = {"critical": "is now critical", "warning": "is now a warning", "open": "triggered"}
# For these a notification says who did it and how, because the error itself is not new.
BY_PEOPLE = tuple(reason for reason in ACTIVITIES if reason != STILL_OPEN)


def word_of(alert: Alert) -> str:
    """The word that a notification begins with: `New`, `Resolved`, `Critical`."""
    status = _status(alert)
    if alert.category == UPTIME:
        return "Back up" if status == RESOLVED else "Down"
    if alert.category == FEEDBACK and alert.reason in (NEW, RULE):
        return "Feedback"
    if status in ("critical", "warning", RESOLVED):
        return status.capitalize()
    return _words(alert)[0]


def activity_of(alert: Alert) -> str:
    """What an update says, without the person: `resolved in release shop@1.3.0`, `assigned to team ops`."""
    status, words = _status(alert), _words(alert)[1]
    if alert.category == UPTIME:
        return "is back up" if status == RESOLVED else "is down"
    if alert.reason == METRIC:
        return _METRIC_STATES.get(status, status)
    if alert.reason == ASSIGNED:
        return f"{words} {_assignee(alert)}".strip()
    return f"{words} {alert.how}".strip() if alert.reason in (SEEN_RESOLVED, SEER) else words


def facts_of(alert: Alert, show: Iterable[str]) -> list[str]:
    """The facts that a route shows, if they are known: `error, 12 events, production`.

    For an activity it is how it was done, and by whom. For a metric, its value and threshold come first.
    """
    show = tuple(show)
    place = [_fact(alert, name) for name in show or ("environment", "release")]
    if alert.reason in BY_PEOPLE:
        how = _assignee(alert) if alert.reason == ASSIGNED else alert.how
        found = [how, f"by {alert.actor}" if alert.actor else ""]
    elif alert.reason == METRIC:
        found = [alert.text, *place]
    elif alert.category == FEEDBACK and word_of(alert) == "Feedback":
        found = [f"from {alert.actor}" if alert.actor else "", *place]
    else:
        found = [_fact(alert, name) for name in show or _USUAL_FACTS]
    return [fact for fact in found if fact]


def _fact(alert: Alert, name: str) -> str:
    """One fact in words; "" if it is unknown."""
    if name == "events":
        return counted(alert.events, "event")
    if name == "users":
        return counted(alert.users, "user") if alert.users else ""
    if name == "priority":
        return f"{alert.priority} priority" if alert.priority else ""
    if name == "assignee":
        return f"assigned {_assignee(alert)}" if alert.assignee else ""
    if name == "age":
        seconds = alert.at.timestamp() - alert.first_seen if alert.first_seen is not None else 0.0
        return f"first seen {write_roughly(timedelta(seconds=seconds))} ago" if seconds >= 1 else ""
    (value,) = values_of(alert, name) if name != "frame" else (alert.frame,)
    return f"{name.removeprefix('tag.')} {value}" if value and name.startswith("tag.") else value


def projects_named(alert: Alert) -> list[str]:
    """The names of the projects that an alert is about; a metric alert can be about several."""
    others = [value for key, value in alert.tags if key == "projects" and alert.reason == METRIC]
    return [project for project in (alert.project or alert.project_name, *others) if project]


def counted(number: int | None, noun: str) -> str:
    """`1 event`, `1,240 events`; "" if the number is unknown."""
    if number is None:
        return ""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _words(alert: Alert) -> tuple[str, str]:
    return _WORDS.get(alert.reason, ("Alert", "alert"))


def _status(alert: Alert) -> str:
    return dict(alert.tags).get("status", "") if alert.reason == METRIC else ""


def _assignee(alert: Alert) -> str:
    if not alert.assignee:
        return ""
    return f"to team {alert.assignee}" if alert.assignee_kind == "team" else f"to {alert.assignee}"

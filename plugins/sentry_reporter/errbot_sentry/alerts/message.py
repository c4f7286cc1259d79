"""Alerts as messages: which template, with which values. Pure; bounded; every value is hostile text."""

from __future__ import annotations

from typing import Any

from errbot_sentry.model import Alert

_LONGEST_TITLE = 200
_LONGEST_CULPRIT = 100

WORDS = {
    "new": "New",
    "regressed": "Regressed",
    "escalating": "Escalating",
    "unmuted": "No longer muted",
    "rule": "Alert",
    "metric": "Metric alert",
    "test": "Test",
    "resolved": "Resolved",
    "archived": "Archived",
    "assigned": "Assigned",
    "comment": "Comment",
    "reopened": "Reopened",
    "event": "Seen",
}


def first_word(alert: Alert) -> tuple[str, dict[str, Any]]:
    """The template and values of a top-level message about one alert."""
    return "sentry_alert", alert_values(alert)


def alert_values(alert: Alert) -> dict[str, Any]:
    """What templates may show of an alert."""
    return {
        "word": WORDS.get(alert.reason, "Alert"),
        "project": alert.project or alert.project_name,
        "short_id": alert.short_id,
        "title": shorten(alert.title or "(no title)", _LONGEST_TITLE),
        "culprit": shorten(alert.culprit, _LONGEST_CULPRIT),
        "facts": facts(alert),
        "rule": shorten(alert.rule, _LONGEST_CULPRIT),
        "text": shorten(alert.text, _LONGEST_TITLE),
        "actor": alert.actor,
        "link": alert.link,
    }


def facts(alert: Alert) -> str:
    """Level, counts, environment and release, as far as the sender told them: `error, 12 events, production`."""
    found = [
        alert.level or "",
        counted(alert.events, "event"),
        counted(alert.users, "user") if alert.users else "",
        alert.environment or "",
        shorten(alert.release or "", _LONGEST_CULPRIT),
    ]
    return ", ".join(fact for fact in found if fact)


def counted(number: int | None, noun: str) -> str:
    """`1 event`, `1,240 events`, "" for unknown."""
    if number is None:
        return ""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def shorten(text: str, limit: int) -> str:
    """At most `limit` characters."""
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"

"""Alerts as messages: which template, with which values. Pure; bounded; every value is hostile text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from errbot_sentry.alerting.decide.grouping import RETURNS, WindowDecision
from errbot_sentry.alerting.decide.muting import ACTIVITY_TEMPLATE
from errbot_sentry.alerting.decide.visibility import ABOUT
from errbot_sentry.domain.alerts import ASSIGNED, COMMENTED, METRIC, Alert
from errbot_sentry.domain.durations import write_duration, write_roughly
from errbot_sentry.domain.issues import RESOLVED, UNRESOLVED
from errbot_sentry.store.records import Group, KnownIssue, Silence, issue_key

LIST_LENGTH = 20
_LONGEST_TITLE = 200
_LONGEST_CULPRIT = 100
_TITLE_IN_LIST = 100

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


def notification(alert: Alert) -> tuple[str, dict[str, Any]]:
    """The template and values of a top-level message about one alert."""
    return "sentry_alert", {
        "word": WORDS.get(alert.reason, "Alert"),
        "project": alert.project or alert.project_name,
        "short_id": alert.short_id,
        "title": shorten(alert.title or "(no title)", _LONGEST_TITLE),
        "culprit": shorten(alert.culprit, _LONGEST_CULPRIT),
        "facts": facts(alert),
        "rule": shorten(alert.rule, _LONGEST_CULPRIT),
        "text": shorten(alert.text, _LONGEST_TITLE),
        "link": alert.link,
        "mark": "",
    }


def update(alert: Alert, *, is_again: bool = False) -> tuple[str, dict[str, Any]]:
    """The template and values of a word under the first one, about what became of the issue."""
    deed = WORDS.get(alert.reason, "Alert").lower()
    if alert.reason == METRIC:
        deed = "resolved" if ("status", RESOLVED) in alert.tags else f"now {alert.level or 'alerting'}"
    if alert.reason == COMMENTED:
        deed = "comment"
    if alert.reason == ASSIGNED and alert.assignee:
        deed = f"assigned to {shorten(alert.assignee, _LONGEST_CULPRIT)}"
    return "sentry_alert_follow", {
        "short_id": alert.short_id or shorten(alert.title, _TITLE_IN_LIST),
        "deed": deed + (" again" if is_again else ""),
        "actor": shorten(alert.actor, _LONGEST_CULPRIT),
        "text": shorten(alert.text, _LONGEST_TITLE) if alert.reason in (COMMENTED, METRIC) else "",
    }


def mark_of(alert: Alert) -> str:
    """What is written onto the first message where the network can edit: `resolved by Ann`."""
    values = update(alert)[1]
    if alert.reason == COMMENTED:
        return ""
    return str(values["deed"]) + (f" by {values['actor']}" if values["actor"] else "")


def count_update(
    group: Group, known: KnownIssue | None, decision: WindowDecision, now: float
) -> tuple[str, dict[str, Any]]:
    """The template and values of "12 more events in 10m (1,240 in all)", told when a window closes."""
    events = known.events if known is not None else None
    more = max(0, events - group.events) if events is not None and group.events is not None else 0
    return "sentry_alert_count", {
        "short_id": (known.short_id if known else "") or group.issue,
        "reminds": decision is WindowDecision.REMINDER,
        "more": counted(more, "more event") if more else counted(group.counted, "more alert"),
        "span": write_roughly(timedelta(seconds=max(60.0, now - group.last_sent))),
        "total": f"{events:,}" if more else "",
        "level": group.level,
    }


def batched_notification(why: str, told: Sequence[tuple[Alert, str]]) -> tuple[str, dict[str, Any]]:
    """The template and values of one message about first words that were held back; `told` is (alert, status)."""
    projects = sorted({alert.project for alert, _ in told if alert.project})
    return "sentry_held", {
        ABOUT: projects,
        "why": why,
        "count": len(told),
        "projects": ", ".join(projects[:5]) + (", …" if len(projects) > 5 else ""),
        "rows": [list_row(alert, status) for alert, status in told[:LIST_LENGTH]],
        "left": max(0, len(told) - LIST_LENGTH),
    }


def activity_list(told: Sequence[Alert]) -> tuple[str, dict[str, Any]]:
    """The template and values of one message about many things that became of issues, the oldest first."""
    last: dict[str, tuple[Alert, int]] = {}
    for alert in told:
        key = issue_key(alert)
        last[key] = alert, last.get(key, (alert, 0))[1] + 1
    words = [(update(alert, is_again=alert.reason in RETURNS)[1], count) for alert, count in last.values()]
    sums = Counter(WORDS.get(alert.reason, "Alert").lower() for alert, _ in last.values())
    return ACTIVITY_TEMPLATE, {
        "count": len(told),
        "sums": [f"{count} {word}" for word, count in sums.most_common()],
        "rows": [{**values, "times": count} for values, count in words[:LIST_LENGTH]],
        "left": max(0, len(words) - LIST_LENGTH),
        ABOUT: sorted({alert.project for alert, _ in last.values()}),
    }


def list_row(alert: Alert, status: str = UNRESOLVED) -> dict[str, str]:
    """One line of a list of alerts."""
    return {
        "word": WORDS.get(alert.reason, "Alert"),
        "short_id": alert.short_id,
        "title": shorten(alert.title or "(no title)", _TITLE_IN_LIST),
        "project": alert.project,
        "status": "" if status == UNRESOLVED else status,
    }


def silence_message(
    silence: Silence, event: str, now: float, deferred: Sequence[str] = ()
) -> tuple[str, dict[str, Any]]:
    """The template and values of what is said about a silence; `event` is "ends" or "over", `held` what it held."""
    counts: dict[str, int] = {}
    for name in deferred:
        counts[name] = counts.get(name, 0) + 1
    most = sorted(counts.items(), key=lambda pair: -pair[1])
    return "sentry_silence_told", {
        "number": silence.id,
        "label": shorten(silence.label, _LONGEST_TITLE),
        "event": event,
        "left": write_duration(timedelta(seconds=max(0.0, silence.ends - now))),
        "count": len(deferred),
        "problems": len(counts),
        "rows": [f"{name} ({count})" if count > 1 else name for name, count in most[:10]],
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

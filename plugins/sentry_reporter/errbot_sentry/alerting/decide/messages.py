"""Alerts as messages: of which kind, with which values. Pure; bounded; every value is hostile text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from errbot_sentry.alerting.decide.grouping import RETURNS
from errbot_sentry.domain.alerts import ASSIGNED, COMMENTED, METRIC, Alert, MessageKind, Placement
from errbot_sentry.domain.durations import write_duration, write_roughly
from errbot_sentry.domain.issues import RESOLVED, UNRESOLVED
from errbot_sentry.store.records import Group, KnownIssue, Message, Silence, issue_key

TEMPLATES = {
    MessageKind.NOTIFICATION: "sentry_notification",
    MessageKind.STORM_LIST: "sentry_notification_list",
    MessageKind.QUIET_LIST: "sentry_notification_list",
    MessageKind.WAIT_LIST: "sentry_notification_list",
    MessageKind.UPDATE: "sentry_update",
    MessageKind.UPDATE_LIST: "sentry_update_list",
    MessageKind.COUNT_UPDATE: "sentry_count_update",
    MessageKind.SILENCE_NOTICE: "sentry_silence_notice",
    MessageKind.DIGEST: "sentry_digest",
}
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


def notification(room: str, alert: Alert, issue: str, alert_id: int, mention: str = "") -> Message:
    """The first message about a problem in a room, or the first since it came back."""
    values = {
        "word": WORDS.get(alert.reason, "Alert"),
        "project": alert.project or alert.project_name,
        "short_id": alert.short_id,
        "title": shorten(alert.title or "(no title)", _LONGEST_TITLE),
        "culprit": shorten(alert.culprit, _LONGEST_CULPRIT),
        "level": alert.level or "",
        "facts": facts(alert),
        "rule": shorten(alert.rule, _LONGEST_CULPRIT),
        "text": shorten(alert.text, _LONGEST_TITLE),
        "link": alert.link,
        "mark": "",
    }
    return Message(room, MessageKind.NOTIFICATION, values, mention=mention, issue=issue, alert_id=alert_id)


def update(group: Group, alert: Alert, alert_id: int, mention: str = "", *, is_again: bool = False) -> Message:
    """What became of the issue, under its notification; `is_again` says that it came back once more."""
    values = _activity(alert, is_again=is_again)
    message = Message(group.room, MessageKind.UPDATE, values, mention=mention, alert_id=alert_id, mark=_mark(alert))
    return _under(group, message)


def _mark(alert: Alert) -> str:
    """What is written onto the notification where the network can edit: `resolved by Ann`; "" for a comment."""
    values = _activity(alert)
    if alert.reason == COMMENTED:
        return ""
    return values["activity"] + (f" by {values['actor']}" if values["actor"] else "")


def _under(group: Group, message: Message) -> Message:
    """The message, placed under the notification of the problem."""
    return replace(
        message,
        placement=Placement.THREAD,
        issue=group.issue,
        thread_root=group.thread_root,
        threads=group.threads,
    )


def _activity(alert: Alert, *, is_again: bool = False) -> dict[str, str]:
    activity = WORDS.get(alert.reason, "Alert").lower()
    if alert.reason == METRIC:
        activity = "resolved" if ("status", RESOLVED) in alert.tags else f"now {alert.level or 'alerting'}"
    if alert.reason == ASSIGNED and alert.assignee:
        activity = f"assigned to {shorten(alert.assignee, _LONGEST_CULPRIT)}"
    return {
        "short_id": alert.short_id or shorten(alert.title, _TITLE_IN_LIST),
        "activity": activity + (" again" if is_again else ""),
        "actor": shorten(alert.actor, _LONGEST_CULPRIT),
        "text": shorten(alert.text, _LONGEST_TITLE) if alert.reason in (COMMENTED, METRIC) else "",
    }


def count_update(group: Group, known: KnownIssue | None, now: float, *, is_reminder: bool) -> Message:
    """`12 more events in 10m (1,240 in all)`, sent when a window closes."""
    events = known.events if known is not None else None
    more = max(0, events - group.events) if events is not None and group.events is not None else 0
    values = {
        "short_id": (known.short_id if known else "") or group.issue,
        "reminds": is_reminder,
        "more": counted(more, "more event") if more else counted(group.counted, "more alert"),
        "span": write_roughly(timedelta(seconds=max(60.0, now - group.last_sent))),
        "total": f"{events:,}" if more else "",
        "level": group.level,
    }
    return _under(group, Message(group.room, MessageKind.COUNT_UPDATE, values))


def notification_list(room: str, kind: MessageKind, rows: Sequence[tuple[Alert, str]], mention: str = "") -> Message:
    """One message for several deferred notifications; `rows` are alerts with their issue's status by now."""
    projects = sorted({alert.project for alert, _ in rows if alert.project})
    values = {
        "kind": kind.value,
        "count": len(rows),
        "projects": ", ".join(projects[:5]) + (", …" if len(projects) > 5 else ""),
        "rows": [list_row(alert, status) for alert, status in rows[:LIST_LENGTH]],
        "left": max(0, len(rows) - LIST_LENGTH),
    }
    return Message(room, kind, values, projects=tuple(projects), count=len(rows), mention=mention)


def update_list(room: str, alerts: Sequence[Alert], mention: str = "", only: Group | None = None) -> Message:
    """One message for several updates, the oldest first; under its notification if all are about this one problem."""
    last: dict[str, tuple[Alert, int]] = {}
    for alert in alerts:
        key = issue_key(alert)
        last[key] = alert, last.get(key, (alert, 0))[1] + 1
    rows = [{**_activity(alert, is_again=alert.reason in RETURNS), "times": count} for alert, count in last.values()]
    sums = Counter(WORDS.get(alert.reason, "Alert").lower() for alert, _ in last.values())
    values = {
        "count": len(alerts),
        "sums": [f"{count} {word}" for word, count in sums.most_common()],
        "rows": rows[:LIST_LENGTH],
        "left": max(0, len(rows) - LIST_LENGTH),
    }
    message = Message(
        room,
        MessageKind.UPDATE_LIST,
        values,
        placement=Placement.THREAD,
        projects=tuple(sorted({alert.project for alert, _ in last.values()})),
        count=len(alerts),
        mention=mention,
    )
    return message if only is None else _under(only, message)


def list_row(alert: Alert, status: str = UNRESOLVED) -> dict[str, str]:
    """One line of a list of alerts."""
    return {
        "word": WORDS.get(alert.reason, "Alert"),
        "short_id": alert.short_id,
        "title": shorten(alert.title or "(no title)", _TITLE_IN_LIST),
        "project": alert.project,
        "status": "" if status == UNRESOLVED else status,
    }


def silence_notice(
    room: str, silence: Silence, label: str, now: float, rows: Sequence[tuple[str, Alert]] = ()
) -> Message:
    """What is said about a silence shortly before its end, and at its end.

    `rows` are what it silenced in this room: a name for people, and the alert.
    """
    counts = Counter(name for name, _ in rows)
    values = {
        "number": silence.id,
        "label": shorten(label, _LONGEST_TITLE),
        "ended": now >= silence.ends,
        "left": write_duration(timedelta(seconds=max(0.0, silence.ends - now))),
        "count": len(rows),
        "problems": len(counts),
        "rows": [f"{name} ({count})" if count > 1 else name for name, count in counts.most_common(10)],
    }
    projects = tuple(sorted({alert.project for _, alert in rows}))
    return Message(room, MessageKind.SILENCE_NOTICE, values, projects=projects, count=len(rows))


def facts(alert: Alert) -> str:
    """Level, counts, environment and release, as far as the sender names them: `error, 12 events, production`."""
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

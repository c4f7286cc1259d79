"""What one more alert about a problem means for one room. Pure: the group's state, the alert and `now` decide."""

from __future__ import annotations

from dataclasses import dataclass, replace

from errbot_sentry.model import (
    ARCHIVED,
    ASSIGNED,
    COMMENTED,
    ESCALATING,
    METRIC,
    NEW,
    REGRESSED,
    REOPENED,
    RESOLVED,
    RULE,
    SEEN_ARCHIVED,
    SEEN_EVENT,
    SEEN_RESOLVED,
    TEST,
    UNMUTED,
    UNRESOLVED,
    Alert,
)
from errbot_sentry.routes import Route
from errbot_sentry.store.rows import Group

FIRST, MERGED, REPEAT, AGAIN, FOLLOWED = "first", "merged", "repeat", "regressed", "followed"

# How long the webhook and the poller may lie apart when they report one and the same change.
SAME_CHANGE_SPAN = 600.0

_STATUS_OF = {
    NEW: UNRESOLVED,
    REGRESSED: UNRESOLVED,
    ESCALATING: UNRESOLVED,
    UNMUTED: UNRESOLVED,
    REOPENED: UNRESOLVED,
    SEEN_RESOLVED: RESOLVED,
    SEEN_ARCHIVED: ARCHIVED,
}
# What people do to an issue, where the others are what it does by itself.
_DEEDS = (SEEN_RESOLVED, SEEN_ARCHIVED, ASSIGNED, COMMENTED, REOPENED)


@dataclass(frozen=True)
class Placed:
    """The named reason, whether a message goes out, and the group as it is afterwards."""

    name: str
    speaks: bool
    group: Group


def status_after(reason: str, status: str) -> str:
    """The issue's status after an alert of this reason."""
    return _STATUS_OF.get(reason, status)


def place(group: Group | None, alert: Alert, room: str, route: Route, now: float) -> Placed:
    """What this alert means for a room that this route brings it to."""
    if group is None:
        status = status_after(alert.reason, UNRESOLVED)
        opened = Group(room, issue_key(alert), alert.reason, alert.source, now, now, now, status)
        return Placed(FIRST, True, opened)
    name = _name(group, alert, route, now)
    speaks = name != MERGED
    heard = replace(
        group,
        reason=alert.reason,
        source=alert.source,
        at=now,
        top=now if speaks else group.top,
        status=status_after(alert.reason, group.status),
    )
    return Placed(name, speaks, heard)


def witness(group: Group, alert: Alert) -> Group | None:
    """The group of a room that knows the issue and does not get this alert, if the alert changes the issue's status."""
    status = status_after(alert.reason, group.status)
    return None if status == group.status else replace(group, status=status)


def _name(group: Group, alert: Alert, route: Route, now: float) -> str:
    if alert.reason == TEST:
        return FIRST
    if alert.reason in (NEW, SEEN_EVENT):
        return MERGED  # an issue is new once; whatever else says so says nothing new
    if group.reason == alert.reason and group.source != alert.source and now - group.at <= SAME_CHANGE_SPAN:
        return MERGED
    if alert.reason in _DEEDS:
        known_already = alert.reason in _STATUS_OF and _STATUS_OF[alert.reason] == group.status
        return MERGED if known_already else FOLLOWED
    if alert.reason == REGRESSED:
        return AGAIN if group.status != UNRESOLVED or now - group.top > SAME_CHANGE_SPAN else MERGED
    if alert.reason in (RULE, METRIC) and now - group.top < route.repeat.total_seconds():
        return MERGED
    if now - group.top < route.window.total_seconds():
        return MERGED
    return REPEAT


def issue_key(alert: Alert) -> str:
    """What all alerts about one problem have in common."""
    return alert.issue_id or alert.short_id or f"{alert.reason}:{alert.title}"

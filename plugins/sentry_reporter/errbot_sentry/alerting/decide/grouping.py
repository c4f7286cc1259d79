"""What one more alert about a problem means for one room, and what the passing of time does. Pure.

`decide_placement` is the rule, as in Alertmanager's dedup stage: what was sent last, an alert and the time lead to a
named decision and a placement. `group_after` says what the room knows afterwards.

The notification goes out at once. What follows is counted, and the count is sent as an update when the window closes.
Each window is twice as long as the one before, up to the route's `repeat`. Activities are sent as updates. What brings
the problem back is a new notification.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from errbot_sentry.alerting.decide.decisions import DecisionName
from errbot_sentry.config.mention_rules import write_mention
from errbot_sentry.config.routes import Route
from errbot_sentry.domain.alerts import (
    ACTIVITIES,
    ESCALATING,
    METRIC,
    NEW,
    REACHED,
    REGRESSED,
    REOPENED,
    RULE,
    SEEN_ARCHIVED,
    SEEN_RESOLVED,
    TEST,
    UNMUTED,
    Alert,
    Placement,
)
from errbot_sentry.domain.issues import ARCHIVED, RESOLVED, UNRESOLVED
from errbot_sentry.store.records import Group, KnownIssue, issue_key

# How far the webhook and the poller may lie apart when they report one and the same change, and how long after the
# notification a rule that fires for the same event is part of it.
SAME_CHANGE_SPAN = 600.0
SAME_EVENT_SPAN = 90.0

_STATUS_OF = {
    NEW: UNRESOLVED,
    REACHED: UNRESOLVED,
    REGRESSED: UNRESOLVED,
    ESCALATING: UNRESOLVED,
    UNMUTED: UNRESOLVED,
    REOPENED: UNRESOLVED,
    SEEN_RESOLVED: RESOLVED,
    SEEN_ARCHIVED: ARCHIVED,
}
# The reasons for which a problem comes back by itself, and the decision that each leads to.
RETURNS = {
    REGRESSED: DecisionName.REGRESSED,
    ESCALATING: DecisionName.ESCALATING,
    UNMUTED: DecisionName.UNMUTED,
}


@dataclass(frozen=True)
class PlacementDecision:
    """The named reason, and where the message goes."""

    name: DecisionName
    placement: Placement


_MERGED = PlacementDecision(DecisionName.MERGED, Placement.NONE)
_COUNTED = PlacementDecision(DecisionName.COUNTED, Placement.NONE)
_FIRST = PlacementDecision(DecisionName.FIRST, Placement.CHANNEL)
_REPEAT = PlacementDecision(DecisionName.REPEAT, Placement.CHANNEL)
_UPDATE = PlacementDecision(DecisionName.UPDATE, Placement.THREAD)
_FLAPPING = PlacementDecision(DecisionName.FLAPPING, Placement.THREAD)


def decide_placement(last: Group | None, alert: Alert, now: float) -> PlacementDecision:
    """What this alert means for a room; `last` is what was sent there about the problem, None for nothing yet."""
    if last is None or alert.reason == TEST:
        return _FIRST
    if _says_nothing_new(last, alert, now):
        return _MERGED
    if alert.reason == METRIC:
        return _decide_metric(last, alert)
    if alert.reason in ACTIVITIES:
        return _UPDATE
    if alert.reason in RETURNS:
        in_window = abs(now - last.notified_at) < last.window  # a negative difference: the clock was put back
        return _FLAPPING if in_window else PlacementDecision(RETURNS[alert.reason], Placement.CHANNEL)
    if last.repeat and now - last.last_sent >= last.repeat and last.due is None:
        return _REPEAT
    return _COUNTED


def _says_nothing_new(last: Group, alert: Alert, now: float) -> bool:
    if alert.reason in (NEW, REACHED) or (alert.reason == RULE and abs(now - last.notified_at) < SAME_EVENT_SPAN):
        return True
    if alert.reason in ACTIVITIES and _STATUS_OF.get(alert.reason) == last.status:
        return True
    # It came by another way before (see `Alert.way`), for the same reason or only as a rule that fired.
    same = alert.reason in (*RETURNS, RULE) and last.reason in (alert.reason, RULE)
    still_open = last.status == UNRESOLVED and last.source != alert.way
    return same and still_open and abs(now - last.at) <= SAME_CHANGE_SPAN


def _decide_metric(last: Group, alert: Alert) -> PlacementDecision:
    status = status_after(alert, last.status)
    if status == last.status:
        return _UPDATE if alert.level != last.level else _COUNTED
    return _UPDATE if status == RESOLVED else PlacementDecision(DecisionName.REGRESSED, Placement.CHANNEL)


def status_after(alert: Alert, status: str) -> str:
    """The issue's status after an alert."""
    if alert.reason == METRIC:
        return RESOLVED if ("status", "resolved") in alert.tags else UNRESOLVED
    return _STATUS_OF.get(alert.reason, status)


def group_after(
    last: Group | None,
    decision: PlacementDecision,
    alert: Alert,
    room: str,
    route: Route | None,
    now: float,
    alert_id: int = 0,
) -> Group:
    """What a room knows of a problem after this decision; `route` is None where only an activity brings it there."""
    if last is None:
        status = status_after(alert, UNRESOLVED)
        group = Group(room, issue_key(alert), alert.reason, alert.way, now, now, now, status, alert_id=alert_id)
        group = replace(group, returns=int(alert.reason in RETURNS))
    else:
        group = replace(
            last,
            reason=alert.reason,
            source=alert.way,
            at=now,
            alert_id=alert_id if alert.title and alert.reason not in ACTIVITIES else last.alert_id,
            status=status_after(alert, last.status),
            returns=last.returns + (alert.reason in RETURNS and decision.name is not DecisionName.MERGED),
        )
    if decision.placement is not Placement.NONE:
        return _after_sending(group, decision.placement, alert, route, now)
    if decision.name is DecisionName.COUNTED:
        return _after_counting(group, now)
    return group


def _after_counting(group: Group, now: float) -> Group:
    if group.counted or not group.span:
        return replace(group, counted=group.counted + 1)
    # A window opens; so far only the later look for a reminder may be due.
    closes = now + group.span
    return replace(group, counted=1, due=closes if group.due is None else min(group.due, closes))


def _after_sending(group: Group, placement: Placement, alert: Alert, route: Route | None, now: float) -> Group:
    notifies = placement is Placement.CHANNEL
    sent = replace(group, last_sent=now, level=alert.level or group.level)
    if alert.events is not None:
        sent = replace(sent, events=max(alert.events, group.events or 0))
    if sent.status != UNRESOLVED:
        # Also this can be a notification: what comes back right after it is an update of it.
        return replace(sent, due=None, counted=0, notified_at=now if notifies else sent.notified_at)
    if not notifies or route is None:
        return replace(sent, due=now + sent.span) if sent.due is None and sent.span else sent
    window = route.window.total_seconds() or route.repeat.total_seconds()
    return replace(
        sent,
        notified_at=now,
        thread_root=0,
        counted=0,
        span=window,
        window=window,
        repeat=route.repeat.total_seconds(),
        due=now + window if window else None,
        threads=route.threads,
        mention=write_mention(route.mention),
    )


def group_not_sent(group: Group, alert: Alert) -> Group | None:
    """The group of a room that got nothing about this alert; None where the alert does not change the status."""
    status = status_after(alert, group.status)
    return None if status == group.status else replace(group, status=status)


class WindowDecision(Enum):
    """What happens when a window closes; `is_sent` says whether the room gets an update."""

    COUNT_UPDATE = "count_update", True  # the number of what followed
    REMINDER = "reminder", True  # the same, after the route's `repeat`
    CLOSED = "closed", False  # the issue is not open any more
    IDLE = "idle", False  # nothing followed

    def __init__(self, _name: str, is_sent: bool) -> None:
        self.is_sent = is_sent


def decide_window(group: Group, known: KnownIssue | None, now: float) -> WindowDecision:
    """What to do when a group's time has come; `known` says how many events the issue has by now."""
    if group.status != UNRESOLVED or (known is not None and known.status != UNRESOLVED):
        return WindowDecision.CLOSED
    if not group.counted and not _grew(group, known):
        return WindowDecision.IDLE
    is_reminder = group.span >= group.repeat or now - group.last_sent >= group.repeat
    return WindowDecision.REMINDER if is_reminder else WindowDecision.COUNT_UPDATE


def group_after_window(group: Group, decision: WindowDecision, known: KnownIssue | None, now: float) -> Group:
    """What a room knows of a problem after its window has closed."""
    if decision is WindowDecision.CLOSED:
        return replace(group, due=None, counted=0)
    if decision is WindowDecision.IDLE:
        # One more look when the reminder would be due; then it rests until something happens.
        later = group.last_sent + group.repeat
        return replace(group, due=later if later > now else None)
    span = min(group.span * 2, group.repeat) or group.span
    sent = replace(group, last_sent=now, counted=0, span=span, due=now + span)
    return sent if known is None or known.events is None else replace(sent, events=known.events)


def _grew(group: Group, known: KnownIssue | None) -> bool:
    return known is not None and known.events is not None and group.events is not None and known.events > group.events

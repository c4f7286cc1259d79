"""Decides whether a room gets a notification, an update or nothing about an alert, now and as time passes. Pure.

`decide_placement` is the rule, as in Alertmanager's dedup stage: from what was sent last, the alert and the time it
makes a named decision and a placement. `group_after` makes the room's group after that decision.

A notification goes out at once. The alerts after it are counted, and the count is sent as an update when the window
closes. Each window is twice as long as the one before, up to the route's `repeat`. Activities are sent as updates. If
the problem comes back, there is a new notification.
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

# Seconds that may lie between webhook and poller when they report the same change; and seconds after a notification in
# which a rule that fires for the same event is part of it.
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
# The reasons for which a problem comes back by itself, each with its decision.
RETURNS = {
    REGRESSED: DecisionName.REGRESSED,
    ESCALATING: DecisionName.ESCALATING,
    UNMUTED: DecisionName.UNMUTED,
}


@dataclass(frozen=True)
class PlacementDecision:
    """The name of the decision, and where the message goes."""

    name: DecisionName
    placement: Placement


_MERGED = PlacementDecision(DecisionName.MERGED, Placement.NONE)
_COUNTED = PlacementDecision(DecisionName.COUNTED, Placement.NONE)
_FIRST = PlacementDecision(DecisionName.FIRST, Placement.CHANNEL)
_REPEAT = PlacementDecision(DecisionName.REPEAT, Placement.CHANNEL)
_UPDATE = PlacementDecision(DecisionName.UPDATE, Placement.THREAD)
_FLAPPING = PlacementDecision(DecisionName.FLAPPING, Placement.THREAD)


def decide_placement(last: Group | None, alert: Alert, now: float) -> PlacementDecision:
    """Decide about an alert for a room; `last` is the room's group of the problem, None if nothing was sent yet."""
    if last is None or alert.reason == TEST:
        return _FIRST
    if _says_nothing_new(last, alert, now):
        return _MERGED
    if alert.reason == METRIC:
        return _decide_metric(last, alert)
    if alert.reason in ACTIVITIES:
        return _UPDATE
    if alert.reason in RETURNS:
        in_window = abs(now - last.notified_at) < last.window  # the difference is negative if the clock was put back
        return _FLAPPING if in_window else PlacementDecision(RETURNS[alert.reason], Placement.CHANNEL)
    if last.repeat and now - last.last_sent >= last.repeat and last.due is None:
        return _REPEAT
    return _COUNTED


def _says_nothing_new(last: Group, alert: Alert, now: float) -> bool:
    if alert.reason in (NEW, REACHED) or (alert.reason == RULE and abs(now - last.notified_at) < SAME_EVENT_SPAN):
        return True
    if alert.reason in ACTIVITIES and _STATUS_OF.get(alert.reason) == last.status:
        return True
    # It came on another way before (see `Alert.way`), for the same reason or as a rule that fired.
    same = alert.reason in (*RETURNS, RULE) and last.reason in (alert.reason, RULE)
    still_open = last.status == UNRESOLVED and last.way != alert.way
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
    """A room's group after this decision; `route` is None if the room gets only activities."""
    if last is None:
        status = status_after(alert, UNRESOLVED)
        group = Group(room, issue_key(alert), alert.reason, alert.way, now, now, status, alert_id=alert_id)
        group = replace(group, returns=int(alert.reason in RETURNS))
    else:
        group = replace(
            last,
            reason=alert.reason,
            way=alert.way,
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
    # A window opens; until now only the look for a reminder may have been due.
    closes = now + group.span
    return replace(group, counted=1, due=closes if group.due is None else min(group.due, closes))


def _after_sending(group: Group, placement: Placement, alert: Alert, route: Route | None, now: float) -> Group:
    notifies = placement is Placement.CHANNEL
    sent = replace(group, last_sent=now, level=alert.level or group.level)
    if alert.events is not None:
        sent = replace(sent, events=max(alert.events, group.events or 0))
    if sent.status != UNRESOLVED:
        # This can be a notification too: a problem that comes back right after it is an update.
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
    """The group of a room that got nothing about this alert; None if the alert does not change the status."""
    status = status_after(alert, group.status)
    return None if status == group.status else replace(group, status=status)


class WindowDecision(Enum):
    """What happens when a window closes; `is_sent` says whether the room gets an update."""

    COUNT_UPDATE = "count_update", True  # sends the number of alerts since
    REMINDER = "reminder", True  # the same as a reminder, after the route's `repeat`
    CLOSED = "closed", False  # the issue is not open any more
    IDLE = "idle", False  # nothing followed

    def __init__(self, _name: str, is_sent: bool) -> None:
        self.is_sent = is_sent


def decide_window(group: Group, known: KnownIssue | None, now: float) -> WindowDecision:
    """Decide what to do with a group that is due; `known` has the issue's present number of events."""
    if group.status != UNRESOLVED or (known is not None and known.status != UNRESOLVED):
        return WindowDecision.CLOSED
    if not group.counted and not _grew(group, known):
        return WindowDecision.IDLE
    is_reminder = group.span >= group.repeat or now - group.last_sent >= group.repeat
    return WindowDecision.REMINDER if is_reminder else WindowDecision.COUNT_UPDATE


def group_after_window(group: Group, decision: WindowDecision, known: KnownIssue | None, now: float) -> Group:
    """A room's group after its window has closed."""
    if decision is WindowDecision.CLOSED:
        return replace(group, due=None, counted=0)
    if decision is WindowDecision.IDLE:
        # One more look when the reminder would be due; then nothing is due until the next alert.
        later = group.last_sent + group.repeat
        return replace(group, due=later if later > now else None)
    span = min(group.span * 2, group.repeat) or group.span
    sent = replace(group, last_sent=now, counted=0, span=span, due=now + span)
    return sent if known is None or known.events is None else replace(sent, events=known.events)


def _grew(group: Group, known: KnownIssue | None) -> bool:
    return known is not None and known.events is not None and group.events is not None and known.events > group.events

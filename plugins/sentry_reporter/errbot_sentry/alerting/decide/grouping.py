"""What one more alert about a problem means for one room, and what the passing of time does. Pure.

The first word goes out at once. What follows is counted and told when the window closes, under the first word; each
window is twice as long as the one before, up to the route's `repeat`, so that a problem that goes on says so ever more
rarely. What people do to the issue is told under the first word; what brings it back is a new first word.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from errbot_sentry.config.mention_rules import write_mention
from errbot_sentry.config.routes import Route
from errbot_sentry.domain.alerts import (
    ASSIGNED,
    COMMENTED,
    ESCALATING,
    METRIC,
    NEW,
    REGRESSED,
    REOPENED,
    RULE,
    SEEN_ARCHIVED,
    SEEN_RESOLVED,
    TEST,
    UNMUTED,
    Alert,
)
from errbot_sentry.domain.issues import ARCHIVED, RESOLVED, UNRESOLVED
from errbot_sentry.store.records import Group, KnownIssue
from errbot_sentry.store.records import issue_key as issue_key

# Names of decisions.
FIRST, MERGED, COUNTED, REPEAT, FOLLOWED, FLAPPING = "first", "merged", "counted", "repeat", "followed", "flapping"
WINDOW, REMINDER, UNFOLLOWED = "window", "reminder", "unfollowed"

# Where a word goes.
CHANNEL, THREAD, NOWHERE = "top", "under", "silent"

# How far the webhook and the poller may lie apart when they report one and the same change, and how long after the
# first word a rule that fires for the same event is part of it.
SAME_CHANGE_SPAN = 600.0
SAME_EVENT_SPAN = 90.0

_STATUS_OF = {
    NEW: UNRESOLVED,
    REGRESSED: UNRESOLVED,
    ESCALATING: UNRESOLVED,
    UNMUTED: UNRESOLVED,
    REOPENED: UNRESOLVED,
    SEEN_RESOLVED: RESOLVED,
    SEEN_ARCHIVED: ARCHIVED,
}
# What people do to an issue, where the other reasons are what it does by itself.
ACTIVITIES = (SEEN_RESOLVED, SEEN_ARCHIVED, ASSIGNED, COMMENTED, REOPENED)
COMES_BACK = (REGRESSED, ESCALATING, UNMUTED)


@dataclass(frozen=True)
class GroupDecision:
    """The named reason, where the word goes (TOP, UNDER, SILENT), and the group as it is afterwards."""

    name: str
    placement: str
    group: Group


def status_after(alert: Alert, status: str) -> str:
    """The issue's status after an alert."""
    if alert.reason == METRIC:
        return RESOLVED if ("status", "resolved") in alert.tags else UNRESOLVED
    return _STATUS_OF.get(alert.reason, status)


def decide_placement(
    group: Group | None, alert: Alert, room: str, route: Route | None, now: float, alert_id: int = 0
) -> GroupDecision | None:
    """What this alert means for a room: one that a route brings it to, or (no route) one that knows the problem.

    None: nothing at all, the room neither asked for it nor knows of the problem.
    """
    if group is None:
        if route is None:
            return None
        opened = Group(
            room, issue_key(alert), alert.reason, alert.source, now, now, now, status_after(alert, UNRESOLVED),
            alert_id=alert_id,
        )  # fmt: skip
        return GroupDecision(FIRST, CHANNEL, _told(opened, alert, route, now, top=True))
    if route is None and alert.reason not in ACTIVITIES:
        return None
    name, placement = _name(group, alert, now)
    heard = replace(
        group,
        reason=alert.reason,
        source=alert.source,
        at=now,
        alert_id=alert_id if alert.title and alert.reason not in ACTIVITIES else group.alert_id,
        status=status_after(alert, group.status),
        counted=group.counted + (1 if name == COUNTED else 0),
    )
    if placement != NOWHERE:
        return GroupDecision(name, placement, _told(heard, alert, route, now, top=placement == CHANNEL))
    if name == COUNTED and group.counted == 0 and heard.span:
        # A window opens; only the later look for a reminder may be set so far.
        soon = now + heard.span
        heard = replace(heard, due=soon if heard.due is None else min(heard.due, soon))
    return GroupDecision(name, placement, heard)


def _told(group: Group, alert: Alert, route: Route | None, now: float, *, top: bool) -> Group:
    """The group after a word of any kind about this alert."""
    told = replace(group, last_sent=now, level=alert.level or group.level)
    if alert.events is not None:
        told = replace(told, events=max(alert.events, group.events or 0))
    if told.status != UNRESOLVED:
        # Also this is a first word: what comes back right after it says so under it.
        return replace(told, due=None, counted=0, notified_at=now if top else told.notified_at)
    if not top or route is None:
        return replace(told, due=now + told.span) if told.due is None and told.span else told
    window = route.window.total_seconds() or route.repeat.total_seconds()
    return replace(
        told,
        notified_at=now,
        thread_root=0,
        counted=0,
        span=window,
        window=window,
        repeat=route.repeat.total_seconds(),
        due=now + window if window else None,
        placement=route.threads,
        mention=write_mention(route.mention),
    )


def _name(group: Group, alert: Alert, now: float) -> tuple[str, str]:
    if alert.reason == TEST:
        return FIRST, CHANNEL
    if _says_nothing_new(group, alert, now):
        return MERGED, NOWHERE
    if alert.reason == METRIC:
        return _name_of_metric(group, alert)
    if alert.reason in ACTIVITIES:
        return FOLLOWED, THREAD
    young = abs(now - group.notified_at) < group.window  # before it: the clock was put back
    if alert.reason in COMES_BACK:
        # Up again within the window of its own first word: it flaps, and says so under that word.
        return (FLAPPING, THREAD) if young else (alert.reason, CHANNEL)
    if group.repeat and now - group.last_sent >= group.repeat and group.due is None:
        return REPEAT, CHANNEL
    return COUNTED, NOWHERE


def _says_nothing_new(group: Group, alert: Alert, now: float) -> bool:
    if alert.reason == NEW or (alert.reason == RULE and abs(now - group.notified_at) < SAME_EVENT_SPAN):
        return True
    if alert.reason in _STATUS_OF and alert.reason in ACTIVITIES and _STATUS_OF[alert.reason] == group.status:
        return True
    # Reported by the other way before, by the same name or only as a rule's firing.
    same = alert.reason in (*COMES_BACK, RULE) and group.reason in (alert.reason, RULE)
    still_open = group.status == UNRESOLVED and group.source != alert.source
    return same and still_open and abs(now - group.at) <= SAME_CHANGE_SPAN


def _name_of_metric(group: Group, alert: Alert) -> tuple[str, str]:
    status = status_after(alert, group.status)
    if status == group.status:
        return (FOLLOWED, THREAD) if alert.level != group.level else (COUNTED, NOWHERE)
    return (FOLLOWED, THREAD) if status == RESOLVED else (REGRESSED, CHANNEL)


def witness(group: Group, alert: Alert) -> Group | None:
    """The group of a room that is not told of this alert, if the alert changes the issue's status."""
    status = status_after(alert, group.status)
    return None if status == group.status else replace(group, status=status)


def tick(group: Group, known: KnownIssue | None, now: float) -> GroupDecision:
    """What is to be said when a group's time has come: how much followed, a reminder, or nothing.

    `known` tells how many events the issue has by now, from the poller or the last webhook.
    """
    if group.status != UNRESOLVED or (known is not None and known.status != UNRESOLVED):
        return GroupDecision(MERGED, NOWHERE, replace(group, due=None, counted=0))
    if group.counted or _grew(group, known):
        reminds = group.span >= group.repeat or now - group.last_sent >= group.repeat
        span = min(group.span * 2, group.repeat) or group.span
        told = replace(group, last_sent=now, counted=0, span=span, due=now + span)
        if known is not None and known.events is not None:
            told = replace(told, events=known.events)
        return GroupDecision(REMINDER if reminds else WINDOW, THREAD, told)
    # Quiet so far: one more look when the reminder would be due, then it rests until something happens.
    later = group.last_sent + group.repeat
    return GroupDecision(MERGED, NOWHERE, replace(group, due=later if later > now else None))


def _grew(group: Group, known: KnownIssue | None) -> bool:
    return known is not None and known.events is not None and group.events is not None and known.events > group.events

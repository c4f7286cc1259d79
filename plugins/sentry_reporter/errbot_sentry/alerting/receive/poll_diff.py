"""Compares a page of issues with what is known, to find out what is new. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from errbot_sentry.config.facts import ISSUE
from errbot_sentry.config.matchers import Matcher
from errbot_sentry.domain.alerts import (
    ASSIGNED,
    ESCALATING,
    NEW,
    REACHED,
    REGRESSED,
    REOPENED,
    SEEN_ARCHIVED,
    SEEN_RESOLVED,
    TEST,
    UNMUTED,
    Alert,
    is_canary,
)
from errbot_sentry.domain.issues import ARCHIVED, RESOLVED, UNRESOLVED, Issue
from errbot_sentry.store.records import KnownIssue, PollMark


@dataclass(frozen=True)
class IssueDiff:
    """The result for one issue: the new state to remember, and a reason if rooms may want an alert."""

    known: KnownIssue
    reason: str = ""


MOST_RETRIES = 5  # of a problem that was decided without the server's answer


def compare(
    issue: Issue, known: KnownIssue | None, mark: PollMark, asked: float, amounts: Sequence[Matcher] = ()
) -> IssueDiff:
    """Compare one issue, from a page that was requested at `asked`, with what is known about it.

    `amounts` are the matchers of all routes that can come true with more events or users.
    """
    now_known = _observed(issue, known, asked)
    if is_canary(issue.title, issue.level):
        return IssueDiff(now_known, TEST if known is None or now_known.last_seen > known.last_seen else "")
    if known is None:
        return IssueDiff(now_known, _reason_of_unknown(issue, mark))
    if known.changed > asked:
        # A webhook came after the page was made, so the page may be out of date.
        return IssueDiff(
            replace(
                now_known,
                status=known.status,
                substatus=known.substatus,
                assignee=known.assignee,
                assignee_kind=known.assignee_kind,
                assignee_mail=known.assignee_mail,
                polled_events=known.polled_events,
                polled_users=known.polled_users,
            )
        )
    return IssueDiff(now_known, _reason_of_known(issue, known) or _reason_of_waiting(issue, known, amounts))


def _reason_of_unknown(issue: Issue, mark: PollMark) -> str:
    """The reason for an unknown issue. One from before the first poll is not new, unless the server says so."""
    if issue.status != UNRESOLVED:
        return ""
    first_seen = seconds(issue.first_seen)
    if mark.complete or first_seen > mark.baseline:
        return NEW
    return {"regressed": REGRESSED, "escalating": ESCALATING}.get(issue.substatus or "", "")


def _reason_of_known(issue: Issue, known: KnownIssue) -> str:
    if issue.status != known.status:
        return _reason_of_change(issue, known)
    if issue.status == UNRESOLVED and issue.substatus == "escalating" and known.substatus not in ("", "escalating"):
        return ESCALATING
    if issue.assignee and issue.assignee.name != known.assignee and known.notified_at is not None:
        return ASSIGNED
    return ""


def _reason_of_waiting(issue: Issue, known: KnownIssue, amounts: Sequence[Matcher]) -> str:
    """The reason if a route waits for facts that were missing before, or for an amount that is reached now."""
    if issue.status != UNRESOLVED:
        return ""
    if 0 < known.lacking <= MOST_RETRIES:
        return NEW
    now = {"events": issue.events, "users": issue.users}
    before = {"events": known.polled_events or 0, "users": known.polled_users or 0}
    return REACHED if any(each.holds(now[each.name]) and not each.holds(before[each.name]) for each in amounts) else ""


def _reason_of_change(issue: Issue, known: KnownIssue) -> str:
    if issue.status == UNRESOLVED:
        if issue.substatus == "escalating":
            return ESCALATING
        if known.status == ARCHIVED:
            return UNMUTED
        happened = seconds(issue.last_seen) > known.last_seen or issue.substatus == "regressed"
        return REGRESSED if happened else REOPENED
    if known.notified_at is None:
        return ""  # no room was notified that it was open
    return {RESOLVED: SEEN_RESOLVED, ARCHIVED: SEEN_ARCHIVED}.get(issue.status, "")


def _observed(issue: Issue, known: KnownIssue | None, asked: float) -> KnownIssue:
    before = known or KnownIssue(issue.id, issue.status)
    seen = replace(
        before,
        status=issue.status,
        substatus=issue.substatus or "",
        short_id=issue.short_id or before.short_id,
        title=issue.title[:500] or before.title,
        project=issue.project.slug or before.project,
        events=before.events if issue.events is None else issue.events,
        last_seen=max(seconds(issue.last_seen), before.last_seen),
        assignee=issue.assignee.name if issue.assignee else "",
        assignee_kind=issue.assignee.kind if issue.assignee else "nobody",
        assignee_mail=issue.assignee.email if issue.assignee else "",
        level=issue.level or before.level,
        link=issue.link or before.link,
        polled_events=issue.events,
        polled_users=issue.users,
    )
    return seen if seen == known else replace(seen, touched=asked)


def alert_of(issue: Issue, diff: IssueDiff, now: datetime, away_since: float | None = None) -> Alert:
    """The alert about a diff. Its delivery key says what changed.

    An issue is new only once. All other changes count each time that a poll finds them, because an issue can be
    resolved and reopened without an event.
    """
    changed = "" if diff.reason == NEW and not diff.known.lacking else f":{now.timestamp()}"
    return Alert(
        delivery=f"poll:{diff.reason}:{issue.id}{changed}",
        reason=diff.reason,
        source="poll",
        at=now,
        issue_id=issue.id,
        short_id=issue.short_id,
        title=issue.title[:500],
        culprit=issue.culprit[:200],
        level=issue.level,
        project=issue.project.slug,
        project_id=issue.project.id,
        project_name=issue.project.name,
        release=issue.last_release,
        link=issue.link,
        events=issue.events,
        users=issue.users,
        assignee=issue.assignee.name if issue.assignee else "",
        assignee_kind=issue.assignee.kind if issue.assignee else "nobody",
        assignee_mail=issue.assignee.email if issue.assignee else "",
        priority=issue.priority,
        first_seen=None if issue.first_seen is None else issue.first_seen.timestamp(),
        asked=ISSUE,
        away_since=away_since,
    )


def seconds(moment: datetime | None) -> float:
    """Seconds since 1970; 0 for a time that the server did not send."""
    return 0.0 if moment is None else moment.timestamp()

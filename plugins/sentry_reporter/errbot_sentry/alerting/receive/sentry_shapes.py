"""Reads the issues and events in all of Sentry's webhooks. Pure.

Sources, below `src/sentry` of getsentry/sentry: issues are written by `api/serializers/models/group.py`. An event that
is not an error (a cron or uptime monitor, a metric, a slow query, feedback) has the title `<untitled>`, and its texts
are in `occurrence`, written by `issues/issue_occurrence.py`.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, timedelta

from errbot_sentry.alerting.receive import webhook_values
from errbot_sentry.config.facts import EVENT
from errbot_sentry.domain import json_values
from errbot_sentry.domain.alerts import FEEDBACK, Alert
from errbot_sentry.domain.text import write_duration
from errbot_sentry.server.payloads.json_fields import Fields

_NO_TITLES = ("<untitled>", "<unlabeled event>", "<unknown>")
# https://sentry.io/api/0/projects/ORG/PROJECT/events/ID/
_EVENT_URL = re.compile(r"/api/0/projects/[^/]+/([^/]+)/")
_METRIC_ISSUE = 8001  # incidents/grouptype.py


def of_issue(issue: Fields, blank: Alert) -> Alert:
    """The alert with the values of an issue."""
    project, metadata, assignee = issue.fields("project"), issue.fields("metadata"), issue.fields("assignedTo")
    is_feedback = issue.line("issueCategory") == FEEDBACK
    culprit = "" if is_feedback else issue.line("culprit")
    # An issue without a culprit or a type is not an error; then `metadata.value` says what happened.
    says_more = not is_feedback and not culprit and not metadata.line("type")
    return replace(
        blank,
        issue_id=webhook_values.issue_number(issue.raw("id")),
        short_id=webhook_values.short_id(issue.raw("shortId")),
        title=(metadata.line("message") if is_feedback else "") or _title(issue),
        culprit=culprit,
        text=metadata.line("value") if says_more and metadata.line("value") not in issue.line("title") else "",
        level=json_values.level(issue.raw("level")),
        project=webhook_values.slug(project.raw("slug")),
        project_id=webhook_values.project_number(project.raw("id")),
        project_name=project.line("name"),
        link=_first_link(issue, "web_url", "webUrl", "permalink"),
        events=issue.whole("count"),
        users=issue.whole("userCount"),
        actor=metadata.line("name") if is_feedback else "",
        assignee=assignee.line("name", "email"),
        assignee_kind=_kind_of(issue, assignee),
        assignee_mail=assignee.line("email"),
        category=FEEDBACK if is_feedback else "",
        platform=issue.line("platform") or None,
        priority=issue.line("priority") or None,
        first_seen=first_seen.timestamp() if (first_seen := issue.time("firstSeen")) else None,
    )


def of_event(event: Fields, blank: Alert) -> Alert:
    """The alert with the values of an event. Without a title in the event, it is empty; then the issue's is used."""
    occurrence, contexts = event.fields("occurrence"), event.fields("contexts")
    feedback, monitor = contexts.fields("feedback"), contexts.fields("monitor").line("name")
    # In webhooks of the legacy plugin, Sentry's own tags still have their prefix.
    tags = tuple((key.removeprefix("sentry:"), value) for key, value in json_values.tags(event.raw("tags")))
    known = dict(tags)
    from_url = _EVENT_URL.search(event.line("url"))
    own_title = _title(event) or event.line("message") or (f"Monitor failure: {monitor}" if monitor else "")
    return replace(
        blank,
        issue_id=webhook_values.issue_number(event.raw("issue_id"), event.raw("group_id"), event.raw("groupID")),
        title=feedback.line("message") or occurrence.line("issueTitle") or own_title,
        culprit="" if feedback else event.line("culprit"),
        text="" if feedback else _evidence(occurrence),
        level=json_values.level(occurrence.line("level") or event.line("level") or known.get("level")),
        project=webhook_values.slug(from_url[1]) if from_url else "",
        project_id=webhook_values.project_number(event.raw("project", "projectID")),
        environment=event.line("environment") or known.get("environment") or None,
        release=event.line("release") or known.get("release") or None,
        tags=tags,
        link=_first_link(event, "web_url"),
        actor=feedback.line("name"),
        category=FEEDBACK if feedback else "",
        platform=event.line("platform") or None,
        asked=EVENT,
    )  # fmt: skip


def how_resolved(issue: Fields) -> str:
    """`in release shop@1.3.0`, from `statusDetails`; "" if it was resolved without such a detail."""
    details = issue.fields("statusDetails")
    commit = details.fields("inCommit").line("id")
    if release := details.line("inRelease"):
        return f"in release {release}"
    if details.yes("inNextRelease"):
        return "in the next release"
    if commit:
        return f"in commit {commit[:7]}"
    return "automatically, after a time without events" if details.yes("autoResolved") else ""


def how_archived(issue: Fields, now: datetime) -> str:
    """`until it escalates`, from `substatus` and `statusDetails`; "" if for ever. Windows are in minutes."""
    details = issue.fields("statusDetails")
    if until := details.time("ignoreUntil"):
        return "until " + until.strftime("%H:%M UTC" if until.date() == now.date() else "%d %b %H:%M UTC")
    for name, thing in (("ignoreCount", "event"), ("ignoreUserCount", "user")):
        if (count := details.whole(name) or 0) > 0:
            window = details.whole("ignoreWindow" if thing == "event" else "ignoreUserWindow")
            within = f" within {write_duration(timedelta(minutes=window))}" if window and 0 < window < 10**6 else ""
            return f"until {count:,} more {thing}{'' if count == 1 else 's'}{within}"
    return "until it escalates" if issue.line("substatus") == "archived_until_escalating" else ""


def _title(noun: Fields) -> str:
    found = noun.line("title")
    return "" if found in _NO_TITLES else found


def _first_link(noun: Fields, *names: str) -> str:
    return next(filter(None, (json_values.web_link(noun.raw(name)) for name in names)), "")


def _kind_of(issue: Fields, assignee: Fields) -> str:
    if not assignee:
        return "nobody" if "assignedTo" in issue else ""
    return "team" if assignee.line("type") == "team" else "user"


def _evidence(occurrence: Fields) -> str:
    """What happened: the evidence that is marked as important, or the subtitle if that is a shorter form of it."""
    subtitle = occurrence.line("subtitle")
    shown = (Fields(each) for each in occurrence.rows("evidenceDisplay"))
    important = next((each.line("value") for each in shown if each.yes("important")), "")
    value = json_values.amount(occurrence.fields("evidenceData").raw("value"))
    if occurrence.whole("type") == _METRIC_ISSUE and value is not None:
        return f"{subtitle}, now {value:,g}" if subtitle else ""
    return important if important and subtitle not in important else subtitle

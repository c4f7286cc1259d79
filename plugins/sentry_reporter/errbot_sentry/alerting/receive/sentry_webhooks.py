"""Webhooks of Sentry's integration platform to alerts. Pure.

Shapes: sentry-docs `docs/organization/integrations/integration-platform/webhooks/*.mdx`; code names of actions from
getsentry/sentry `sentry_apps/tasks/sentry_apps.py`. What a resource does not say stays empty.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from errbot_sentry.alerting.receive import webhook_ids
from errbot_sentry.alerting.receive.parsed_webhook import NOTHING, Parsed
from errbot_sentry.config.facts import EVENT
from errbot_sentry.domain import json_values
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
    SEEN_EVENT,
    SEEN_RESOLVED,
    Alert,
)
from errbot_sentry.domain.errors import BadBody

_ISSUE_ACTIONS = {
    "created": NEW,
    "resolved": SEEN_RESOLVED,
    "assigned": ASSIGNED,
    "archived": SEEN_ARCHIVED,
    "ignored": SEEN_ARCHIVED,
}
_OPEN_AGAIN = {"regressed": REGRESSED, "escalating": ESCALATING}
_ACTIVITIES = {
    "first_seen": NEW,
    "set_regression": REGRESSED,
    "set_escalating": ESCALATING,
    "set_resolved": SEEN_RESOLVED,
    "set_resolved_in_release": SEEN_RESOLVED,
    "set_resolved_in_commit": SEEN_RESOLVED,
    "set_resolved_in_pull_request": SEEN_RESOLVED,
    "set_resolved_by_age": SEEN_RESOLVED,
    "set_ignored": SEEN_ARCHIVED,
    "set_unresolved": REOPENED,
    "assigned": ASSIGNED,
    "note": COMMENTED,
}
_METRIC_LEVELS = {"critical": "fatal", "open": "error", "warning": "warning", "resolved": "info"}
# https://sentry.io/api/0/projects/ORG/PROJECT/events/ID/
_EVENT_URL = re.compile(r"/api/0/projects/[^/]+/([^/]+)/")


def read_sentry_webhook(resource: str, body: Mapping[str, Any], delivery: str, at: datetime) -> Parsed:
    """The alert of one delivery, or none where the resource or action makes none.

    Raises:
        BadBody: what this resource must have is missing.
    """
    reader = _READERS.get(resource)
    if reader is None:
        return NOTHING
    data = body.get("data")
    if not isinstance(data, dict):
        raise BadBody(f'A webhook of the resource "{resource}" has an object "data".')
    alert = reader(data, json_values.line(body.get("action")).lower(), body, Alert(delivery, "", "webhook", at))
    return NOTHING if alert is None else Parsed((alert,))


def _with(alert: Alert, **values: Any) -> Alert:
    return Alert(**{**alert.__dict__, **values})


def _need(data: Mapping[str, Any], name: str, *keys: str) -> Mapping[str, Any]:
    found = json_values.mapping(data.get(name))
    if not json_values.first_line(*(found.get(key) for key in keys)):
        raise BadBody(f'The webhook lacks "data.{name}.{keys[0]}".')
    return found


def of_issue(issue: Mapping[str, Any], alert: Alert) -> Alert:
    """What an issue in the API's own form says."""
    project = json_values.mapping(issue.get("project"))
    assignee = json_values.mapping(issue.get("assignedTo"))
    return _with(
        alert,
        issue_id=webhook_ids.issue_number(issue.get("id")),
        short_id=webhook_ids.short_id(issue.get("shortId")),
        title=json_values.line(issue.get("title")),
        culprit=json_values.line(issue.get("culprit")),
        level=json_values.level(issue.get("level")),
        project=webhook_ids.slug(project.get("slug")),
        project_id=webhook_ids.project_number(project.get("id")),
        project_name=json_values.line(project.get("name")),
        link=json_values.web_link(issue.get("web_url")) or json_values.web_link(issue.get("permalink")),
        events=json_values.whole(issue.get("count")),
        users=json_values.whole(issue.get("userCount")),
        assignee=json_values.first_line(assignee.get("name"), assignee.get("email")),
        assignee_kind=_kind_of(issue, assignee),
        assignee_mail=json_values.line(assignee.get("email")),
    )


def _kind_of(issue: Mapping[str, Any], assignee: Mapping[str, Any]) -> str:
    if not assignee:
        return "nobody" if "assignedTo" in issue else ""
    return "team" if assignee.get("type") == "team" else "user"


def of_event(event: Mapping[str, Any], alert: Alert) -> Alert:
    """What an event in the form of the alert webhooks says."""
    tags = json_values.tags(event.get("tags"))
    known = dict(tags)
    url = json_values.line(event.get("url"))
    from_url = _EVENT_URL.search(url)
    return _with(
        alert,
        issue_id=webhook_ids.issue_number(event.get("issue_id"), event.get("group_id"), event.get("groupID")),
        title=json_values.first_line(event.get("title"), event.get("message")),
        culprit=json_values.line(event.get("culprit")),
        level=json_values.level(event.get("level")) or json_values.level(known.get("level")),
        project=webhook_ids.slug(from_url[1]) if from_url else "",
        project_id=webhook_ids.project_number(event.get("project")),
        environment=json_values.first_line(event.get("environment"), known.get("environment")) or None,
        release=json_values.first_line(event.get("release"), known.get("release")) or None,
        tags=tags,
        link=json_values.web_link(event.get("web_url")),
        platform=json_values.line(event.get("platform")) or None,
        asked=EVENT,
    )


def _issue(data: Mapping[str, Any], action: str, body: Mapping[str, Any], alert: Alert) -> Alert | None:
    issue = _need(data, "issue", "id")
    reason = _ISSUE_ACTIONS.get(action)
    if action == "unresolved":
        reason = _OPEN_AGAIN.get(json_values.line(issue.get("substatus")), REOPENED)
    if reason is None:
        return None
    return _with(of_issue(issue, alert), reason=reason, actor=_actor(body))


def _error(data: Mapping[str, Any], action: str, _body: Mapping[str, Any], alert: Alert) -> Alert | None:
    if action != "created":
        return None
    return _with(of_event(_need(data, "error", "issue_id", "title"), alert), reason=SEEN_EVENT)


def _comment(data: Mapping[str, Any], action: str, body: Mapping[str, Any], alert: Alert) -> Alert | None:
    if not json_values.line(data.get("issue_id")):
        raise BadBody('The webhook lacks "data.issue_id".')
    if action != "created":
        return None
    return _with(
        alert,
        reason=COMMENTED,
        issue_id=webhook_ids.issue_number(data.get("issue_id")),
        project=webhook_ids.slug(data.get("project_slug")),
        text=json_values.line(data.get("comment")),
        actor=_actor(body),
    )


def _event_alert(data: Mapping[str, Any], action: str, _body: Mapping[str, Any], alert: Alert) -> Alert | None:
    event = _need(data, "event", "issue_id", "title")
    if action != "triggered":
        return None
    rule = json_values.first_line(data.get("triggered_rule"), json_values.mapping(data.get("issue_alert")).get("title"))
    return _with(of_event(event, alert), reason=RULE, rule=rule)


def _activity_alert(data: Mapping[str, Any], action: str, body: Mapping[str, Any], alert: Alert) -> Alert | None:
    issue = _need(data, "issue", "id")
    activity = json_values.mapping(data.get("activity"))
    reason = _ACTIVITIES.get(json_values.line(activity.get("type")).lower())
    if action != "triggered" or reason is None:
        return None
    rule = json_values.mapping(data.get("alert"))
    said = json_values.mapping(activity.get("data")).get("text") if reason == COMMENTED else ""
    return _with(
        of_issue(issue, alert),
        reason=reason,
        rule=json_values.first_line(rule.get("title"), rule.get("name")),
        actor=_actor(body),
        text=json_values.line(said),
    )


def _metric_alert(data: Mapping[str, Any], action: str, _body: Mapping[str, Any], alert: Alert) -> Alert | None:
    incident = _need(data, "metric_alert", "id", "identifier")
    if action not in _METRIC_LEVELS:
        return None
    rule = json_values.mapping(incident.get("alert_rule"))
    projects = [slug for slug in map(webhook_ids.slug, items_of(incident, rule, "projects")) if slug]
    return _with(
        alert,
        reason=METRIC,
        # One problem is one rule: its next incident belongs to the same conversation.
        issue_id="metric-" + webhook_ids.issue_number(rule.get("id"), incident.get("id"), incident.get("identifier")),
        title=json_values.first_line(data.get("description_title"), incident.get("title"), rule.get("name")),
        rule=json_values.line(rule.get("name")),
        level=_METRIC_LEVELS[action],
        project=projects[0] if projects else "",
        tags=(("status", action), *(("projects", slug) for slug in projects[1:])),
        text=json_values.line(data.get("description_text")),
        link=json_values.web_link(data.get("web_url")),
    )


def items_of(incident: Mapping[str, Any], rule: Mapping[str, Any], name: str) -> list[Any]:
    """The list of that name, on the incident or on its rule."""
    return json_values.rows(incident.get(name)) or json_values.rows(rule.get(name))


def _actor(body: Mapping[str, Any]) -> str:
    actor = json_values.mapping(body.get("actor"))
    return json_values.line(actor.get("name")) if actor.get("type") == "user" else ""


_Reader = Callable[[Mapping[str, Any], str, Mapping[str, Any], Alert], Alert | None]
_READERS: dict[str, _Reader] = {
    "issue": _issue,
    "error": _error,
    "comment": _comment,
    "event_alert": _event_alert,
    "activity_alert": _activity_alert,
    "metric_alert": _metric_alert,
}

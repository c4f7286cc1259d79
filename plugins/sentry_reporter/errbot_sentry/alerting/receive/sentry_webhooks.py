"""Reads Sentry's webhooks into alerts: those of its integration platform, and two older kinds without headers. Pure.

Fields: sentry-docs `docs/organization/integrations/integration-platform/webhooks/*.mdx`, and below `src/sentry` of
getsentry/sentry: `sentry_apps/tasks/sentry_apps.py` (the actions), `seer/autofix/on_completion_hook.py` (Seer),
`notifications/notification_action/activity_registry/sentry_app.py` (activity alerts: the person and the text are in
`activity.details`, `actor` is always the application). A value that a resource does not have stays empty.

The older kinds are the legacy WebHooks plugin (`plugins/sentry_webhooks/plugin.py`) and service hooks
(`sentry_apps/tasks/service_hooks.py`). They do not say whether a rule fired or an event came in; either is an alert.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from errbot_sentry.alerting.receive import webhook_values
from errbot_sentry.alerting.receive.sentry_shapes import how_archived, how_resolved, of_event, of_issue
from errbot_sentry.alerting.receive.webhook_values import NOTHING, Parsed
from errbot_sentry.domain import json_values
from errbot_sentry.domain.alerts import (
    ACTIVITIES,
    ASSIGNED,
    COMMENTED,
    ESCALATING,
    METRIC,
    NEW,
    PULL_REQUEST,
    REGRESSED,
    REOPENED,
    RULE,
    SEEN_ARCHIVED,
    SEEN_EVENT,
    SEEN_RESOLVED,
    SEER,
    Alert,
)
from errbot_sentry.domain.errors import BadBody
from errbot_sentry.server.payloads.json_fields import Fields

_ISSUE_ACTIONS = {
    "created": NEW,
    "resolved": SEEN_RESOLVED,
    "assigned": ASSIGNED,
    "archived": SEEN_ARCHIVED,
    "ignored": SEEN_ARCHIVED,
    "unresolved": REOPENED,
}
_OPEN_AGAIN = {"regressed": REGRESSED, "escalating": ESCALATING}
_ACTIVITY_TYPES = {
    "status_resolved": SEEN_RESOLVED,
    "status_resolved_in_release": SEEN_RESOLVED,
    "status_resolved_in_commit": SEEN_RESOLVED,
    "status_resolved_by_age": SEEN_RESOLVED,
    "status_unresolved": REOPENED,
    "status_ignored": SEEN_ARCHIVED,
    "status_regression": REGRESSED,
    "status_escalating": ESCALATING,
    "appeared_in_pull_request": PULL_REQUEST,
}
_BY_AGE = "automatically, after a time without events"
# Steps that Seer has finished. Those that it starts, and the code before its pull request, are no alerts.
_SEER_STEPS = {
    "root_cause_completed": "found the root cause",
    "solution_completed": "proposes a solution",
    "pr_created": "opened a pull request",
    "pr_ready_for_review": "has a pull request ready for review",
    "iteration_completed": "updated its pull request",
    "pr_iteration_completed": "updated its pull request",
}
_METRIC_LEVELS = {"critical": "fatal", "open": "error", "warning": "warning", "resolved": "info"}
_AMOUNT = re.compile(r"^([0-9]{1,15})(?:\.0)?(?=[ %])")


def read_sentry_webhook(resource: str, body: dict[str, Any], blank: Alert) -> Parsed:
    """The alert of one delivery, made from `blank`; no alert for resources and actions that are none.

    Raises:
        BadBody: a value that this resource must have is missing.
    """
    reader = _READERS.get(resource)
    if reader is None:
        return NOTHING
    fields = Fields(body)
    if not isinstance(body.get("data"), dict):
        raise BadBody(f'The webhook of the resource "{resource}" lacks the object "data".')
    alert = reader(fields.fields("data"), fields.line("action").lower(), fields, blank)
    if alert is None:
        return NOTHING
    # A rule on activity and the resource `seer` report one step of Seer, each in its own words.
    return Parsed((alert,), key=f"seer:{alert.issue_id}:{alert.how}" if alert.reason == SEER else "")


def _need(data: Fields, name: str, *keys: str) -> Fields:
    found = data.fields(name)
    if not found.line(*keys):
        raise BadBody(f'The webhook lacks "data.{name}.{keys[0]}".')
    return found


def _issue(data: Fields, action: str, body: Fields, blank: Alert) -> Alert | None:
    issue = _need(data, "issue", "id")
    reason = _ISSUE_ACTIONS.get(action)
    if reason == REOPENED:
        reason = _OPEN_AGAIN.get(issue.line("substatus"), REOPENED)
    return None if reason is None else _changed_issue(issue, reason, _person(body.fields("actor")), blank)


def _changed_issue(issue: Fields, reason: str, actor: str, blank: Alert, how: str = "") -> Alert:
    alert = replace(of_issue(issue, blank), reason=reason)
    if reason == SEEN_RESOLVED:
        how = how_resolved(issue) or how
    elif reason == SEEN_ARCHIVED:
        how = how_archived(issue, blank.at)
    return replace(alert, actor=actor, how=how, text="") if reason in ACTIVITIES else alert


def _person(actor: Fields) -> str:
    """A person's name; "" for an application or a person without a name."""
    return "" if actor.line("type") == "application" else actor.line("name")


def _error(data: Fields, action: str, _body: Fields, blank: Alert) -> Alert | None:
    event = _need(data, "error", "issue_id", "title")
    return replace(of_event(event, blank), reason=SEEN_EVENT) if action == "created" else None


def _comment(data: Fields, action: str, body: Fields, blank: Alert) -> Alert | None:
    if not data.line("issue_id"):
        raise BadBody('The webhook lacks "data.issue_id".')
    if action != "created":
        return None
    return replace(
        blank,
        reason=COMMENTED,
        issue_id=webhook_values.issue_number(data.raw("issue_id")),
        project=webhook_values.slug(data.raw("project_slug")),
        text=data.line("comment"),
        actor=_person(body.fields("actor")),
    )


def _event_alert(data: Fields, action: str, _body: Fields, blank: Alert) -> Alert | None:
    event = _need(data, "event", "issue_id", "title")
    rule = data.line("triggered_rule") or data.fields("issue_alert").line("title")
    return replace(of_event(event, blank), reason=RULE, rule=rule) if action == "triggered" else None


def _activity_alert(data: Fields, action: str, _body: Fields, blank: Alert) -> Alert | None:
    issue, activity = _need(data, "issue", "id"), data.fields("activity")
    kind, details = activity.line("type").lower(), activity.fields("details")
    rule = data.fields("alert").line("title", "name")
    if action != "triggered":
        return None
    if kind.startswith("seer_"):
        alert = _seer_step(kind.removeprefix("seer_"), details, of_issue(issue, blank))
    elif kind in _ACTIVITY_TYPES:
        how = _BY_AGE if kind == "status_resolved_by_age" else ""
        alert = _changed_issue(issue, _ACTIVITY_TYPES[kind], _person(details.fields("user")), blank, how)
    else:
        return None
    return None if alert is None else replace(alert, rule=rule)


def _seer(data: Fields, action: str, _body: Fields, blank: Alert) -> Alert | None:
    issue_id = webhook_values.issue_number(data.raw("group_id"))
    return _seer_step(action, data, replace(blank, issue_id=issue_id)) if issue_id else None


def _seer_step(step: str, details: Fields, alert: Alert) -> Alert | None:
    """What Seer did: `summary` and `url` in an activity, the step's own object in the resource `seer`."""
    how = _SEER_STEPS.get(step)
    if how is None:
        return None
    found = details.fields("root_cause", "solution")
    text = details.line("summary") or found.line("one_line_description", "one_line_summary", "description")
    pull_request = Fields(next(iter(details.rows("pull_requests")), None))
    address = pull_request.raw("url") or pull_request.fields("pull_request").raw("pr_url")
    if pull_request and not (text := json_values.web_link(address)):
        how += f" in {pull_request.line('repo_name')}" if pull_request.line("repo_name") else ""
    return replace(alert, reason=SEER, how=how, text=text, actor="")


def _metric_alert(data: Fields, action: str, _body: Fields, blank: Alert) -> Alert | None:
    incident = _need(data, "metric_alert", "id", "identifier")
    if action not in _METRIC_LEVELS:
        return None
    rule = incident.fields("alert_rule")
    name = rule.line("name") or incident.line("title")
    projects = [slug for slug in map(webhook_values.slug, incident.rows("projects") or rule.rows("projects")) if slug]
    return replace(
        blank,
        reason=METRIC,
        # Each rule is one problem, so the next incident goes into the same thread.
        issue_id="metric-"
        + webhook_values.issue_number(rule.raw("id"), incident.raw("id"), incident.raw("identifier")),
        title=name,
        rule=name,
        level=_METRIC_LEVELS[action],
        project=projects[0] if projects else "",
        environment=rule.line("environment") or None,
        tags=(("status", action), *(("projects", slug) for slug in projects[1:])),
        text=_measured(data.text("description_text"), rule, action),
        link=_incident_page(json_values.web_link(data.raw("web_url"))),
    )


def _incident_page(link: str) -> str:
    """The link without the parameters by which Sentry counts visits (`referrer`, `notification_uuid`, …)."""
    page, _, query = link.partition("?")
    incident = [each for each in query.split("&") if each.startswith("alert=")]
    return "?".join((page, *incident[:1]))


def _measured(text: str, rule: Fields, action: str) -> str:
    """`1,000 events in the last 10 minutes, threshold 100`: the beginning of the text, and this action's trigger."""
    said = _AMOUNT.sub(lambda found: f"{int(found[1]):,}", json_values.line(text.partition("\n")[0]))
    if rule.line("detection_type") == "dynamic":
        return said if action == "resolved" else ", ".join(filter(None, (said, "unusual for this time")))
    triggers = (Fields(each) for each in rule.rows("triggers"))
    found = next((each.raw("alert_threshold") for each in triggers if each.line("label") == action), None)
    if (threshold := json_values.amount(found)) is not None:
        said = ", ".join(filter(None, (said, f"threshold {threshold:,.12g}")))
    return said


_READERS: dict[str, Callable[[Fields, str, Fields, Alert], Alert | None]] = {
    "issue": _issue,
    "error": _error,
    "comment": _comment,
    "event_alert": _event_alert,
    "activity_alert": _activity_alert,
    "metric_alert": _metric_alert,
    "seer": _seer,
}


def is_legacy_webhook(body: Mapping[str, Any]) -> bool:
    """Whether a body has the fields of one of the older kinds."""
    return isinstance(body.get("event"), dict)


def read_legacy_webhook(body: Mapping[str, Any], blank: Alert) -> Parsed:
    """The alert of one delivery, made from `blank`.

    Raises:
        BadBody: a value that such a webhook always has is missing.
    """
    fields = Fields(body)
    alert = of_event(fields.fields("event"), replace(blank, reason=RULE))
    return Parsed((_of_service_hook(fields, alert) if fields.fields("project") else _of_plugin(fields, alert),))


def _of_plugin(body: Fields, alert: Alert) -> Alert:
    issue_id = alert.issue_id or webhook_values.issue_number(body.raw("id"))
    title = alert.title or body.line("message")
    project = webhook_values.slug(body.raw("project_slug"), body.raw("project"))
    if not issue_id or not project:
        raise BadBody('The legacy webhook lacks the id of its issue or "project_slug".')
    return replace(
        alert,
        issue_id=issue_id,
        title=title,
        culprit=alert.culprit or body.line("culprit"),
        level=alert.level or json_values.level(body.raw("level")),
        project=project,
        project_name=body.line("project_name"),
        link=json_values.web_link(body.raw("url")).partition("?")[0],
        rule=", ".join(map(json_values.line, body.rows("triggering_rules")[:5])),
    )


def _of_service_hook(body: Fields, alert: Alert) -> Alert:
    project, group = body.fields("project"), body.fields("group")
    issue = of_issue(group, alert)
    issue_id = issue.issue_id or alert.issue_id
    if not issue_id or not webhook_values.slug(project.raw("slug")):
        raise BadBody('The service hook lacks "project.slug" or "group.id".')
    return replace(
        issue,
        issue_id=issue_id,
        title=issue.title or alert.title,
        culprit=issue.culprit or alert.culprit,
        text=issue.text or alert.text,
        level=alert.level or issue.level,
        project=webhook_values.slug(project.raw("slug")),
        project_name=project.line("name"),
        link=issue.link or json_values.web_link(group.raw("url")) or alert.link,
    )

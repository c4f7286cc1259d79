"""Sentry's webhooks without its headers: the legacy WebHooks plugin and service hooks. Pure.

The shapes are those of getsentry/sentry: `plugins/sentry_webhooks/plugin.py` and `sentry_apps/tasks/service_hooks.py`,
below `src/sentry`. A service hook does not say whether a rule fired or an event came in: both are alerts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from errbot_sentry.alerting.receive import webhook_ids
from errbot_sentry.alerting.receive.parsed_webhook import Parsed
from errbot_sentry.alerting.receive.sentry_shapes import of_event, of_issue
from errbot_sentry.domain import json_values
from errbot_sentry.domain.alerts import RULE, Alert
from errbot_sentry.domain.errors import BadBody
from errbot_sentry.server.payloads.json_fields import Fields


def is_legacy_webhook(body: Mapping[str, Any]) -> bool:
    """Whether a body has the shape of one of the two."""
    return isinstance(body.get("event"), dict)


def read_legacy_webhook(body: Mapping[str, Any], blank: Alert) -> Parsed:
    """The alert of one delivery, made from `blank`.

    Raises:
        BadBody: what such a webhook always has is missing.
    """
    fields = Fields(body)
    alert = of_event(fields.fields("event"), replace(blank, reason=RULE))
    return Parsed((_of_service_hook(fields, alert) if fields.fields("project") else _of_plugin(fields, alert),))


def _of_plugin(body: Fields, alert: Alert) -> Alert:
    issue_id = alert.issue_id or webhook_ids.issue_number(body.raw("id"))
    title = alert.title or body.line("message")
    project = webhook_ids.slug(body.raw("project_slug"), body.raw("project"))
    if not issue_id or not project:
        raise BadBody('A legacy webhook has "id", "project_slug" and an "event".')
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
    if not issue_id or not webhook_ids.slug(project.raw("slug")):
        raise BadBody('A service hook has "project.slug" and "group.id".')
    return replace(
        issue,
        issue_id=issue_id,
        title=issue.title or alert.title,
        culprit=issue.culprit or alert.culprit,
        text=issue.text or alert.text,
        level=alert.level or issue.level,
        project=webhook_ids.slug(project.raw("slug")),
        project_name=project.line("name"),
        link=issue.link or json_values.web_link(group.raw("url")) or alert.link,
    )

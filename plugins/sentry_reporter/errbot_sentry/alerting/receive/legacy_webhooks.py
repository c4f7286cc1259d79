"""Sentry's webhooks without its headers: the legacy WebHooks plugin and service hooks. Pure.

The shapes are those of getsentry/sentry: `plugins/sentry_webhooks/plugin.py` and `sentry_apps/tasks/service_hooks.py`,
below `src/sentry`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from errbot_sentry.alerting.receive import webhook_ids
from errbot_sentry.alerting.receive.parsed_webhook import Parsed
from errbot_sentry.alerting.receive.sentry_webhooks import of_event, of_issue
from errbot_sentry.domain import json_values
from errbot_sentry.domain.alerts import RULE, SEEN_EVENT, Alert
from errbot_sentry.domain.errors import BadBody


def is_legacy_webhook(body: Mapping[str, Any]) -> bool:
    """Whether a body has the shape of one of the two."""
    return isinstance(body.get("event"), dict)


def read_legacy_webhook(body: Mapping[str, Any], blank: Alert) -> Parsed:
    """The alert of one delivery, made from `blank`.

    Raises:
        BadBody: what such a webhook always has is missing.
    """
    is_service_hook = isinstance(body.get("project"), dict)
    return _read_service_hook(body, blank) if is_service_hook else _read_plugin_webhook(body, blank)


def _read_plugin_webhook(body: Mapping[str, Any], blank: Alert) -> Parsed:
    event = json_values.mapping(body.get("event"))
    alert = of_event(event, blank)
    issue_id = alert.issue_id or webhook_ids.issue_number(body.get("id"))
    title = json_values.first_line(alert.title, body.get("message"))
    project = webhook_ids.slug(body.get("project_slug"), body.get("project"))
    if not issue_id or not title or not project:
        raise BadBody('A legacy webhook has "id", "project_slug" and an "event" with a title.')
    return Parsed(
        (
            replace(
                alert,
                reason=RULE,
                issue_id=issue_id,
                title=title,
                culprit=json_values.first_line(alert.culprit, body.get("culprit")),
                level=alert.level or json_values.level(body.get("level")),
                project=project,
                project_name=json_values.line(body.get("project_name")),
                link=json_values.web_link(body.get("url")).partition("?")[0],
                rule=", ".join(json_values.line(rule) for rule in json_values.rows(body.get("triggering_rules"))[:5]),
            ),
        )
    )


def _read_service_hook(body: Mapping[str, Any], blank: Alert) -> Parsed:
    project, group = json_values.mapping(body.get("project")), json_values.mapping(body.get("group"))
    alert = of_event(json_values.mapping(body.get("event")), blank)
    issue = of_issue(group, blank)
    if not (issue.issue_id or alert.issue_id) or not webhook_ids.slug(project.get("slug")):
        raise BadBody('A service hook has "project.slug" and "group.id".')
    fired = bool(json_values.rows(body.get("triggering_rules"))) or body.get("triggered_rule") is not None
    return Parsed(
        (
            replace(
                alert,
                reason=RULE if fired else SEEN_EVENT,
                issue_id=issue.issue_id or alert.issue_id,
                short_id=issue.short_id,
                title=issue.title or alert.title,
                culprit=issue.culprit or alert.culprit,
                level=alert.level or issue.level,
                project=webhook_ids.slug(project.get("slug")),
                project_name=json_values.line(project.get("name")),
                link=issue.link or alert.link or json_values.web_link(group.get("url")),
                events=issue.events,
                users=issue.users,
            ),
        )
    )

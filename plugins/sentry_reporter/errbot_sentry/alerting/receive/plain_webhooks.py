"""Webhooks of senders without Sentry's headers, told apart by their shape, to alerts. Pure.

Bugsink's custom alert (bugsink `alerts/service_backends/custom.py`), GlitchTip's Slack-shaped body (glitchtip-backend
`apps/alerts/webhooks.py`), Sentry's legacy WebHooks plugin and its service hooks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from errbot_sentry.alerting.receive import webhook_ids
from errbot_sentry.alerting.receive.parsed_webhook import NOTHING, Parsed
from errbot_sentry.alerting.receive.sentry_webhooks import of_event, of_issue
from errbot_sentry.domain import json_values
from errbot_sentry.domain.alerts import NEW, REGRESSED, RULE, SEEN_EVENT, TEST, UNMUTED, Alert
from errbot_sentry.domain.errors import BadBody

_BUGSINK_REASONS = {"NEW": NEW, "REGRESSED": REGRESSED, "UNMUTED": UNMUTED, "TEST": TEST}
_GLITCHTIP_COLOURS = {"#e52b50": "error", "#e9b949": "warning", "#4b60b4": "info"}
_MOST_ISSUES = 100  # GlitchTip sends three at most
_GLITCHTIP_ISSUE = re.compile(r"/issues/([0-9]{1,19})/?$")
_GLITCHTIP_COUNT = re.compile(r"\(([0-9]{1,6}) issues\)\s*$")
_GLITCHTIP_VIEW = re.compile(r"\[View Issue ([^\]\s]{1,200})\]\((\S+)\)")


def read_plain_hook(body: Mapping[str, Any], delivery: str, at: datetime) -> Parsed:
    """The alerts of one delivery.

    Raises:
        BadBody: this is nobody's webhook that we know.
    """
    blank = Alert(delivery, "", "webhook", at)
    if "alert_reason" in body:
        return _bugsink(body, blank)
    if isinstance(body.get("attachments"), list):
        return _glitchtip(body, blank)
    if isinstance(body.get("event"), dict):
        return _service_hook(body, blank) if isinstance(body.get("project"), dict) else _legacy(body, blank)
    raise BadBody("This is no webhook of Sentry, GlitchTip or Bugsink that is known here.")


def _bugsink(body: Mapping[str, Any], blank: Alert) -> Parsed:
    issue_id = webhook_ids.issue_uuid(body.get("id"))
    if not issue_id:
        raise BadBody('The webhook lacks "id", the issue that it is about.')
    reason = _BUGSINK_REASONS.get(json_values.line(body.get("alert_reason")).upper())
    if reason is None:
        return NOTHING
    kind, value = json_values.line(body.get("calculated_type")), json_values.line(body.get("calculated_value"))
    title = json_values.line(body.get("title")) or ": ".join(part for part in (kind, value) if part)
    alert = replace(
        blank,
        reason=reason,
        issue_id=issue_id,
        short_id=webhook_ids.short_id(body.get("friendly_id")),
        title=title,
        culprit=json_values.line(body.get("transaction")),
        project_id=webhook_ids.project_number(body.get("project")),
        project_name=json_values.line(body.get("project_name")),
        link=json_values.web_link(body.get("url")),
        events=json_values.whole(body.get("digested_event_count")),
        text=json_values.line(body.get("unmute_reason")),
    )
    return Parsed((alert,))


def _glitchtip(body: Mapping[str, Any], blank: Alert) -> Parsed:
    short_ids = _glitchtip_short_ids(body)
    attachments = [each for each in json_values.rows(body.get("attachments"))[:_MOST_ISSUES] if isinstance(each, dict)]
    alerts = [_glitchtip_issue(each, short_ids, blank) for each in attachments]
    found = tuple(
        replace(alert, delivery=f"{blank.delivery}:{place}") for place, alert in enumerate(alerts) if alert is not None
    )
    told = json_values.line(body.get("text"))
    count = _GLITCHTIP_COUNT.search(told)
    more = max(0, int(count[1]) - len(found)) if count else 0
    if not found and "Test Notification" in told:
        return Parsed((replace(blank, reason=TEST, title=told),))
    if not found and not told.startswith("GlitchTip"):
        raise BadBody('None of the "attachments" has a "title_link" to an issue of GlitchTip.')
    return Parsed(found, more)


def _glitchtip_short_ids(body: Mapping[str, Any]) -> dict[str, str]:
    """Link to short id; only there does GlitchTip tell the short id."""
    subtitles = (json_values.mapping(each).get("activitySubtitle") for each in json_values.rows(body.get("sections")))
    views = (_GLITCHTIP_VIEW.search(each[:2000]) for each in subtitles if isinstance(each, str))
    return {view[2]: webhook_ids.short_id(view[1]) for view in views if view}


def _glitchtip_issue(attachment: Mapping[str, Any], short_ids: Mapping[str, str], blank: Alert) -> Alert | None:
    link = json_values.web_link(attachment.get("title_link"))
    number = _GLITCHTIP_ISSUE.search(link)
    if number is None:
        return None
    named = {
        json_values.line(json_values.mapping(field).get("title")): json_values.line(
            json_values.mapping(field).get("value")
        )
        for field in json_values.rows(attachment.get("fields"))
    }
    own = ("Project", "Environment", "Release")
    return replace(
        blank,
        reason=RULE,
        issue_id=webhook_ids.issue_number(number[1]),
        short_id=short_ids.get(link, ""),
        title=json_values.line(attachment.get("title")),
        culprit=json_values.line(attachment.get("text")),
        level=_GLITCHTIP_COLOURS.get(json_values.line(attachment.get("color")).lower()),
        project_name=named.get("Project", ""),
        environment=named.get("Environment") or None,
        release=named.get("Release") or None,
        tags=tuple((name.lower().replace(" ", "_"), value) for name, value in named.items() if name not in own),
        link=link,
    )


def _legacy(body: Mapping[str, Any], blank: Alert) -> Parsed:
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


def _service_hook(body: Mapping[str, Any], blank: Alert) -> Parsed:
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

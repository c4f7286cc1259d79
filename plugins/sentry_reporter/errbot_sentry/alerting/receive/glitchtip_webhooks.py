"""Reads GlitchTip's webhooks, which have the form of Slack's, into alerts. Pure.

The fields are those of glitchtip-backend `apps/alerts/webhooks.py` and `apps/uptime/webhooks.py`. They have no id, no
time and no signature. The colour does not give the level, because it is the same for `error` and `fatal`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from errbot_sentry.alerting.receive import webhook_values
from errbot_sentry.alerting.receive.webhook_values import Parsed
from errbot_sentry.domain import json_values
from errbot_sentry.domain.alerts import METRIC, RULE, TEST, UPTIME, Alert
from errbot_sentry.domain.errors import BadBody
from errbot_sentry.server.payloads.json_fields import Fields

_MOST_ISSUES = 100  # GlitchTip sends three at most
_ISSUE = re.compile(r"/issues/([0-9]{1,19})/?$")
_MONITOR = re.compile(r"/uptime-monitors/([0-9]{1,19})/?$")
_COUNT = re.compile(r"\(([0-9]{1,6}) issues\)\s*$")
_VIEW = re.compile(r"\[View Issue ([^\]\s]{1,200})\]\((\S+)\)")
_TEST_TEXT = re.compile(r"Test notification for project (.{1,200}?)\. Your alert recipient")
_OWN_FIELDS = ("Project", "Environment", "Release")


def is_glitchtip_webhook(body: Mapping[str, Any]) -> bool:
    """Whether a body has the fields of GlitchTip's webhooks."""
    return isinstance(body.get("attachments"), list)


def read_glitchtip_webhook(body: Mapping[str, Any], blank: Alert) -> Parsed:
    """The alerts of one delivery, made from `blank`. GlitchTip sends at most three issues, and counts the others.

    Raises:
        BadBody: these attachments are not GlitchTip's.
    """
    fields = Fields(body)
    text, short_ids = fields.line("text"), _short_ids(fields)
    attachments = [Fields(each) for each in fields.rows("attachments")[:_MOST_ISSUES] if isinstance(each, dict)]
    found = [_issue_alert(each, short_ids, blank) or _uptime_alert(each, blank) for each in attachments]
    alerts = tuple(replace(alert, delivery=f"{blank.delivery}:{at}") for at, alert in enumerate(found) if alert)
    count = _COUNT.search(text)
    if not alerts and "Test Notification" in text:
        return Parsed((_test_alert(attachments, blank),))
    if not alerts and not text.startswith("GlitchTip"):
        raise BadBody('None of the "attachments" has a "title_link" to an issue of GlitchTip.')
    return Parsed(alerts, max(0, int(count[1]) - len(alerts)) if count else 0)


def _short_ids(body: Fields) -> dict[str, str]:
    """The short ids by the link of their issue; they are nowhere else in the body."""
    subtitles = (Fields(each).text("activitySubtitle", longest=2000) for each in body.rows("sections"))
    return {view[2]: webhook_values.short_id(view[1]) for view in map(_VIEW.search, subtitles) if view}


def _issue_alert(attachment: Fields, short_ids: Mapping[str, str], blank: Alert) -> Alert | None:
    link = json_values.web_link(attachment.raw("title_link"))
    number = _ISSUE.search(link)
    if number is None:
        return None
    named = {field.line("title"): field.line("value") for field in map(Fields, attachment.rows("fields"))}
    return replace(
        blank,
        reason=RULE,
        issue_id=webhook_values.issue_number(number[1]),
        short_id=short_ids.get(link, ""),
        title=attachment.line("title"),
        culprit=attachment.line("text"),
        project_name=named.get("Project", ""),
        environment=named.get("Environment") or None,
        release=named.get("Release") or None,
        tags=tuple((name.lower().replace(" ", "_"), value) for name, value in named.items() if name not in _OWN_FIELDS),
        link=link,
    )


def _uptime_alert(attachment: Fields, blank: Alert) -> Alert | None:
    """The alert for a site that went down or is up again; GlitchTip does not send its project."""
    link = json_values.web_link(attachment.raw("title_link"))
    number = _MONITOR.search(link)
    if number is None:
        return None
    is_up = "back up" in attachment.line("text")
    return replace(
        blank,
        reason=METRIC,
        category=UPTIME,
        issue_id=f"uptime-{int(number[1])}",
        title=attachment.line("title"),
        level="info" if is_up else "error",
        tags=(("status", "resolved" if is_up else "critical"),),
        link=link,
    )


def _test_alert(attachments: list[Fields], blank: Alert) -> Alert:
    project = next(filter(None, (_TEST_TEXT.search(each.line("text")) for each in attachments)), None)
    title = "GlitchTip's test notification has arrived."
    return replace(blank, reason=TEST, title=title, project_name=project[1] if project else "")

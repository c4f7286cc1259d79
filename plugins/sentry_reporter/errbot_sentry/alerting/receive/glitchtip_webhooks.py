"""GlitchTip's webhooks, in the shape of Slack's. Pure.

The shape is that of glitchtip-backend `apps/alerts/webhooks.py`. It carries no signature, no id and no time.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from errbot_sentry.alerting.receive import webhook_ids
from errbot_sentry.alerting.receive.parsed_webhook import Parsed
from errbot_sentry.domain import json_values
from errbot_sentry.domain.alerts import RULE, TEST, Alert
from errbot_sentry.domain.errors import BadBody

# One colour stands for error and fatal: what it is, only the server can say.
_COLOURS = {"#e9b949": "warning", "#4b60b4": "info"}
_MOST_ISSUES = 100  # GlitchTip sends three at most
_ISSUE = re.compile(r"/issues/([0-9]{1,19})/?$")
_COUNT = re.compile(r"\(([0-9]{1,6}) issues\)\s*$")
_VIEW = re.compile(r"\[View Issue ([^\]\s]{1,200})\]\((\S+)\)")


def is_glitchtip_webhook(body: Mapping[str, Any]) -> bool:
    """Whether a body has the shape of GlitchTip's."""
    return isinstance(body.get("attachments"), list)


def read_glitchtip_webhook(body: Mapping[str, Any], blank: Alert) -> Parsed:
    """The alerts of one delivery, made from `blank`. GlitchTip sends three issues at most and counts the rest.

    Raises:
        BadBody: these attachments are not GlitchTip's.
    """
    short_ids = _short_ids(body)
    attachments = [each for each in json_values.rows(body.get("attachments"))[:_MOST_ISSUES] if isinstance(each, dict)]
    alerts = [_issue_alert(each, short_ids, blank) for each in attachments]
    found = tuple(
        replace(alert, delivery=f"{blank.delivery}:{place}") for place, alert in enumerate(alerts) if alert is not None
    )
    text = json_values.line(body.get("text"))
    count = _COUNT.search(text)
    more = max(0, int(count[1]) - len(found)) if count else 0
    if not found and "Test Notification" in text:
        return Parsed((replace(blank, reason=TEST, title=text),))
    if not found and not text.startswith("GlitchTip"):
        raise BadBody('None of the "attachments" has a "title_link" to an issue of GlitchTip.')
    return Parsed(found, more)


def _short_ids(body: Mapping[str, Any]) -> dict[str, str]:
    """Link to short id; nothing else in the body has the short id."""
    subtitles = (json_values.mapping(each).get("activitySubtitle") for each in json_values.rows(body.get("sections")))
    views = (_VIEW.search(each[:2000]) for each in subtitles if isinstance(each, str))
    return {view[2]: webhook_ids.short_id(view[1]) for view in views if view}


def _issue_alert(attachment: Mapping[str, Any], short_ids: Mapping[str, str], blank: Alert) -> Alert | None:
    link = json_values.web_link(attachment.get("title_link"))
    number = _ISSUE.search(link)
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
        level=_COLOURS.get(json_values.line(attachment.get("color")).lower()),
        project_name=named.get("Project", ""),
        environment=named.get("Environment") or None,
        release=named.get("Release") or None,
        tags=tuple((name.lower().replace(" ", "_"), value) for name, value in named.items() if name not in own),
        link=link,
    )

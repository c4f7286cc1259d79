"""Bugsink's custom alerts. Pure.

The shape is that of bugsink `alerts/service_backends/custom.py`. It carries no signature and no header of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from errbot_sentry.alerting.receive import webhook_ids
from errbot_sentry.alerting.receive.parsed_webhook import NOTHING, Parsed
from errbot_sentry.domain import json_values
from errbot_sentry.domain.alerts import NEW, REGRESSED, TEST, UNMUTED, Alert
from errbot_sentry.domain.errors import BadBody

_REASONS = {"NEW": NEW, "REGRESSED": REGRESSED, "UNMUTED": UNMUTED, "TEST": TEST}


def is_bugsink_webhook(body: Mapping[str, Any]) -> bool:
    """Whether a body has the shape of Bugsink's."""
    return "alert_reason" in body


def read_bugsink_webhook(body: Mapping[str, Any], blank: Alert) -> Parsed:
    """The alert of one delivery, made from `blank`; none for a reason that is not known.

    Raises:
        BadBody: it names no issue.
    """
    issue_id = webhook_ids.issue_uuid(body.get("id"))
    if not issue_id:
        raise BadBody('The webhook lacks "id", the issue that it is about.')
    reason = _REASONS.get(json_values.line(body.get("alert_reason")).upper())
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

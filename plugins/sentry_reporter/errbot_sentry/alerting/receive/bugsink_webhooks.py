"""Reads Bugsink's webhooks (its service "Custom") into alerts. Pure.

The fields are those of bugsink `alerts/service_backends/custom.py`, the reasons those of its `alerts/tasks.py`. Such a
webhook has no signature and no header of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from errbot_sentry.alerting.receive import webhook_values
from errbot_sentry.alerting.receive.webhook_values import NOTHING, Parsed
from errbot_sentry.domain import json_values
from errbot_sentry.domain.alerts import NEW, REGRESSED, STILL_OPEN, TEST, UNMUTED, Alert
from errbot_sentry.domain.errors import BadBody
from errbot_sentry.server.payloads.json_fields import Fields

_REASONS = {"NEW": NEW, "REGRESSED": REGRESSED, "UNMUTED": UNMUTED, "STILL-OPEN": STILL_OPEN, "TEST": TEST}


def is_bugsink_webhook(body: Mapping[str, Any]) -> bool:
    """Whether a body has the fields of Bugsink's webhooks."""
    return "alert_reason" in body


def read_bugsink_webhook(body: Mapping[str, Any], blank: Alert) -> Parsed:
    """The alert of one delivery, made from `blank`; no alert for an unknown reason.

    Raises:
        BadBody: it names no issue.
    """
    issue = Fields(body)
    issue_id = webhook_values.issue_uuid(issue.raw("id"))
    if not issue_id:
        raise BadBody('The webhook lacks "id", the issue that it is about.')
    reason = _REASONS.get(issue.line("alert_reason").upper())
    if reason is None:
        return NOTHING
    alert = replace(
        blank,
        reason=reason,
        project_id=webhook_values.project_number(issue.raw("project")),
        project_name=issue.line("project_name"),
    )
    if reason == TEST:  # the issue in it does not exist
        return Parsed((replace(alert, title="Bugsink's test alert has arrived."),))
    kind, value = issue.line("calculated_type"), issue.line("calculated_value")
    return Parsed(
        (
            replace(
                alert,
                issue_id=issue_id,
                short_id=webhook_values.short_id(issue.raw("friendly_id")),
                title=issue.line("title") or ": ".join(filter(None, (kind, value))),
                culprit=issue.line("transaction"),
                link=json_values.web_link(issue.raw("url")),
                events=issue.whole("digested_event_count"),
                text=issue.line("unmute_reason").removeprefix("Still open "),  # the message begins with these words
            ),
        )
    )

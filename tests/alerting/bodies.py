"""Webhook bodies as the senders write them, their signatures, and how they get to a bot."""

from __future__ import annotations

import json
from typing import Any
from urllib.request import Request

from demo.processes import open_url
from errbot_sentry.alerting.receive.receiver import signature
from errbot_sentry.config.secrets import Secret

SECRET = Secret("a-client-secret-of-32-characters")
TOKEN = Secret("a-long-random-word")


def sentry_issue(
    issue_id: str = "101", action: str = "created", project: str = "shop", **fields: Any
) -> dict[str, Any]:
    """The `issue` resource of Sentry's integration platform."""
    issue = {
        "id": issue_id,
        "shortId": f"{project.upper()}-{issue_id}",
        "title": f"ZeroDivisionError: division by zero {issue_id}",
        "culprit": "checkout in shop.py",
        "level": "error",
        "status": "unresolved",
        "substatus": "new",
        "count": "1",
        "userCount": 0,
        "web_url": f"https://sentry.example.com/organizations/acme/issues/{issue_id}/",
        "project": {"id": "7", "slug": project, "name": project.title(), "platform": "python"},
        "assignedTo": None,
        "metadata": {"type": "ZeroDivisionError", "value": "division by zero"},
        **fields,
    }
    return {
        "action": action,
        "installation": {"uuid": "a8e5d37a-696c-4c54-adb5-b3f28d64c7de"},
        "data": {"issue": issue},
        "actor": {"type": "application", "id": "sentry", "name": "Sentry"},
    }


def sentry_event_alert(issue_id: str = "101", project: str = "shop", **fields: Any) -> dict[str, Any]:
    """The `event_alert` resource: an alert rule fired; no short id in it."""
    event = {
        "event_id": "e4874d664c3540c1a32eab185f12c5ab",
        "issue_id": issue_id,
        "title": f"ZeroDivisionError: division by zero {issue_id}",
        "culprit": "checkout in shop.py",
        "level": "error",
        "project": 7,
        "environment": "production",
        "release": "shop@1.2.0",
        "tags": [["environment", "production"], ["level", "error"], ["customer", "acme"]],
        "url": f"https://sentry.example.com/api/0/projects/acme/{project}/events/e4874d664c3540c1a32eab185f12c5ab/",
        "web_url": f"https://sentry.example.com/organizations/acme/issues/{issue_id}/events/e4874d66/",
        **fields,
    }
    return {"action": "triggered", "data": {"event": event, "triggered_rule": "Many errors"}, "actor": {"id": "sentry"}}


def bugsink(
    issue_id: str = "5e1d4c1e-0000-4000-8000-000000000001", reason: str = "NEW", **fields: Any
) -> dict[str, Any]:
    """Bugsink's custom alert."""
    return {
        "id": issue_id,
        "friendly_id": "ERRBOT-1",
        "project": 1,
        "digest_order": 1,
        "first_seen": "2026-11-20T08:15:00Z",
        "last_seen": "2026-11-20T10:30:00Z",
        "digested_event_count": 15,
        "stored_event_count": 15,
        "calculated_type": "ValueError",
        "calculated_value": "invalid literal for int()",
        "transaction": "/api/users/login",
        "is_resolved": False,
        "is_muted": False,
        "title": "ValueError: invalid literal for int()",
        "project_name": "Errbot",
        "url": f"https://bugsink.example.com/issues/issue/{issue_id}/event/last/",
        "alert_reason": reason,
        **fields,
    }


def glitchtip(*numbers: int, claimed: int | None = None) -> dict[str, Any]:
    """GlitchTip's Slack-shaped body with these issues; `claimed` is the number that its text claims."""
    count = len(numbers) if claimed is None else claimed
    return {
        "alias": "GlitchTip",
        "text": "GlitchTip Alert" + (f" ({count} issues)" if count > 1 else ""),
        "attachments": [
            {
                "title": f"FirstError: order <{number}> *failed*",
                "title_link": f"https://glitchtip.example.com/lab-org/issues/{number}",
                "text": None,
                "image_url": None,
                "color": "#e52b50",
                "fields": [
                    {"title": "Project", "value": "Lab App", "short": True},
                    {"title": "Environment", "value": "production", "short": True},
                    {"title": "Server Name", "value": "web1", "short": True},
                    {"title": "Release", "value": "lab@1.0.0", "short": False},
                ],
                "mrkdown_in": ["text"],
            }
            for number in numbers
        ],
        "sections": [
            {
                "activityTitle": f"FirstError: order <{number}>",
                "activitySubtitle": f"[View Issue LAB-APP-{number}]"
                f"(https://glitchtip.example.com/lab-org/issues/{number})",
            }
            for number in numbers
        ],
    }


def legacy(issue_id: str = "33") -> dict[str, Any]:
    """Sentry's legacy WebHooks plugin."""
    return {
        "id": issue_id,
        "project": "shop",
        "project_name": "Shop",
        "project_slug": "shop",
        "logger": "root",
        "level": "error",
        "culprit": "checkout",
        "message": "it broke",
        "url": f"https://sentry.example.com/acme/shop/issues/{issue_id}/?referrer=webhooks_plugin",
        "triggering_rules": ["Every new issue"],
        "event": {"event_id": "e48", "title": "KeyError: 'x'", "tags": [["environment", "staging"]], "level": "error"},
    }


def metric_alert(action: str = "critical") -> dict[str, Any]:
    """The `metric_alert` resource."""
    return {
        "action": action,
        "data": {
            "metric_alert": {
                "id": "4",
                "identifier": "4",
                "title": "Too many errors",
                "projects": ["shop"],
                "alert_rule": {"id": "9", "name": "Error rate", "projects": ["shop"]},
            },
            "description_title": "Critical: Too many errors",
            "description_text": "120 events in the last 10 minutes",
            "web_url": "https://sentry.example.com/organizations/acme/alerts/rules/details/4/",
        },
    }


def encode(body: object) -> bytes:
    """A body as bytes."""
    return json.dumps(body).encode()


def signed(body: bytes, resource: str = "issue", request_id: str = "", secret: Secret = SECRET) -> dict[str, str]:
    """The headers of a delivery by Sentry."""
    headers = {
        "Content-Type": "application/json",
        "Sentry-Hook-Resource": resource,
        "Sentry-Hook-Timestamp": "1760000000",
        "Sentry-Hook-Signature": signature(body, secret),
    }
    return {**headers, "Request-ID": request_id} if request_id else headers


def listening(port: int) -> dict[str, Any]:
    """The settings of a bot that takes Sentry's webhooks at `address(port)` and asks the server for nothing."""
    return {
        "SENTRY_WEBHOOK_LISTEN": ("127.0.0.1", port),
        "SENTRY_WEBHOOK_SECRET": SECRET.reveal(),
        "SENTRY_POLL_SECONDS": 0,
    }


def address(port: int) -> str:
    """Where a bot with the settings `listening(port)` takes webhooks."""
    return f"http://127.0.0.1:{port}/sentry/webhook"


def post(webhook: str, body: object, request_id: str = "") -> None:
    """Sentry delivers a signed body to a bot, which takes it."""
    raw = encode(body)
    with open_url(Request(webhook, raw, signed(raw, request_id=request_id)), timeout=30) as answer:
        assert answer.status == 202

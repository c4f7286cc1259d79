"""What Slack posts to an app over HTTP, signed: events, and clicks on the interactivity URL.

Signature: docs.slack.dev/authentication/verifying-requests-from-slack (`v0=` and the HMAC-SHA256 of `v0:stamp:body`).
Clicks: docs.slack.dev/interactivity/handling-user-interaction: a form with one field, `payload`, that holds JSON.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
import urllib.request
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode

SIGNING_SECRET = "a-signing-secret"


def post_signed(
    address: str,
    body: bytes,
    content_type: str,
    *,
    secret: str = SIGNING_SECRET,
    stamp: float | str | None = None,
    signature: str = "",
) -> int:
    """POST as Slack does; the answer's status. Another `secret` forges; an old `stamp` (epoch seconds) replays; a text
    as stamp, or a `signature`, stands in the header as it is."""
    when = stamp if isinstance(stamp, str) else str(int(time.time() if stamp is None else stamp))
    signed = hmac.new(secret.encode(), b"v0:" + when.encode() + b":" + body, hashlib.sha256).hexdigest()
    headers = {
        "Content-Type": content_type,
        "X-Slack-Request-Timestamp": when,
        "X-Slack-Signature": signature or f"v0={signed}",
    }
    try:
        with urllib.request.urlopen(urllib.request.Request(address, body, headers), timeout=30) as answer:
            return int(answer.status)
    except HTTPError as refusal:
        refusal.close()
        return refusal.code


def event_body(event: dict[str, Any]) -> dict[str, Any]:
    """What surrounds an event, over HTTP and in socket mode: docs.slack.dev/apis/events-api."""
    return {"type": "event_callback", "team_id": "T00", "event": event}


def send_event(address: str, event: dict[str, Any]) -> int:
    """Slack tells the bot of something: a signed POST to its address; the answer's status."""
    return post_signed(address, json.dumps(event_body(event)).encode(), "application/json")


def send_click(address: str, payload: dict[str, Any], **forged: Any) -> int:
    """Slack tells the bot of a click (`SlackServer.click_payload`); the status. `forged`: options of `post_signed`."""
    body = urlencode({"payload": json.dumps(payload)}).encode()
    return post_signed(address, body, "application/x-www-form-urlencoded", **forged)

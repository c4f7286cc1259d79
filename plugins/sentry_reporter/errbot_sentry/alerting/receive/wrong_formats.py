"""Recognizes webhooks of GlitchTip and Bugsink that are set to the format of a chat network, and refuses them. Pure.

The fields are those of glitchtip-backend `apps/alerts/webhooks.py` and bugsink `alerts/service_backends/*.py`. None of
these formats names the issue in a form that is safe to read. The refusal says what to set instead.
"""

from __future__ import annotations

from collections.abc import Mapping

from errbot_sentry.server.payloads.json_fields import Fields

_CARD = "application/vnd.microsoft.card.adaptive"
_SET = {
    "GlitchTip": 'In GlitchTip, set the recipient\'s type to "General webhook".',
    "Bugsink": 'In Bugsink, set the service\'s kind to "Custom".',
}


def refusal_of(body: object, headers: Mapping[str, str]) -> str:
    """Why a body is refused, "" if it has none of these formats; `body` is None if it was not JSON."""
    if body is None:
        return _sentence("GlitchTip", "ntfy") if "title" in headers and "click" in headers else ""
    fields = Fields(body)
    attachments = [Fields(each) for each in fields.rows("attachments")]
    if any(each.line("contentType") == _CARD for each in attachments):
        lines = [Fields(each).line("text") for each in attachments[0].fields("content").rows("body")]
        return _sentence(
            "GlitchTip" if any(text.startswith("GlitchTip") for text in lines) else "Bugsink", "Microsoft Teams"
        )
    if fields.rows("embeds"):
        return _sentence("GlitchTip" if fields.line("content").startswith("GlitchTip") else "Bugsink", "Discord")
    if fields.rows("cardsV2"):
        return _sentence("GlitchTip", "Google Chat")
    if fields.rows("blocks"):
        return _sentence("Bugsink", "Slack")
    if any(each.line("title").endswith(" issue") and not each.raw("title_link") for each in attachments):
        return _sentence("Bugsink", "Mattermost")
    return _sentence("Bugsink", "Google Chat") if "|view on Bugsink>" in fields.text("text", longest=8000) else ""


def _sentence(server: str, network: str) -> str:
    return f"This is {server}'s format for {network}. {_SET[server]}"

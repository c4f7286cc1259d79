"""Slack, by the client of its backend (errbot-backend-slackv3, slack_sdk): cards, threads, edits, buttons.

Methods, errors and blocks are those of docs.slack.dev/reference. `bot.slack_web` is the WebClient. With an app token
there is also `bot.slack_socket_mode`, which brings clicks. Without, they come as signed requests to our web listener.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs

from errbot_sentry.chat.clicks import DIRECT_CHANNEL, Click, OnClick
from errbot_sentry.chat.networks.errbot_network import (
    Capabilities,
    ClickAnswer,
    ErrbotNetwork,
    File,
    channel_of,
    taken_id,
)
from errbot_sentry.chat.render.escaping import plain
from errbot_sentry.domain.errors import MessageTooLong, NotAdmitted, RoomUnknown, SendError, SendLimited, TokenRefused
from errbot_sentry.domain.issue_actions import ARCHIVE, ARCHIVE_CHOICES, options_of
from errbot_sentry.domain.json_values import whole
from errbot_sentry.domain.outgoing import Button, Card, Outgoing

log = logging.getLogger(__name__)

_REFUSALS: dict[str, type[SendError]] = {
    **dict.fromkeys(("channel_not_found", "is_archived", "channel_is_archived"), RoomUnknown),
    **dict.fromkeys(
        (
            "not_in_channel",
            "restricted_action",
            "restricted_action_thread_locked",
            "no_permission",
            "ekm_access_denied",
        ),
        NotAdmitted,
    ),
    **dict.fromkeys(("msg_too_long", "msg_blocks_too_long", "no_text"), MessageTooLong),
}
# Of every method, on its page; `missing_scope` is not: only one of several calls may lack its scope.
_TOKEN_REFUSED = frozenset(
    {"not_authed", "invalid_auth", "account_inactive", "token_revoked", "token_expired", "org_login_required"}
)
_NO_CARD = frozenset({"invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long"})
_DEFAULT_WAIT = 30.0
_CODE = re.compile(r"[a-z_]{1,60}")
_COLORS = {
    "fatal": ":red_circle:",
    "error": ":large_orange_circle:",
    "warning": ":large_yellow_circle:",
    "info": ":large_blue_circle:",
}


class SlackNetwork(ErrbotNetwork):
    """One workspace."""

    capabilities = Capabilities(
        confirms=True, threads=True, edits=True, cards=True, buttons=True, reactions=True, files=True
    )

    def listen(self, on_click: OnClick) -> None:
        super().listen(on_click)
        socket = getattr(self._bot, "slack_socket_mode", None)
        # Errbot calls callback_connect twice at each start, and there may be a new client after a reconnect.
        if socket is not None and self._on_socket not in socket.socket_mode_request_listeners:
            socket.socket_mode_request_listeners.append(self._on_socket)

    def close(self) -> None:
        super().close()
        socket = getattr(self._bot, "slack_socket_mode", None)
        if socket is not None and self._on_socket in socket.socket_mode_request_listeners:
            socket.socket_mode_request_listeners.remove(self._on_socket)

    def take_click(self, headers: Mapping[str, str], body: bytes) -> ClickAnswer:
        """A click that Slack sends to the interactivity URL of the app: a form with the JSON in `payload`, signed.

        docs.slack.dev/authentication/verifying-requests-from-slack; slack_sdk refuses those over five minutes old.
        """
        secret = str((getattr(self._bot.bot_config, "BOT_IDENTITY", None) or {}).get("signing_secret") or "")
        if not secret:
            return ClickAnswer(404)
        from slack_sdk.signature import SignatureVerifier  # only where Slack's backend is installed

        if not SignatureVerifier(secret).is_valid_request(body, dict(headers)):
            return ClickAnswer(401)
        try:
            payload = json.loads(parse_qs(body.decode())["payload"][0])
        except (KeyError, ValueError):
            return ClickAnswer(400)
        self._take(payload)
        return ClickAnswer(200)

    def _on_socket(self, _client: Any, request: Any) -> None:
        if request.type == "interactive":  # the backend has acknowledged it
            self._take(request.payload)

    def _take(self, payload: object) -> None:
        if self._on_click is not None:
            self._on_click(lambda: self._click(payload))

    def _click(self, payload: Any) -> Click | None:
        """The click of a `block_actions` payload (docs.slack.dev/reference/interaction-payloads)."""
        if payload.get("type") != "block_actions":
            return None
        action, user, channel = payload["actions"][0], str(payload["user"]["id"]), str(payload["channel"]["id"])
        options = options_of(str(action["action_id"]), str((action.get("selected_option") or {}).get("value", "")))
        if options is None:
            return None
        ts = str(payload["message"]["ts"])

        def whisper(text: str) -> bool:
            values = {"channel": channel, "user": user, "text": self._bot.md.convert(text), "thread_ts": ts}
            self._call("chat_postEphemeral", values)
            return True

        sender = self._bot.build_identifier(f"<@{user}>")
        room = sender if channel.startswith(DIRECT_CHANNEL) else self._bot.query_room(channel)
        extras = {"slack_event": {"ts": ts, "thread_ts": ts}, "thread_ts": ts}
        return Click(sender, room, ts, options, extras, whisper)

    def _find(self, room: str) -> Any:
        """The backend's room. Only `build_identifier` finds `#ops`; `query_room` returns an empty room without an error
        (slackv3 0.3.2)."""
        found = (self._bot.build_identifier if room[:1] in ("#", "<") else self._bot.query_room)(room)
        _ = found.id  # an empty room has none
        return found

    def _identifier(self, address: str) -> Any:
        return self._bot.build_identifier(f"<@{address}>")

    def _post(self, target: Any, message: Outgoing, thread: str) -> str:
        if message.card is None:
            return super()._post(target, message, thread)
        values = {"channel": channel_of(target), **self._card_values(message, message.card)}
        try:
            return self._post_values({**values, **({"thread_ts": thread} if thread else {})})
        except _CardRefused as error:
            log.warning("%s It is sent as text.", error)
            return super()._post(target, message, thread)

    def _post_text(self, target: Any, body: str, thread: str) -> str:
        values = {"channel": channel_of(target), **self._text_values(body)}
        return self._post_values({**values, **({"thread_ts": thread} if thread else {})})

    def _post_values(self, values: Mapping[str, Any]) -> str:
        return taken_id(self._call("chat_postMessage", values).get("ts"), "Slack")

    def _edit(self, target: Any, sent_id: str, message: Outgoing) -> None:
        if message.card is not None:
            values = self._card_values(message, message.card)
        else:
            values = self._text_values(self._layout.messages(message.whole)[0])
        self._call("chat_update", {"channel": channel_of(target), "ts": sent_id, **values})

    def _upload(self, target: Any, file: File, thread: str) -> None:
        """Upload by Slack's client: the backend (slackv3 0.3.2) sends `<#C123|ops>`, where Slack wants `C123`, and
        reports no failure."""
        values = {"channel": channel_of(target), "filename": file.name, "content": file.content}
        self._call("files_upload_v2", {**values, "thread_ts": thread or None})

    def _call(self, method: str, values: Mapping[str, Any]) -> Any:
        """Call the Web API; its refusals become our errors."""
        try:
            return getattr(self._bot.slack_web, method)(**values)
        except Exception as error:  # a refusal, or the connection broke: then the message may have been taken
            refusal = self._refusal_of(error, has_card="blocks" in values)
            raise refusal or SendError("Slack did not answer.") from error

    def _refusal_of(self, error: Exception, *, has_card: bool = False) -> SendError | None:
        from slack_sdk.errors import SlackApiError  # only where Slack's backend is installed

        return _refusal(error, has_card=has_card) if isinstance(error, SlackApiError) else None

    def _text_values(self, markdown: str) -> dict[str, Any]:
        text = self._bot.md.convert(markdown)
        return {"text": text, "unfurl_links": False, "unfurl_media": False, "link_names": True}

    def _card_values(self, message: Outgoing, card: Card) -> dict[str, Any]:
        """The fields of a message: the card in blocks, and the text that a phone's notification shows."""
        card = replace(card, link=self._escape.href(card.link))
        blocks = list(_blocks(card, self._bot.md.convert(message.mention) if message.mention else ""))
        return {**self._text_values(message.whole), "blocks": blocks}


class _CardRefused(SendError):
    """Slack refused the blocks; the message is then sent as text."""


def _refusal(error: Any, *, has_card: bool) -> SendError:
    """Our error for Slack's; the codes are listed for each method on docs.slack.dev/reference/methods."""
    code = str(error.response.get("error", ""))
    code = code if _CODE.fullmatch(code) else "unknown error"
    if code == "ratelimited":
        wait = whole((error.response.headers or {}).get("Retry-After"))
        return SendLimited("Slack wants fewer messages.", _DEFAULT_WAIT if wait is None else wait)
    if code in _TOKEN_REFUSED:
        return TokenRefused("Slack", code)
    if has_card and code in _NO_CARD:
        return _CardRefused(f"Slack did not take the card ({code}).")
    return _REFUSALS.get(code, SendError)(f"Slack refused the message ({code}).")


def _blocks(card: Card, mention: str) -> Iterator[dict[str, Any]]:
    """The card in blocks. Foreign text is always rich text, which Slack never parses for markup, mentions or links."""
    if mention:
        yield {"type": "section", "text": {"type": "mrkdwn", "text": mention}}
    sign = _COLORS.get(card.level, "")
    head = [{"type": "emoji", "name": sign.strip(":")}, _text(" ")] if sign else []
    name = plain(card.name) or "(no title)"
    title = {"type": "link", "url": card.link, "text": name} if card.link else _text(name)
    yield _rich(
        *([[*head, _text(heading, bold=True)]] if (heading := plain(card.heading)) else []),
        [title],
        *([[_text(culprit)]] if (culprit := plain(card.culprit)) else []),
    )
    if detail := plain(card.detail):
        yield _rich([_text(detail)])
    named = (plain(f"{name}: {value}" if name else value) for name, value in card.facts)
    facts = [fact for fact in (*named, plain(card.mark)) if fact]
    if facts:
        yield {
            "type": "context",
            "elements": [{"type": "plain_text", "text": fact, "emoji": False} for fact in facts[:10]],
        }
    if card.buttons:
        yield {"type": "actions", "elements": [_button(each) for each in card.buttons]}


def _rich(*lines: list[dict[str, Any]]) -> dict[str, Any]:
    return {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": _lines(lines)}]}


def _lines(lines: tuple[list[dict[str, Any]], ...]) -> list[dict[str, Any]]:
    joined: list[dict[str, Any]] = []
    for line in lines:
        joined += [_text("\n"), *line] if joined else line
    return joined


def _text(text: str, *, bold: bool = False) -> dict[str, Any]:
    return {"type": "text", "text": text, **({"style": {"bold": True}} if bold else {})}


def _button(button: Button) -> dict[str, Any]:
    label = {"type": "plain_text", "text": button.label}
    if button.action != ARCHIVE:
        return {"type": "button", "action_id": button.action, "text": label}
    options = [
        {"text": {"type": "plain_text", "text": text}, "value": value} for value, text in ARCHIVE_CHOICES.items()
    ]
    return {"type": "static_select", "action_id": button.action, "placeholder": label, "options": options}

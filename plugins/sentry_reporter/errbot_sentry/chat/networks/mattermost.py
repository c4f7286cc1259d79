"""Mattermost, by the driver of its backend (err-backend-mattermost 3.0.0, mattermostdriver 7.3.2).

Paths, fields and limits are those of developers.mattermost.com/api-documentation; other sources are files below server/
of github.com/mattermost/mattermost. `bot.driver` is a new one after each reconnect. Clicks come unsigned, by HTTP to
SENTRY_PUBLIC_URL, so each button carries a signature of ours.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import requests

from errbot_sentry.chat.clicks import Click, OnClick
from errbot_sentry.chat.networks.errbot_network import (
    Capabilities,
    ClickAnswer,
    ErrbotNetwork,
    File,
    channel_of,
    taken_id,
)
from errbot_sentry.chat.networks.mattermost_cards import attachment_of
from errbot_sentry.chat.networks.signed_clicks import SignedClicks
from errbot_sentry.domain.errors import (
    MessageTooLong,
    NotAdmitted,
    NotConnected,
    RoomUnknown,
    SendError,
    SendLimited,
    StoreError,
    TokenRefused,
)
from errbot_sentry.domain.issue_actions import Options, options_of, options_of_emoji
from errbot_sentry.domain.json_values import whole
from errbot_sentry.domain.outgoing import Card, Outgoing

log = logging.getLogger(__name__)

_CALL_SECONDS = 15.0
_DEFAULT_WAIT = 10.0
_PROP = "sentry_reporter"  # the property of a post that has its token (SignedClicks)
_ID = re.compile(r"[a-z0-9]{26}")  # public/model/utils.go, IsValidId
_BY_STATUS: dict[int, type[SendError]] = {403: NotAdmitted, 404: RoomUnknown, 413: MessageTooLong}
_BY_ERROR: dict[str, type[SendError]] = {
    "api.post.create_post.can_not_post_to_deleted.error": RoomUnknown,  # an archived channel
    "model.post.is_valid.message_length.app_error": MessageTooLong,
}
_NO_THREAD = "api.post.create_post.root_id.app_error"


class _Refused(SendError):
    """A post that Mattermost refused as invalid, with the id of its error."""

    def __init__(self, error: str) -> None:
        super().__init__(f"Mattermost refused the message ({error}).")
        self.error = error


class MattermostNetwork(ErrbotNetwork):
    """One team."""

    capabilities = Capabilities(
        confirms=True, threads=True, edits=True, cards=True, buttons=True, reactions=True, files=True
    )

    _url = ""
    _may_whisper = True
    _socket: Any = None

    def offer_buttons(self, url: str, secret: Callable[[], str]) -> None:
        self._url, self._signed = url and f"{url}/sentry/clicks", SignedClicks(secret)
        self.capabilities = replace(self.capabilities, buttons=bool(url))

    def status(self) -> tuple[str, ...]:
        return (*super().status(), *(() if self._url else ("no buttons: set SENTRY_PUBLIC_URL",)))

    def listen(self, on_click: OnClick) -> None:
        super().listen(on_click)
        if self._on_reaction not in self._bot.event_handlers.get("reaction_added", ()):
            self._bot.register_handler("reaction_added", self._on_reaction)
        client = getattr(self._bot.driver, "websocket", None)
        if client is not None and "_wait_for_message" not in vars(client):
            self._watch(client)

    def close(self) -> None:
        super().close()
        handlers = self._bot.event_handlers.get("reaction_added", [])
        if self._on_reaction in handlers:
            handlers.remove(self._on_reaction)
        if (client := getattr(self._bot.driver, "websocket", None)) is not None:
            vars(client).pop("_wait_for_message", None)

    def _watch(self, client: Any) -> None:
        """Learn on which connection the driver waits: a local variable of its own (mattermostdriver/websocket.py)."""
        wait = client._wait_for_message  # noqa: SLF001 - there is no other way to it

        async def noting(socket: Any, handler: Any) -> None:
            self._socket = socket
            await wait(socket, handler)

        client._wait_for_message = noting  # noqa: SLF001 - as above

    def _trouble(self) -> str:
        """What is wrong with the connection for incoming messages. Posts work without, so nobody would notice."""
        if self._socket is None or self._socket.close_code is None:
            return ""
        return (
            "the connection for incoming messages is broken: commands and reactions do not arrive; alerts still go out"
        )

    def room_named(self, name: str) -> str:
        """`~ops`, also for `ops`, `#ops` and the channel's id. `@ann` and globs such as `*-alerts` stay as they are."""
        if name[:1] in ("~", "@", "*", "?", "["):
            return name
        if _ID.fullmatch(name):
            try:
                return f"~{taken_id(self._call('channels', 'get_channel', channel_id=name)['name'], 'Mattermost')}"
            except (RoomUnknown, NotAdmitted):
                log.info("%s is taken for the name of a channel, not for its id", name)
            except SendError:
                return name  # looked up again when a message is sent there
        return f"~{name.removeprefix('#')}"

    def take_click(self, headers: Mapping[str, str], body: bytes) -> ClickAnswer:  # noqa: ARG002 - clicks have none
        """A click as Mattermost's server sends it (public/model/integration_action.go, PostActionIntegrationRequest).

        Nobody sees the `context` of a button, and only we can have signed it.
        """
        if not self._url:
            return ClickAnswer(404)
        try:
            payload = json.loads(body)
            context, user, post = payload["context"], str(payload["user_id"]), str(payload["post_id"])
            action, token, signature = str(context["action"]), str(context["token"]), str(context["signature"])
            options = options_of(action, str(context.get("selected_option") or ""))
            if not self._signed.is_signed(token, action, signature):
                return ClickAnswer(401)
        except (LookupError, TypeError, ValueError, AttributeError):
            return ClickAnswer(400)
        except StoreError:
            return ClickAnswer(503)
        if options is not None:
            self._take(options, user, post, token)
        return ClickAnswer(200, "{}")

    def _on_reaction(self, payload: Mapping[str, Any]) -> None:
        """The event `reaction_added` (channels/app/reaction.go, sendReactionEvent); in the receiving thread."""
        try:
            reaction = json.loads(payload["data"]["reaction"])
            user, post, emoji = str(reaction["user_id"]), str(reaction["post_id"]), str(reaction["emoji_name"])
        except (LookupError, TypeError, ValueError) as error:
            log.warning("a reaction from Mattermost of another shape: %r", error)
            return
        options = options_of_emoji(emoji)
        if options is not None and user != str(self._bot.userid):
            self._take(options, user, post)

    def _take(self, options: Options, user: str, post: str, token: str = "") -> None:
        at = time.monotonic()
        if self._on_click is not None:
            self._on_click(lambda: self._click(options, user, post, token, at))

    def _click(self, options: Options, user: str, post_id: str, token: str, at: float) -> Click | None:
        """The click that came at this time; `token` is "" for a reaction."""
        if not _ID.fullmatch(user) or not _ID.fullmatch(post_id):
            return None
        post = self._call("posts", "get_post", post_id=post_id)
        if post["user_id"] != self._bot.userid:
            return None
        if token:
            shown = str((post.get("props") or {}).get(_PROP))
            self._signed.note(post_id, shown)
            if token != shown and not self._signed.was_shown(post_id, token, at):
                log.info("a click on a message that has changed since, or another's click repeated")
                return None
        channel = self._call("channels", "get_channel", channel_id=post["channel_id"])
        person = self._bot.build_identifier(user)
        room = person if channel["type"] == "D" else self._bot.query_room(channel["name"])

        def whisper(text: str) -> bool:
            self._whisper(person, channel["id"], text)
            return True

        return Click(person, room, post_id, options, {"id": post_id, "root_id": post_id}, whisper, named=str(person))

    def _whisper(self, person: Any, channel: str, markdown: str) -> None:
        """Show a text to one person: in the channel if the bot has that permission, else as a direct message."""
        text = self._bot.md.convert(markdown)
        if self._may_whisper:
            try:
                post = {"user_id": person.userid, "post": {"channel_id": channel, "message": text}}
                self._call("posts", "create_ephemeral_post", options=post)
            except NotAdmitted:
                self._may_whisper = False
            else:
                return
        self._call("posts", "create_post", options={"channel_id": person.channelid, "message": text})

    def _find(self, room: str) -> Any:
        """The backend's room; `query_room` needs the name without `~`."""
        name = self.room_named(room)
        self._limit_time()
        return self._bot.build_identifier(name) if name[:1] == "@" else self._bot.query_room(name.removeprefix("~"))

    def _refusal_of(self, error: Exception) -> SendError | None:
        return _refusal(error) if isinstance(error, requests.RequestException) else None

    def _post(self, target: Any, message: Outgoing, thread: str) -> str:
        channel = channel_of(target)
        if message.card is not None:
            values = self._card_values(message, message.card)
            try:
                sent = self._create(channel, thread, message.key, values)
            except _Refused as error:
                log.warning("%s It is sent as text.", error)
            else:
                self._signed.note(sent, values["props"][_PROP])
                return sent
        first = ""
        for number, body in enumerate(self._layout.messages(message.whole)):
            values = {"message": self._bot.md.convert(body)}
            sent = self._create(channel, thread or first, f"{message.key}-{number}" if message.key else "", values)
            first = first or sent
        return first

    def _post_text(self, target: Any, body: str, thread: str) -> str:
        return self._create(channel_of(target), thread, "", {"message": self._bot.md.convert(body)})

    def _create(self, channel: str, thread: str, key: str, values: Mapping[str, Any]) -> str:
        """Create a post. Two with one `pending_post_id` within thirty seconds are one post to Mattermost
        (channels/app/post.go, deduplicateCreatePost)."""
        options = {"channel_id": channel, **values}
        if key:
            options["pending_post_id"] = f"{self._bot.userid}:{key}"
        try:
            post = self._call("posts", "create_post", options={**options, **({"root_id": thread} if thread else {})})
        except _Refused as error:
            if not thread or error.error != _NO_THREAD:
                raise
            log.info("somebody has deleted the beginning of a thread: what follows goes into the channel")
            post = self._call("posts", "create_post", options=options)
        return taken_id(post.get("id") if isinstance(post, Mapping) else None, "Mattermost")

    def _edit(self, target: Any, sent_id: str, message: Outgoing) -> None:
        del target
        if message.card is not None:
            values = self._card_values(message, message.card)
        else:
            values = {"message": self._bot.md.convert(self._layout.messages(message.whole)[0])}
        self._call("posts", "patch_post", post_id=sent_id, options=values)
        if message.card is not None:
            self._signed.note(sent_id, values["props"][_PROP])

    def _upload(self, target: Any, file: File, thread: str) -> None:
        """Upload by the API, because the backend cannot send files."""
        channel = channel_of(target)
        files = {"files": (file.name, file.content, file.media_type)}
        (info,) = self._call("files", "upload_file", channel_id=channel, files=files)["file_infos"]
        self._create(channel, thread, "", {"message": "", "file_ids": [info["id"]]})

    def _call(self, endpoint: str, method: str, **values: Any) -> Any:
        """Call the API; its refusals become our errors."""
        self._limit_time()
        try:
            return getattr(getattr(self._bot.driver, endpoint), method)(**values)
        except requests.RequestException as error:
            raise _refusal(error) from error
        except ValueError as error:  # not JSON, perhaps a proxy's page
            raise SendError("Mattermost's answer could not be read.") from error

    def _limit_time(self) -> None:
        """Set a time limit for answers; the driver has none."""
        if self._bot.driver is None:
            raise NotConnected("The bot is not connected to Mattermost.")
        if self._bot.driver.options.get("request_timeout") is None:
            self._bot.driver.options["request_timeout"] = _CALL_SECONDS

    def _card_values(self, message: Outgoing, card: Card) -> dict[str, Any]:
        """The fields of a post: the message, which can mention people and be searched for, and the card under it."""
        token = self._signed.new_token()

        def integration(action: str) -> dict[str, Any]:
            context = {"action": action, "token": token, "signature": self._signed.sign(token, action)}
            return {"url": self._url, "context": context}

        card = replace(card, link=self._escape.href(card.link), buttons=card.buttons if self._url else ())
        heading = f"{message.mention} **{self._escape.text(card.heading)}**".strip()
        props = {"attachments": [attachment_of(card, self._escape, integration)], _PROP: token}
        return {"message": self._bot.md.convert(heading), "props": props}


def _refusal(error: requests.RequestException) -> SendError:
    """Our error for Mattermost's, by its id or status (public/model/utils.go, AppError).

    The driver's error has only the server's words, in its language. The answer is in the error that caused it.
    """
    cause: Any = error
    while cause is not None and getattr(cause, "response", None) is None:
        cause = cause.__context__
    if cause is None:  # the connection broke: the message may have been taken
        return SendError("Mattermost did not answer.")
    response = cause.response
    status = int(response.status_code)
    if status == 429:  # channels/app/ratelimit.go
        wait = whole(response.headers.get("Retry-After") or response.headers.get("X-RateLimit-Reset"))
        return SendLimited("Mattermost wants fewer messages.", _DEFAULT_WAIT if wait is None else wait)
    try:
        name = re.sub(r"[^a-z_.]", "", str(response.json().get("id", "")))[:80]
    except (ValueError, AttributeError):
        name = ""
    if status == 401:  # channels/web/context.go, SessionRequired: the token is gone, or its owner is deactivated
        return TokenRefused("Mattermost", name or str(status))
    kind = _BY_ERROR.get(name) or _BY_STATUS.get(status)
    if kind is None and status == 400:
        return _Refused(name)
    return (kind or SendError)(f"Mattermost refused the message ({name or status}).")

"""Discord, by the client of its backend (err-backend-discord 4.0.0, discord.py 2.0.1): embeds, threads, edits, buttons.

Paths, objects and error codes are those of docs.discord.com/developers. `bot.client` is discord.py's client, a new one
after each reconnect by Errbot; it resumes a broken connection by itself. It runs in an event loop of its own.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import copy
import hashlib
import io
import logging
import re
import secrets
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from typing import Any

from errbot_sentry.chat import discord_channels
from errbot_sentry.chat.clicks import Click, OnClick
from errbot_sentry.chat.networks.discord_embeds import BUTTON_PREFIX, embed_of, rows_of
from errbot_sentry.chat.networks.errbot_network import Capabilities, ErrbotNetwork, File, taken_id
from errbot_sentry.chat.render.escaping import plain
from errbot_sentry.domain.errors import (
    MessageTooLong,
    NotAdmitted,
    NotConnected,
    RoomUnknown,
    SendError,
    SendLimited,
    TokenRefused,
)
from errbot_sentry.domain.issue_actions import Options, options_of, options_of_emoji
from errbot_sentry.domain.json_values import whole
from errbot_sentry.domain.outgoing import Outgoing

log = logging.getLogger(__name__)

_CALL_SECONDS = 20.0
_LONGEST_WAIT = 5.0  # seconds that the library may wait before it repeats a rate-limited call
_DEFAULT_WAIT = 30.0
_MESSAGES, _MESSAGE = "/channels/{channel_id}/messages", "/channels/{channel_id}/messages/{message_id}"
_NO_PREVIEWS, _EPHEMERAL = 4, 64  # flags of a message
_HAS_THREAD = 160004
_INVALID_FORM, _MISSING_PERMISSIONS = 50035, 50013
_UNVERIFIED = 40002  # "You need to verify your account": Discord has locked the bot
_NO_CARD = frozenset({_INVALID_FORM, _MISSING_PERMISSIONS})
_TOO_LONG = re.compile(r"or fewer|exceeds maximum size")
# Minutes without a message after which Discord hides the thread; the next message shows it again.
_THREAD_MINUTES = 1440
_THREAD_NAME = 100
_NONCE = 25
_NOBODY: dict[str, Any] = {"parse": []}

Handler = Callable[[Any], Coroutine[Any, Any, None]]


class DiscordNetwork(ErrbotNetwork):
    """The guilds of one bot."""

    capabilities = Capabilities(
        confirms=True, threads=True, edits=True, cards=True, buttons=True, reactions=True, files=True
    )

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._handlers: dict[str, Handler] = {}
        self._http: tuple[Any, Any] = (None, None)
        self._direct_channels: set[int] = set()  # there are no threads in them

    def listen(self, on_click: OnClick) -> None:
        super().listen(on_click)
        self._chain("on_interaction", self._on_interaction)
        self._chain("on_raw_reaction_add", self._on_reaction)

    def _chain(self, event: str, act: Handler) -> None:
        """Handle an event of the client, and pass it on to a handler that another plugin has set before.

        discord.py has one handler for each event. If another plugin has replaced ours, ours is put before that one.
        """
        client = self._bot.client
        before = getattr(client, event, None)
        if client is None or (before is not None and before is self._handlers.get(event)):
            return

        async def handle(payload: Any) -> None:
            try:
                if self._handlers.get(event) is handle:
                    await act(payload)
            except Exception:  # an error here must not keep the event from the backend
                log.exception("%s of Discord failed", event)
            if before is not None:
                await before(payload)

        self._handlers[event] = handle
        setattr(client, event, handle)

    def close(self) -> None:
        """Stop passing on clicks. Our handlers stay, since another plugin may call them, and only pass events on."""
        super().close()
        self._handlers.clear()

    def _trouble(self) -> str:
        client = self._bot.client
        if client is None:
            return ""
        intents = [name for name in ("members", "message_content") if not getattr(client.intents, name, True)]
        if intents:
            return f"commands and clicks do not arrive: add {' and '.join(intents)} to the intents in BOT_IDENTITY"
        gateway = getattr(client, "ws", None)
        if self._is_up() and not (gateway is not None and gateway.open):
            return "the gateway is not connected: commands and clicks do not arrive; alerts still go out"
        return ""

    def room_named(self, name: str) -> str:
        """`#ops`, also for `<#id>` and the id."""
        key, client = discord_channels.id_in(name), self._bot.client
        if client is None:
            return name
        if key is None:
            channel = discord_channels.channel_named(client, name) if name.startswith("#") else None
            return name if channel is None else f"#{channel.name}"
        channel = client.get_channel(key)
        return f"<#{key}>" if channel is None else discord_channels.name_of(client, channel)

    def _is_up(self) -> bool:
        client = self._bot.client
        return client is not None and client.is_ready() and not client.is_closed() and client.loop.is_running()

    def _find(self, room: str) -> int:
        """The channel's id. A channel that the bot cannot see may be written as an id: Discord refuses it later."""
        key = discord_channels.id_in(room)
        if key is not None:
            return key
        channel = discord_channels.channel_named(self._bot.client, room)
        if channel is None:
            raise LookupError("no such channel in the guild that the bot joined first")
        return int(channel.id)

    def _identifier(self, address: str) -> Any:
        return self._bot.build_identifier(f"<@{address}>")

    def _direct(self, person: Any) -> int:
        channel = self._request("POST", "/users/@me/channels", {"recipient_id": str(person.id)})
        self._direct_channels.add(int(channel["id"]))
        return int(channel["id"])

    def _post(self, target: Any, message: Outgoing, thread: str) -> str:
        try:
            first = ""
            for number, values in enumerate(self._contents(message)):
                sent = self._create(target, thread, values, f"{message.key}-{number}" if message.key else "")
                first = first or sent
        except SendError as error:
            if message.card is None or _code(error) not in _NO_CARD:
                raise
            log.warning("%s It is sent as text: may the bot embed links there?", error)
            return self._post(target, replace(message, card=None), thread)
        return first

    def _contents(self, message: Outgoing) -> list[dict[str, Any]]:
        """The contents of the messages to post: one with a card, or text in as many as it needs."""
        mentioned = {"allowed_mentions": _mentioned(message.mention)}
        if message.card is not None:
            shown = {"embeds": [embed_of(message.card, self._escape)], "components": rows_of(message.card.buttons)}
            return [{"content": message.mention, **shown, **mentioned}]
        return [{"content": body, "flags": _NO_PREVIEWS, **mentioned} for body in self._layout.messages(message.whole)]

    def _create(self, channel: int, thread: str, values: Mapping[str, Any], key: str) -> str:
        """Post one message, into the thread of another if it can have one, else as a reply to it."""
        # Discord takes a nonce once in some minutes, and answers a second time with the message of the first.
        nonce = hashlib.sha256(key.encode()).hexdigest()[:_NONCE] if key else secrets.token_hex(_NONCE // 2)
        values = {**values, "nonce": nonce, "enforce_nonce": True}
        if thread.isdecimal():  # only digits: an id from a network that the bot used before is ignored
            try:
                if channel not in self._direct_channels and self._has_thread(channel, thread):
                    return self._created(int(thread), values)
            except (RoomUnknown, NotAdmitted) as error:
                log.info("the thread of message %s takes nothing: %s", thread, error)
            values["message_reference"] = {"message_id": thread, "fail_if_not_exists": False}
        return self._created(channel, values)

    def _created(self, channel: int, values: Mapping[str, Any]) -> str:
        message = self._request("POST", _MESSAGES, values, channel_id=channel)
        return taken_id(message.get("id") if isinstance(message, Mapping) else None, "Discord")

    def _has_thread(self, channel: int, root: str) -> bool:
        """Make sure that a message has its thread, which has the message's id; False if it cannot have one."""
        if self._bot.client.get_channel(int(root)) is not None:
            return True
        values = {"name": self._thread_name(channel, root), "auto_archive_duration": _THREAD_MINUTES}
        try:
            self._request("POST", f"{_MESSAGE}/threads", values, channel_id=channel, message_id=root)
        except SendLimited:
            raise
        except SendError as error:
            if _code(error) == _HAS_THREAD:
                return True
            if not _code(error):
                raise
            log.info("message %s gets no thread, so replies: %s", root, error)
            return False
        return True

    def _thread_name(self, channel: int, root: str) -> str:
        """The title of the notification, read from Discord, because it may have been sent before a restart."""
        try:
            message = self._request("GET", _MESSAGE, None, channel_id=channel, message_id=root)
            escaped = (message.get("embeds") or [{}])[0].get("title") or message.get("content") or ""
        except SendError as error:
            log.info("message %s cannot be read: %s", root, error)
            escaped = ""
        shown = re.sub(r"<@&?\d+> |\\(.)|[*`]", lambda found: found[1] or "", escaped)
        return plain(shown, _THREAD_NAME) or "Updates"

    def _edit(self, target: Any, sent_id: str, message: Outgoing) -> None:
        self._request("PATCH", _MESSAGE, self._contents(message)[0], channel_id=target, message_id=sent_id)

    def _upload(self, target: Any, file: File, thread: str) -> None:  # noqa: ARG002 - the room of a typed message is its thread
        """Upload by the library: the backend (4.0.0) sends only texts, and reports no failure."""
        import discord  # only where Discord's backend is installed

        client = self._bot.client
        place = client.get_partial_messageable(target) if isinstance(target, int) else target.get_discord_object()
        content = discord.File(io.BytesIO(file.content), file.name)
        self._wait(lambda: place.send(file=content, allowed_mentions=discord.AllowedMentions.none()))

    def _request(self, method: str, path: str, values: Mapping[str, Any] | None, **parts: Any) -> Any:
        """Call the REST API by the library's client, which has the token and keeps the rate limits."""
        from discord.http import Route  # only where Discord's backend is installed

        body = {} if values is None else {"json": values}
        return self._wait(lambda: self._own_http().request(Route(method, path, **parts), **body))

    def _own_http(self) -> Any:
        """A copy of the library's client that waits only so long for a rate limit. Runs in the client's loop.

        It is a copy, because calls of other plugins would fail by that limit.
        """
        theirs, ours = self._http
        if theirs is not self._bot.client.http:
            theirs = self._bot.client.http
            ours = copy.copy(theirs)
            ours.max_ratelimit_timeout = _LONGEST_WAIT
            vars(ours).update(_buckets={}, _bucket_hashes={})  # those there have the library's own waiting time
            self._http = theirs, ours
        return ours

    def _wait(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Run something in the client's loop and wait for its result; refusals become our errors."""
        if not self._is_up():
            raise NotConnected("The bot is not connected to Discord.")
        loop = self._bot.client.loop
        if asyncio._get_running_loop() is loop:  # noqa: SLF001 - the public one raises where there is none
            raise SendError("Discord cannot be waited for in its own thread.")

        async def done() -> Any:
            return await work()

        future = asyncio.run_coroutine_threadsafe(done(), loop)
        try:
            return future.result(_CALL_SECONDS)
        except concurrent.futures.TimeoutError as error:
            future.cancel()  # else the library would go on and repeat the call
            raise SendError("Discord did not answer in time.") from error
        except Exception as error:  # what the library and aiohttp raise; `_refusal` tells them apart
            raise _refusal(error) from error

    async def _on_interaction(self, interaction: Any) -> None:
        """A click on a button, in the client's loop; Discord wants an answer within three seconds."""
        data = interaction.data or {}
        name = str(data.get("custom_id") or "")
        if not name.startswith(BUTTON_PREFIX):
            return
        try:
            await interaction.response.defer()
        except Exception as error:  # noqa: BLE001 - too late, or another plugin has answered: it is done all the same
            log.info("a click in Discord could not be answered: %r", error)
        options = options_of(name.removeprefix(BUTTON_PREFIX), "".join(data.get("values") or ()))

        def whisper(text: str) -> bool:
            values = {"content": text, "flags": _EPHEMERAL | _NO_PREVIEWS, "allowed_mentions": _NOBODY}
            keys = {"webhook_id": interaction.application_id, "webhook_token": interaction.token}
            self._request("POST", "/webhooks/{webhook_id}/{webhook_token}", values, **keys)
            return True

        if options is not None:
            # `whisper` keeps the interaction, and with it the person in the client's cache.
            channel = interaction.channel_id if interaction.guild_id is not None else None
            self._take(interaction.user.id, channel, interaction.message.id, options, whisper)

    async def _on_reaction(self, reaction: Any) -> None:
        """An emoji under a message, in the client's loop; the names of a guild's own emoji mean nothing."""
        options = options_of_emoji(str(reaction.emoji.name or "")) if reaction.emoji.is_unicode_emoji() else None
        if options is not None and reaction.user_id != self._bot.client.user.id:
            channel = reaction.channel_id if reaction.guild_id is not None else None
            self._take(reaction.user_id, channel, reaction.message_id, options, lambda _text: False)

    def _take(
        self, user: int, channel: int | None, message: int, options: Options, whisper: Callable[[str], bool]
    ) -> None:
        """Pass on a click or reaction; `channel` is None in a direct message."""

        def find() -> Click:
            person = self._bot.build_identifier(f"<@{user}>")
            room = person if channel is None else self._bot.build_identifier(f"<#{channel}>")
            return Click(person, room, str(message), options, {}, whisper)

        if self._on_click is not None:
            self._on_click(find)


def _mentioned(mention: str) -> dict[str, Any]:
    """Whom a message may notify: only those in its `mention`, whatever the rest of it says."""
    if not mention:
        return _NOBODY
    everybody = ["everyone"] if re.search("@everyone|@here", mention) else []
    users, roles = re.findall(r"<@!?(\d+)>", mention), re.findall(r"<@&(\d+)>", mention)
    return {"parse": everybody, "users": users, "roles": roles}


def _code(error: SendError) -> int:
    """Discord's code of a refusal; 0 if the message may have been taken."""
    return int(getattr(error.__cause__, "code", 0) or 0)


def _refusal(error: BaseException) -> SendError:
    """Our error for what the library raises: discord.RateLimited, discord.HTTPException, or errors of the connection.

    Codes: docs.discord.com/developers/topics/opcodes-and-status-codes#json.
    """
    wait, status = getattr(error, "retry_after", None), getattr(error, "status", None)
    if wait is not None:
        return SendLimited("Discord wants fewer messages.", float(wait))
    if status is None or status >= 500:  # nobody knows whether it was taken
        return SendError("Discord did not answer.")
    code = int(getattr(error, "code", 0) or 0)
    if status == 429:  # without the API's own words: the proxy before it
        given = whole(getattr(getattr(error, "response", None), "headers", {}).get("Retry-After"))
        return SendLimited("Discord wants fewer messages.", _DEFAULT_WAIT if given is None else given)
    if status == 401 or code == _UNVERIFIED:
        return TokenRefused("Discord", str(code or status))
    kind: type[SendError] = {403: NotAdmitted, 404: RoomUnknown, 413: MessageTooLong}.get(status, SendError)
    if code == _INVALID_FORM and _TOO_LONG.search(str(getattr(error, "text", ""))):
        kind = MessageTooLong
    return kind(f"Discord refused the message ({code or status}).")

"""Matrix, by the client-server API of its server: threads, edits, pictures, mentions; reactions come by the backend.

The backend (errbot-backend-matrix 0.0.1, matrix-nio 0.26) reports no refusal, and nio repeats a request without an end.
So messages go out by HTTP with the backend's login, each with a time limit. Calls, events and error codes are those of
https://spec.matrix.org/v1.15/client-server-api/.
"""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import requests
from errbot import rendering

from errbot_sentry.chat.clicks import Click, OnClick
from errbot_sentry.chat.errbot_patches.matrix_sync import is_history
from errbot_sentry.chat.networks.errbot_network import Capabilities, ErrbotNetwork, File, taken_id
from errbot_sentry.chat.typed_messages import thread_of
from errbot_sentry.domain.errors import (
    MessageTooLong,
    NotAdmitted,
    NotConnected,
    RoomUnknown,
    SendError,
    SendLimited,
    TokenRefused,
)
from errbot_sentry.domain.issue_actions import options_of_emoji
from errbot_sentry.domain.json_values import amount
from errbot_sentry.domain.locks import Lock
from errbot_sentry.domain.outgoing import Outgoing
from errbot_sentry.server.http.body import answers_within

log = logging.getLogger(__name__)

_TIMEOUT = (5.0, 20.0)
_CALL_SECONDS = 30.0
_DEFAULT_WAIT = 5.0
_REFUSALS: dict[str, type[SendError]] = {
    "M_FORBIDDEN": NotAdmitted,
    "M_NOT_FOUND": RoomUnknown,
    "M_INVALID_PARAM": RoomUnknown,
    "M_TOO_LARGE": MessageTooLong,
}
# Sections "Common error codes", "Other error codes" and "Account locking"; a suspended account can send nothing either.
_TOKEN_REFUSED = frozenset(
    {"M_UNKNOWN_TOKEN", "M_MISSING_TOKEN", "M_USER_DEACTIVATED", "M_USER_LOCKED", "M_USER_SUSPENDED"}
)
_CODE = re.compile(r"[A-Z_]{1,60}")
_MENTION = re.compile(r"@[A-Za-z0-9._=/+-]+:[A-Za-z0-9.:\[\]-]+")


class MatrixNetwork(ErrbotNetwork):
    """One account on a Matrix server."""

    capabilities = Capabilities(confirms=True, threads=True, edits=True, reactions=True, files=True)

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._client: Any = None  # whose reactions are passed on
        self._connected_at = 0.0
        self._made_rooms: dict[str, str] = {}
        self._converters = Lock()
        self._to_text, self._to_html = rendering.text(), rendering.xhtml()

    def listen(self, on_click: OnClick) -> None:
        super().listen(on_click)
        client = getattr(self._bot, "client", None)
        if client is None or client is self._client:
            return
        from nio import ReactionEvent  # only where Matrix's backend is installed

        self._client, self._connected_at = client, time.monotonic()
        client.add_event_callback(self._on_reaction, ReactionEvent)

    def room_named(self, name: str) -> str:
        """The id of a room, as commands typed there have it. An alias that cannot be resolved stays as it is."""
        if not name.startswith("#"):
            return name
        try:
            return self._room_id(name)
        except SendError as error:
            log.warning("the room %s is not known yet: %s", name, error)
            return name

    def reply(self, msg: Any, text: str) -> bool:
        """Reply in the thread where the command was typed; outside of threads Errbot replies."""
        thread = thread_of(msg)
        if not thread or msg.is_direct:
            return False
        try:
            self._post(str(msg.to), Outgoing(text), thread)
        except SendError as error:
            log.warning("a reply was not taken: %s", error)
        return True

    def _is_up(self) -> bool:
        return bool(getattr(self._client, "access_token", ""))

    def _find(self, room: str) -> str:
        return self._room_id(room)

    def _room_id(self, room: str) -> str:
        if not room.startswith("#"):
            return room
        return str(self._call("GET", f"/_matrix/client/v3/directory/room/{quote(room, safe='')}")["room_id"])

    def _post(self, target: Any, message: Outgoing, thread: str) -> str:
        first = ""
        for place, body in enumerate(self._layout.messages(message.whole)):
            content = {**self._content(body), "m.mentions": _mentions(message.mention if place == 0 else "")}
            key = f"{message.key}-{place}" if message.key else ""
            sent = self._send(str(target), {**content, **_in_thread(thread or first)}, key)
            first = first or sent
        return first

    def _edit(self, target: Any, sent_id: str, message: Outgoing) -> None:
        content = self._content(self._layout.messages(message.whole)[0])
        relation = {"rel_type": "m.replace", "event_id": sent_id}
        # The outer text is for clients without edits; a mention in it would notify people again.
        shown = {**content, "body": f"* {content['body']}", "m.mentions": {}}
        mentions = {"m.mentions": _mentions(message.mention)}
        self._send(str(target), {**shown, "m.new_content": {**content, **mentions}, "m.relates_to": relation})

    def _upload(self, target: Any, file: File, thread: str) -> None:
        headers = {"Content-Type": file.media_type}
        path = f"/_matrix/media/v3/upload?filename={quote(file.name, safe='')}"
        address = str(self._call("POST", path, data=file.content, headers=headers)["content_uri"])
        info = {"mimetype": file.media_type, "size": len(file.content)}
        kind = "m.image" if file.media_type.startswith("image/") else "m.file"
        content = {"msgtype": kind, "body": file.name, "url": address, "info": info, "m.mentions": {}}
        self._send(self._room_of(target), {**content, **_in_thread(thread)})

    def _room_of(self, target: Any) -> str:
        """The id of a room from Errbot's identifier; for a person, that of the direct conversation with them."""
        person = getattr(target, "userid", "")
        if not person:
            return self._room_id(str(target))
        rooms = ((key, set(room.users)) for key, room in dict(self._client.rooms).items())
        found = next((key for key, people in rooms if len(people) <= 2 and person in people), None)
        if found is None:
            raise RoomUnknown("There is no direct conversation with this person.")
        return str(found)

    def _direct(self, person: Any) -> str:
        """A room without a name, with this person and the bot alone, that nobody can join without an invitation.

        It is looked up each time, because somebody may have been invited since. If there is none, it is made.
        """
        user, rooms = str(person.userid), dict(self._client.rooms)
        found = next((key for key, room in rooms.items() if _is_direct(room) and user in room.users), "")
        made = self._made_rooms.get(user, "")
        if found or (made and made not in rooms):  # as long as the backend does not list it
            return str(found or made)
        values = {"preset": "trusted_private_chat", "is_direct": True, "invite": [user]}
        made = str(self._call("POST", "/_matrix/client/v3/createRoom", json=values)["room_id"])
        self._made_rooms[user] = made
        return made

    def _send(self, room: str, content: Mapping[str, Any], key: str = "") -> str:
        """Send a message; returns its event id.

        The server takes a message with the same transaction identifier only once (Matrix client-server API).
        """
        number = quote(key or uuid.uuid4().hex, safe="")
        path = f"/_matrix/client/v3/rooms/{quote(room, safe='')}/send/m.room.message/{number}"
        return taken_id(self._call("PUT", path, json=dict(content)).get("event_id"), "Matrix")

    def _call(self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **body: Any) -> dict[str, Any]:
        """Call the server that the backend is logged in to; its refusals become our errors."""
        client = self._client
        if not getattr(client, "access_token", ""):
            raise NotConnected("The bot is not connected to the chat network.")
        token = f"Bearer {client.access_token}"

        def sign(
            request: requests.PreparedRequest,
        ) -> requests.PreparedRequest:  # ~/.netrc would replace a plain header
            request.headers["Authorization"] = token
            return request

        proxies = {"http": client.proxy, "https": client.proxy} if client.proxy else None
        try:
            with answers_within(_CALL_SECONDS) as session:
                answer = session.request(
                    method,
                    f"{client.homeserver.rstrip('/')}{path}",
                    headers=headers,
                    auth=sign,
                    timeout=_TIMEOUT,
                    allow_redirects=False,  # the token is for this server alone
                    proxies=proxies,
                    **body,
                )
            found = answer.json()
        except requests.JSONDecodeError as error:
            raise SendError("The Matrix server's answer is not JSON.") from error
        except requests.RequestException as error:
            raise NotConnected("The Matrix server does not answer.") from error
        if answer.status_code == requests.codes.ok and isinstance(found, dict):
            return found
        raise _refusal(answer.status_code, found if isinstance(found, dict) else {})

    def _content(self, markdown: str) -> dict[str, Any]:
        with self._converters:
            text, html = self._to_text.convert(markdown), self._to_html.convert(markdown)
        plain = "\n".join(line.strip(" ") for line in text.strip().split("\n"))
        return {"msgtype": "m.text", "body": plain, "format": "org.matrix.custom.html", "formatted_body": html}

    def _on_reaction(self, room: Any, event: Any) -> None:
        options = options_of_emoji(str(event.key))
        if self._on_click is None or options is None or is_history(event, self._connected_at):
            return
        chosen = options

        def find() -> Click:
            sender = self._bot.build_identifier(str(event.sender))
            where = sender if _is_direct(room) else self._bot.query_room(str(room.room_id))
            return Click(sender, where, str(event.reacts_to), chosen, named=str(room.room_id))

        self._on_click(find)


def _is_direct(room: Any) -> bool:
    """Whether a room of nio is a conversation of two people."""
    return len(room.users) <= 2 and not room.is_named and room.join_rule == "invite"


def _refusal(status: int, answer: Mapping[str, Any]) -> SendError:
    code = str(answer.get("errcode", ""))
    code = code if _CODE.fullmatch(code) else str(status)
    if code == "M_LIMIT_EXCEEDED" or status == requests.codes.too_many_requests:
        wait = amount(answer.get("retry_after_ms"))
        return SendLimited("Matrix wants fewer messages.", _DEFAULT_WAIT if wait is None else wait / 1000)
    if status >= requests.codes.internal_server_error:
        return NotConnected(f"The Matrix server failed ({code}).")
    if code in _TOKEN_REFUSED:
        return TokenRefused("Matrix", code)
    return _REFUSALS.get(code, SendError)(f"Matrix refused the message ({code}).")


def _mentions(mention: str) -> dict[str, Any]:
    """Whom a message mentions: only those in its `mention`, whatever the text says."""
    people = list(dict.fromkeys(_MENTION.findall(mention.replace("\\", ""))))
    room = {"room": True} if re.search(r"@room\b", mention) else {}
    return {**({"user_ids": people} if people else {}), **room}


def _in_thread(root: str) -> dict[str, Any]:
    if not root:
        return {}
    answered = {"event_id": root}
    return {
        "m.relates_to": {"rel_type": "m.thread", **answered, "is_falling_back": True, "m.in_reply_to": dict(answered)}
    }

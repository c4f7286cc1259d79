"""Zulip, by the client of its backend (github.com/zulip/errbot-backend-zulip, package `zulip` 0.9.1). Experimental.

Each problem has a topic of its own, which is its thread; updates go to the topic where its notification is now. Calls,
events and limits are those of zulip.com/api; codes of refusals are those of zerver/lib/exceptions.py in zulip/zulip.
The backend posts without a topic and swallows refusals, and its client repeats calls by itself. So we call the API with
a copy of the client that does not repeat, and get reactions by an event queue of our own.
"""

from __future__ import annotations

import copy
import io
import json
import logging
import re
from collections.abc import Mapping
from typing import Any

import requests
from urllib3.exceptions import NewConnectionError

from errbot_sentry.chat.clicks import Click, OnClick
from errbot_sentry.chat.networks.errbot_network import Capabilities, ErrbotNetwork, File
from errbot_sentry.chat.networks.zulip_events import ReactionEvents
from errbot_sentry.chat.render.escaping import defuse, plain
from errbot_sentry.domain.errors import NotAdmitted, NotConnected, RoomUnknown, SendError, SendLimited, TokenRefused
from errbot_sentry.domain.issue_actions import Options, options_of_emoji
from errbot_sentry.domain.json_values import amount
from errbot_sentry.domain.outgoing import Card, Outgoing
from errbot_sentry.server.http.body import answers_within, limit_answers

log = logging.getLogger(__name__)

_TIMEOUT = 15.0
_FILE_TIMEOUT = 60.0
_DEFAULT_WAIT = 10.0
_LIMIT = 9000  # Zulip cuts at 10000 characters
_LONGEST_TOPIC = 58  # Zulip cuts at 60; two are for the mark of a resolved topic
_GENERAL = "Sentry"
_TOKEN_REFUSED = frozenset(
    {"UNAUTHORIZED", "INVALID_API_KEY", "USER_DEACTIVATED", "REALM_DEACTIVATED", "AUTHENTICATION_FAILED"}
)
_MENTION_REFUSED = frozenset({"STREAM_WILDCARD_MENTION_NOT_ALLOWED", "TOPIC_WILDCARD_MENTION_NOT_ALLOWED"})
_DOWN = frozenset({502, 503})  # Zulip's web server answers, but not the application behind it
_CODE = re.compile(r"[A-Z_]{1,60}")
_ADDRESS = re.compile(r"[^@\s]+@[^@\s]+")
# As `_topic_of` begins one; people put the mark before a topic when they resolve it (zerver/lib/topic.py).
_OF_A_PROBLEM = re.compile(r"(?:✔ )?[A-Z0-9_-]+-[A-Z0-9]+(?: |$)")


class ZulipNetwork(ErrbotNetwork):
    """One organization."""

    capabilities = Capabilities(confirms=True, threads=True, edits=True, reactions=True, files=True)

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._client = self._copy()
        self._events: ReactionEvents | None = None

    def listen(self, on_click: OnClick) -> None:
        super().listen(on_click)
        if self._events is None:
            self._events = ReactionEvents(self._copy(), self._on_reaction)
            self._events.start()

    def close(self) -> None:
        super().close()
        if self._events is not None:
            self._events.stop()
            self._events = None

    def _trouble(self) -> str:
        """What our event queue reports; the backend has the same trouble with its own, and does not report it."""
        return self._events.trouble if self._events is not None else ""

    def room_named(self, name: str) -> str:
        """`ops`, also for `#ops`, `#**ops**` and `Ops`: Zulip ignores case, and has a spelling of its own."""
        if _ADDRESS.fullmatch(name):
            return name
        channel = name.removeprefix("#")
        if any(sign in channel.replace("**", "") for sign in "*?["):
            return channel
        channel = channel.removeprefix("**").removesuffix("**")
        try:
            names = [str(each["name"]) for each in self._call("GET", "streams")["streams"]]
        except (SendError, LookupError, TypeError) as error:
            log.warning("the names of Zulip's channels are not known: %r", error)
            return channel
        return next((each for each in names if each.casefold() == channel.casefold()), channel)

    def complete(self, msg: Any) -> None:
        """Add the thread to a message in a problem's topic: the bot's first message there, the notification."""
        topic = str(getattr(msg.to, "subject", "") or "")
        if msg.is_direct or not _OF_A_PROBLEM.match(topic):
            return
        place = {"stream": msg.to.title, "topic": topic, "sender": self._bot.client.email}
        narrow = [{"operator": operator, "operand": operand} for operator, operand in place.items()]
        values = {"anchor": "oldest", "num_before": 0, "num_after": 1, "narrow": narrow}
        try:
            found = self._call("GET", "messages", values)["messages"]
        except (SendError, LookupError) as error:
            log.warning("the beginning of a topic was not found: %s", error)
            return
        if found:
            msg.extras["thread_ts"] = str(found[0]["id"])

    def _copy(self) -> Any:
        """A copy of the backend's client that does not repeat calls."""
        client = copy.copy(self._bot.client)
        client.session, client.retry_on_errors = None, False
        client.ensure_session()
        limit_answers(client.session)
        return client

    def _limit(self) -> int:
        return _LIMIT

    def _find(self, room: str) -> Any:
        """The backend's room or person. Makes no request: an unknown channel is refused when something is posted."""
        if _ADDRESS.fullmatch(room):
            return self._bot.build_identifier(room)
        return self._channel(room)

    def _channel(self, name: str, topic: str | None = None) -> Any:
        """The backend's room with its id, which `query_room` leaves out and which it prints."""
        return type(self._bot.query_room(name))(title=name, id=name, subject=topic, client=self._bot.client)

    def _post(self, target: Any, message: Outgoing, thread: str) -> str:
        place, first = self._place(target, thread, message.card), ""
        for body in self._layout.messages(message.whole):
            try:
                sent = self._send(place, body)
            except _MentionRefused as error:
                if first or not message.mention:
                    raise
                log.warning("%s It is sent without.", error)
                return self._post(target, message.unmentioned(), thread)
            first = first or sent
        return first

    def _edit(self, target: Any, sent_id: str, message: Outgoing) -> None:
        del target
        content = self._layout.messages(message.whole)[0]
        self._call("PATCH", f"messages/{int(sent_id)}", {"content": content})

    def _upload(self, target: Any, file: File, thread: str) -> None:
        """Upload by the client: the backend posts the file in the room's general topic."""
        content = io.BytesIO(file.content)
        content.name = file.name  # where the client looks for it
        found = self._call("POST", "user_uploads", files=[content], timeout=_FILE_TIMEOUT)
        address = str(found.get("url") or found.get("uri") or "")  # Zulip 9 renamed it
        self._send(self._place(target, thread), f"[{self._escape.text(file.name)}]({address})")

    def _place(self, target: Any, thread: str, card: Card | None = None) -> dict[str, Any]:
        """The target for `POST /messages`; a channel's name is JSON, or Zulip would take `7` for an id."""
        if hasattr(target, "emails"):
            return {"type": "private", "to": list(target.emails)}
        topic = self._topic_now(thread) if thread else target.subject
        return {"type": "stream", "to": json.dumps(target.title), "topic": topic or _topic_of(card)}

    def _topic_now(self, thread: str) -> str:
        """The present topic of a notification, since people can rename topics; "" if the notification was deleted."""
        try:
            return str(self._message(int(thread))["subject"])
        except _Refused as error:
            log.info("message %s of Zulip: %s", thread, error)
            return ""

    def _message(self, number: int) -> Mapping[str, Any]:
        try:
            message: Mapping[str, Any] = self._call("GET", f"messages/{number}")["message"]
        except LookupError as error:
            raise SendError("Zulip's answer has no message.") from error
        return message

    def _send(self, place: Mapping[str, Any], content: str) -> str:
        number = self._call("POST", "messages", {**place, "content": content}).get("id")
        if not number:
            raise SendError("Zulip did not take the message.")
        return str(number)

    def _call(
        self,
        method: str,
        path: str,
        values: Mapping[str, Any] | None = None,
        files: list[io.BytesIO] | None = None,
        timeout: float = _TIMEOUT,
    ) -> dict[str, Any]:
        """Call the API; its refusals become our errors."""
        try:
            with answers_within(timeout):
                found: dict[str, Any] = self._client.call_endpoint(
                    url=path, method=method, request=dict(values or {}), files=files, timeout=timeout
                )
        except requests.ConnectionError as error:
            if isinstance(error, requests.ConnectTimeout) or _never_connected(error):
                raise NotConnected("Zulip cannot be reached.") from error
            raise SendError("Zulip did not answer.") from error
        except Exception as error:  # the connection broke: the message may have been taken
            raise SendError("Zulip did not answer.") from error
        if found.get("result") != "success":
            raise _refusal(found)
        return found

    def _on_reaction(self, event: Mapping[str, Any]) -> None:
        """The event `reaction` (zulip.com/api/get-events). Emoji are read by code, because Zulip has its own names."""
        if event.get("op") != "add" or event.get("reaction_type") != "unicode_emoji" or self._on_click is None:
            return
        emoji = "".join(chr(int(part, 16)) for part in str(event["emoji_code"]).split("-"))
        options = options_of_emoji(emoji)
        if options is None:
            return
        chosen, message, user = options, int(event["message_id"]), int(event["user_id"])
        self._on_click(lambda: self._click(chosen, message, user))

    def _click(self, options: Options, number: int, user_id: int) -> Click | None:
        message = self._message(number)
        if message["type"] != "stream" or message["sender_email"] != self._bot.client.email:
            return None
        user = self._call("GET", f"users/{user_id}")["user"]
        email, name = str(user["email"]), str(user["full_name"])
        person = type(self._bot.build_identifier(email))(
            id=email, full_name=name, emails=[email], client=self._bot.client
        )

        def whisper(text: str) -> bool:
            self._send({"type": "private", "to": [user_id]}, text)
            return True

        room = self._channel(str(message["display_recipient"]), str(message["subject"]))
        return Click(person, room, str(number), options, {"thread_ts": str(number)}, whisper)


class _Refused(SendError):
    """Zulip's `BAD_REQUEST`: most of its refusals have no code of their own."""


class _MentionRefused(NotAdmitted):
    """The bot may not mention a whole channel or topic."""


def _refusal(found: Mapping[str, Any]) -> SendError:
    """Our error for a failed call; `http-error` is the client's code if the answer is not JSON (zulip/__init__.py)."""
    if found.get("status_code") in _DOWN:
        return NotConnected("Zulip is down.")
    code = str(found.get("code", ""))
    code = code if _CODE.fullmatch(code) else str(found.get("status_code") or "unknown error")
    if code == "RATE_LIMIT_HIT":
        wait = amount(found.get("retry-after"))
        return SendLimited("Zulip wants fewer messages.", _DEFAULT_WAIT if wait is None else wait)
    if code in _TOKEN_REFUSED:
        return TokenRefused("Zulip", code)
    if code == "STREAM_DOES_NOT_EXIST":
        return RoomUnknown("Zulip has no such channel.")
    if code in _MENTION_REFUSED:
        return _MentionRefused("Zulip does not let the bot mention so many people.")
    words = plain(found.get("msg", ""), 120)
    if code == "BAD_REQUEST" and words.casefold().startswith("not authorized"):  # the text is in the bot's language
        return NotAdmitted(f"Zulip refused the message ({words}).")
    return (_Refused if code == "BAD_REQUEST" else SendError)(f"Zulip refused the message ({words or code}).")


def _never_connected(error: requests.ConnectionError) -> bool:
    return any(isinstance(getattr(each, "reason", None), NewConnectionError) for each in error.args)


def _topic_of(card: Card | None) -> str:
    """The topic for a problem, which begins with its short id. Messages about none or many share one topic.

    Zulip refuses characters that cannot be shown (check_stream_topic in zerver/lib/string_validation.py).
    """
    name = card.name if card is not None else ""
    shown = "".join(each for each in defuse(plain(name)) if each.isprintable() or each == "\u200b")
    if len(shown) > _LONGEST_TOPIC:
        shown = shown[: _LONGEST_TOPIC - 1].rstrip() + "…"
    return shown or _GENERAL

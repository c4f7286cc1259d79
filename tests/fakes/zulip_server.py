"""A stand-in for a Zulip server, as far as the `zulip` client package 0.9.1 asks for it: one bot, channels and people.

Every endpoint as zulip.com/api describes it (its page names are in the methods below), refusals as
zulip.com/api/rest-error-handling: HTTP 4xx with `{"result": "error", "code", "msg"}`, a rate limit 429 with
`Retry-After` and `retry-after`. Too long words are cut by the server, not refused (`normalize_body` and
`truncate_topic` in zulip/zulip, zerver/lib/message.py).
"""

from __future__ import annotations

import json
import threading
import unicodedata
from base64 import b64decode
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from tests.fakes.http_server import HttpServer, Reply, Request, as_json
from tests.fakes.websocket import reset
from tests.fakes.zulip_queues import EventQueues, uploaded

BOT, BOT_EMAIL, API_KEY = 1, "sentry-bot@zulip.test", "an-api-key"
MESSAGE_LIMIT, TOPIC_LIMIT = 10_000, 60
_CUT = "\n[message truncated]"
# tools/setup/emoji/emoji_names.py in zulip/zulip.
_CODES = {"check": "2705", "eyes": "1f440", "mute": "1f507"}


class Refusal(Exception):
    """The server says no."""

    def __init__(self, code: str, msg: str, status: int = 400, **more: Any) -> None:
        super().__init__(code)
        self.status, self.answer = status, {"result": "error", "code": code, "msg": msg, **more}


@dataclass
class ZulipMessage:
    """A message as it stands now. `channel` is "" for a direct one, whose people are `to` (user ids with the sender's).

    `contents` and `topics` are every version; `reactions` are (emoji name, user id) in the order they came.
    """

    id: int
    sender: int
    channel: str
    topics: list[str]
    to: list[int]
    contents: list[str]
    reactions: list[tuple[str, int]] = field(default_factory=list)

    @property
    def content(self) -> str:
        return self.contents[-1]

    @property
    def topic(self) -> str:
        return self.topics[-1]


class ZulipServer(HttpServer):
    """One organization: `users` (id to email and name), `channels` (name to id), `messages` in the order they came.

    Nobody may post to the channels of `closed`; `refuse` and `limit` make an endpoint fail. `lose_answer` resets the
    connection after the call took effect, and `offline = True` resets every connection.
    """

    def __init__(self) -> None:
        super().__init__(self._answer)
        self.users = {
            BOT: (BOT_EMAIL, "Sentry bot"),
            8: ("ann@zulip.test", "Ann"),
            9: ("bob@zulip.test", "Bob"),
        }
        self.channels = {"ops": 21, "web": 22}
        self.closed: set[str] = set()
        self.messages: list[ZulipMessage] = []
        self.uploads: dict[str, bytes] = {}
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.queues = EventQueues(self.stopping)
        self.offline = False
        self._refusals: dict[str, list[Refusal]] = {}
        self._lost: list[str] = []
        self._guard = threading.RLock()

    # What a test does

    def say(self, person: int, content: str, channel: str = "", topic: str = "") -> ZulipMessage:
        """Somebody writes into a topic of a channel, or (without a channel) to the bot alone."""
        with self._guard:
            return self._add(person, content, channel, topic, [] if channel else sorted({person, BOT}))

    def react(self, person: int, message: ZulipMessage, emoji: str, op: str = "add") -> None:
        """Somebody puts an emoji (by name: `check`) under a message, or (`op` "remove") takes it away."""
        with self._guard:
            if op == "add":
                message.reactions.append((emoji, person))
            else:
                message.reactions.remove((emoji, person))
            user = {"user_id": person, "email": self.users[person][0], "full_name": self.users[person][1]}
            # zulip.com/api/get-events, "reaction add"
            self.queues.put(
                {
                    "type": "reaction",
                    "op": op,
                    "emoji_name": emoji,
                    "emoji_code": _CODES.get(emoji, "1f642"),
                    "reaction_type": "unicode_emoji",
                    "user_id": person,
                    "user": user,
                    "message_id": message.id,
                }
            )

    def in_topic(self, channel: str, topic: str) -> list[ZulipMessage]:
        """What stands in a topic, oldest first."""
        return [each for each in self.messages if (each.channel, each.topic) == (channel, topic)]

    def called(self, endpoint: str) -> list[dict[str, Any]]:
        """What an endpoint ("POST messages") was called with so far."""
        return [values for name, values in self.calls if name == endpoint]

    def refuse(self, endpoint: str, refusal: Refusal, times: int = 1) -> None:
        """The next calls of an endpoint ("POST messages") are refused."""
        self._refusals[endpoint] = [refusal] * times

    def allow(self) -> None:
        """No call is refused any more."""
        self._refusals.clear()

    def lose_answer(self, endpoint: str) -> None:
        """Carry out the next call of an endpoint, but reset the connection instead of answering."""
        self._lost.append(endpoint)

    def limit(self, endpoint: str, retry_after: float, times: int = 1) -> None:
        """The next calls of an endpoint meet the rate limit, with its wait in seconds."""
        words = "API usage exceeded rate limit"
        self.refuse(endpoint, Refusal("RATE_LIMIT_HIT", words, 429, **{"retry-after": retry_after}), times)

    # What the server answers

    def _answer(self, request: Request) -> Reply:
        if self.offline:
            return Reply(raw=reset)
        try:
            found = self._found(request)
            if (name := _name_of(request)) in self._lost:
                self._lost.remove(name)
                return Reply(raw=reset)
        except Refusal as refusal:
            wait = refusal.answer.get("retry-after")
            return as_json(refusal.answer, refusal.status, **({} if wait is None else {"Retry_After": str(wait)}))
        return as_json({"result": "success", "msg": "", **found})

    def _found(self, request: Request) -> dict[str, Any]:
        segments, values, name = request.segments[2:], _values(request), _name_of(request)
        if name != "GET server_settings" and not _knows_the_key(request):
            raise Refusal("INVALID_API_KEY", "Invalid API key", 401)
        if name == "GET events":  # it waits: not while it holds the guard
            return self._get_events(values)
        with self._guard:
            self.calls.append((name, values))
            if self._refusals.get(name):
                raise self._refusals[name].pop()
            handler = getattr(self, "_" + name.lower().replace(" ", "_").replace("/", "_"), None)
            if handler is None:
                raise Refusal("BAD_REQUEST", f"The stand-in has no {name}", 404)
            number = next((int(each) for each in segments if each.isdigit()), 0)
            found: dict[str, Any] = handler({**values, "id": number, "request": request})
            return found

    def _get_server_settings(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"zulip_version": "11.4", "zulip_feature_level": 421, "realm_uri": self.url, "realm_url": self.url}

    def _get_users_me(self, _: dict[str, Any]) -> dict[str, Any]:
        email, name = self.users[BOT]
        return {"user_id": BOT, "email": email, "full_name": name, "is_bot": True}

    def _get_users(self, _: dict[str, Any]) -> dict[str, Any]:
        members = [{"user_id": key, "email": email, "full_name": name} for key, (email, name) in self.users.items()]
        return {"members": members}

    def _get_users_n(self, values: dict[str, Any]) -> dict[str, Any]:
        """get-user."""
        if values["id"] not in self.users:
            raise Refusal("BAD_REQUEST", "No such user")
        email, name = self.users[values["id"]]
        return {"user": {"user_id": values["id"], "email": email, "full_name": name}}

    def _get_messages_n(self, values: dict[str, Any]) -> dict[str, Any]:
        """get-message."""
        return {"message": self._wire(self._message(values["id"]))}

    def _get_messages(self, values: dict[str, Any]) -> dict[str, Any]:
        """get-messages: from the oldest of what the narrow lets through."""
        assert values["anchor"] == "oldest"
        narrow = {each["operator"]: each["operand"] for each in json.loads(values["narrow"])}
        found = [
            self._wire(each)
            for each in self.in_topic(narrow["stream"], narrow["topic"])
            if self.users[each.sender][0] == narrow["sender"]
        ]
        return {"messages": found[: int(values["num_after"])], "found_newest": True}

    def _get_streams(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"streams": [{"name": name, "stream_id": key, "description": ""} for name, key in self.channels.items()]}

    def _get_get_stream_id(self, values: dict[str, Any]) -> dict[str, Any]:
        return {"stream_id": self.channels[self._channel(values["stream"])]}

    def _post_register(self, values: dict[str, Any]) -> dict[str, Any]:
        """register-queue."""
        types = json.loads(values["event_types"]) if values.get("event_types") else None
        return {"queue_id": self.queues.register(types), "last_event_id": -1, "max_message_id": len(self.messages)}

    def _get_events(self, values: dict[str, Any]) -> dict[str, Any]:
        """get-events: waits until there is one, or at most for a heartbeat."""
        queue = values["queue_id"]
        events = self.queues.wait(queue, int(values["last_event_id"]), block=values.get("dont_block") != "true")
        if events is None:
            raise Refusal("BAD_EVENT_QUEUE_ID", f"Bad event queue ID: {queue}", queue_id=queue)
        return {"events": events, "queue_id": queue}

    def _post_messages(self, values: dict[str, Any]) -> dict[str, Any]:
        """send-message."""
        content, to = values.get("content", "").rstrip(), values["to"]
        if not content:
            raise Refusal("BAD_REQUEST", "Message must not be empty")
        if values["type"] in ("stream", "channel"):
            channel = self._channel(to)
            if channel in self.closed:
                raise Refusal("BAD_REQUEST", f"Not authorized to send to channel '{channel}'")
            topic = values.get("topic") or values.get("subject") or ""
            for place, sign in enumerate(topic):  # check_stream_topic, zerver/lib/string_validation.py
                if unicodedata.category(sign) in ("Cc", "Cs", "Cn"):
                    raise Refusal("BAD_REQUEST", f"Invalid character in topic, at position {place + 1}!")
            return {"id": self._add(BOT, content, channel, topic, []).id}
        people = [self._person(each) for each in json.loads(to)]
        return {"id": self._add(BOT, content, "", "", sorted({BOT, *people})).id}

    def _patch_messages_n(self, values: dict[str, Any]) -> dict[str, Any]:
        """update-message: words, topic or both."""
        message = self._message(values["id"])
        if message.sender != BOT and "content" in values:
            raise Refusal("BAD_REQUEST", "You don't have permission to edit this message")
        if "content" in values:
            message.contents.append(_cut(values["content"].rstrip(), MESSAGE_LIMIT, _CUT))
        if "topic" in values:
            message.topics.append(_cut(values["topic"], TOPIC_LIMIT, "..."))
        return {}

    def _delete_messages_n(self, values: dict[str, Any]) -> dict[str, Any]:
        self.messages.remove(self._message(values["id"]))
        return {}

    def _post_messages_n_reactions(self, values: dict[str, Any]) -> dict[str, Any]:
        """add-reaction."""
        message, emoji = self._message(values["id"]), values["emoji_name"]
        if (emoji, BOT) in message.reactions:
            raise Refusal("REACTION_ALREADY_EXISTS", "Reaction already exists.")
        self.react(BOT, message, emoji)
        return {}

    def _delete_messages_n_reactions(self, values: dict[str, Any]) -> dict[str, Any]:
        """remove-reaction."""
        message, emoji = self._message(values["id"]), values["emoji_name"]
        if (emoji, BOT) not in message.reactions:
            raise Refusal("REACTION_DOES_NOT_EXIST", "Reaction doesn't exist.")
        self.react(BOT, message, emoji, "remove")
        return {}

    def _post_user_uploads(self, values: dict[str, Any]) -> dict[str, Any]:
        """upload-file: the answer's address goes into a message as a link."""
        name, content = uploaded(values["request"])
        address = f"/user_uploads/1/{len(self.uploads):02}/{name}"
        self.uploads[address] = content
        return {"uri": address, "url": address, "filename": name}

    def _channel(self, named: str) -> str:
        """A channel by its name or id, which may come quoted as JSON."""
        text = str(json.loads(named)) if named[:1] in '"0123456789' else named
        for name, key in self.channels.items():
            if text in (name, str(key)):
                return name
        raise Refusal("STREAM_DOES_NOT_EXIST", f"Channel '{text}' does not exist", stream=text)

    def _person(self, named: Any) -> int:
        for key, (email, _) in self.users.items():
            if named in (key, email):
                return key
        raise Refusal("BAD_REQUEST", f"Invalid email '{named}'")

    def _message(self, number: int) -> ZulipMessage:
        for message in self.messages:
            if message.id == number:
                return message
        raise Refusal("BAD_REQUEST", "Invalid message(s)")

    def _add(self, sender: int, content: str, channel: str, topic: str, to: list[int]) -> ZulipMessage:
        content, topic = _cut(content, MESSAGE_LIMIT, _CUT), _cut(topic, TOPIC_LIMIT, "...")
        message = ZulipMessage(100 + len(self.messages), sender, channel, [topic], to, [content])
        self.messages.append(message)
        self.queues.put({"type": "message", "message": self._wire(message), "flags": []})
        return message

    def _wire(self, message: ZulipMessage) -> dict[str, Any]:
        """As in zulip.com/api/get-events, "message"; the topic is still called `subject` there."""
        email, name = self.users[message.sender]
        people = [{"id": key, "email": self.users[key][0], "full_name": self.users[key][1]} for key in message.to]
        place: dict[str, Any] = {"type": "private", "display_recipient": people, "subject": ""}
        if message.channel:
            place = {"type": "stream", "display_recipient": message.channel, "subject": message.topic}
            place["stream_id"] = self.channels[message.channel]
        who = {"sender_id": message.sender, "sender_email": email, "sender_full_name": name, "client": "website"}
        what = {"content": message.content, "content_type": "text/x-markdown", "timestamp": 1760000000}
        return {"id": message.id, "reactions": [], **place, **who, **what}


def _name_of(request: Request) -> str:
    """`PATCH messages/N`: the path after /api/v1."""
    return f"{request.method} {'/'.join('N' if each.isdigit() else each for each in request.segments[2:])}"


def _cut(text: str, limit: int, mark: str) -> str:
    return text if len(text) <= limit else text[: limit - len(mark)] + mark


def _knows_the_key(request: Request) -> bool:
    scheme, _, coded = request.headers.get("authorization", "").partition(" ")
    return scheme == "Basic" and b64decode(coded).decode() == f"{BOT_EMAIL}:{API_KEY}"


def _values(request: Request) -> dict[str, Any]:
    values: dict[str, Any] = dict(request.query)
    if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        values.update(parse_qsl(request.body.decode(), keep_blank_values=True))
    return values

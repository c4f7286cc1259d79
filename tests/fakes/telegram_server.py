"""A stand-in for Telegram's Bot API, as far as python-telegram-bot 13.15 and an adapter of ours use it.

Methods, fields and limits: core.telegram.org/bots/api. The words of refusals: github.com/tdlib/telegram-bot-api.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.http_server import Reply, Request, as_json
from tests.fakes.network_server import WAIT_SECONDS, Call, NetworkServer, Upload
from tests.fakes.telegram_text import CAPTION_LIMIT, REACTIONS, TEXT_LIMIT, Refused, check_text, keyboard_of
from tests.waiting import until

TOKEN = "123456:ABC-DEF"
BOT, ANN, BOB = 123456, 1001, 1002
OPS, FORUM, OLD = -1001000000001, -1001000000002, -1003
TOPIC = 77  # of FORUM; the general topic has no number in messages
_BY_DEFAULT = {"message", "edited_message", "callback_query", "my_chat_member", "channel_post", "poll"}


@dataclass
class Sent:
    """A message as it stands now; `texts` is every version. A picture's text is its caption."""

    id: int
    chat: int
    sender: int
    texts: list[str]
    parse_mode: str = ""
    reply_to: int | None = None
    topic: int | None = None
    keyboard: list[list[dict[str, Any]]] = field(default_factory=list)
    file: Upload | None = None
    kind: str = "text"  # or photo, document
    values: dict[str, Any] = field(default_factory=dict)  # all that was asked
    reactions: dict[int, list[str]] = field(default_factory=dict)  # by whom

    @property
    def text(self) -> str:
        return self.texts[-1]

    @property
    def buttons(self) -> dict[str, str]:
        """Words on the buttons to their callback data."""
        return {each["text"]: each.get("callback_data", "") for row in self.keyboard for each in row}


class TelegramServer(NetworkServer):
    """Calls are named by their method: "sendMessage". Who never wrote to the bot (not in `started`) gets nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.people = {ANN: "ann", BOB: "bob"}
        self.groups = {OPS: "ops", FORUM: "forum", OLD: "old"}
        self.topics = {FORUM: {TOPIC}}
        self.moved = {OLD: OPS}  # groups that became a supergroup with another id
        self.kicked: set[int] = set()
        self.started = {ANN}
        self.privacy = False  # what a bot has until its owner disables it; here it receives everything all the same
        self.sent: list[Sent] = []
        self.answered: list[dict[str, Any]] = []  # answerCallbackQuery
        self.allowed = set(_BY_DEFAULT)  # kinds of updates, as the bot last asked for
        self._updates: list[dict[str, Any]] = []
        self._last_update = 0
        self._queries: set[str] = set()
        self._cuts = 0
        self._polls = 0  # long polls that are open

    @property
    def base_url(self) -> str:
        """For telegram.Bot."""
        return f"{self.url}/bot"

    def in_chat(self, chat: int = OPS) -> list[Sent]:
        """What the bot sent to a group or person, oldest first."""
        return [sent for sent in list(self.sent) if sent.chat == chat and sent.sender == BOT]

    def say(self, person: int, text: str, chat: int = 0, topic: int | None = None, reply_to: int | None = None) -> Sent:
        """Somebody types into a group, or (without `chat`) to the bot."""
        with self._guard:
            sent = self._keep(Sent(0, chat or person, person, [text], topic=topic, reply_to=reply_to))
            self.started.add(person)
            self._tell("message", self._shown(sent))
        return sent

    def edit(self, sent: Sent, text: str) -> None:
        """Somebody changes what they typed."""
        with self._guard:
            sent.texts.append(text)
            self._tell("edited_message", {**self._shown(sent), "edit_date": 1760000001})

    def click(self, person: int, sent: Sent, button: str) -> str:
        """Somebody clicks the button with these words; the id of the query, which `answered` names later."""
        with self._guard:
            query = str(len(self._queries) + 1)
            self._queries.add(query)
            data = {"id": query, "from": self._person(person), "message": self._shown(sent), "chat_instance": "1"}
            self._tell("callback_query", {**data, "data": sent.buttons[button]})
        return query

    def react(self, person: int, sent: Sent, *emojis: str) -> bool:
        """Somebody sets their reactions; False where the bot did not ask for such updates, and so gets none."""
        with self._guard:
            old, sent.reactions[person] = sent.reactions.get(person, []), list(emojis)
            payload = {"chat": self._chat(sent.chat), "message_id": sent.id, "user": self._person(person)}
            payload |= {"date": 1760000000, "old_reaction": _emojis(old), "new_reaction": _emojis(emojis)}
            return self._tell("message_reaction", payload)

    def wait_for_poll(self, timeout: float = WAIT_SECONDS) -> None:
        """Wait until the bot has a long poll open."""
        until(lambda: self._polls, timeout, "a long poll")

    def cut(self) -> None:
        """Reset the long poll that is open."""
        super().cut()
        self._cuts += 1

    def refusal(self, status: int, *, words: str = "", retry_after: int = 1, **parameters: Any) -> Reply:
        """`words`: the description, a usual one by default; `retry_after`: seconds, of a 429."""
        if status == 429:
            parameters["retry_after"] = retry_after
        usual = {
            400: "Bad Request: chat not found",
            403: "Forbidden: bot was kicked from the supergroup chat",
            409: "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running",
            429: f"Too Many Requests: retry after {retry_after}",
        }
        said = {"ok": False, "error_code": status, "description": words or usual.get(status, "Internal Server Error")}
        return as_json({**said, "parameters": parameters} if parameters else said, status)

    def name_of(self, request: Request) -> str:
        return request.path.rpartition("/")[2]

    def waits(self, call: Call) -> bool:
        if call.name != "getUpdates":
            return True
        cuts, end = self._cuts, time.monotonic() + float(call.values.get("timeout", 0))
        with self._guard:
            if wanted := call.values.get("allowed_updates"):
                self.allowed = set(json.loads(wanted) if isinstance(wanted, str) else wanted)
            after = int(call.values.get("offset", 0))
            self._updates = [each for each in self._updates if each["update_id"] >= after]
            self._polls += 1
        gone = False
        while not (gone or self._updates) and time.monotonic() < end:
            gone = self._cuts != cuts or self.offline or self.stopping.wait(0.02)
        with self._guard:
            self._polls -= 1
        return not gone and self._cuts == cuts

    def carry_out(self, call: Call, request: Request) -> Reply:
        if not request.path.startswith(f"/bot{TOKEN}/"):
            return self.refusal(401, words="Unauthorized")
        methods: dict[str, Callable[[Call], Any]] = {
            "getMe": lambda _: {
                **self._person(BOT),
                "can_join_groups": True,
                "can_read_all_group_messages": not self.privacy,
            },
            "getUpdates": lambda _: list(self._updates),
            "getChat": lambda call: self._chat(self._known(call)),
            "sendMessage": self._send_message,
            "sendPhoto": lambda call: self._send_file(call, "photo"),
            "sendDocument": lambda call: self._send_file(call, "document"),
            "editMessageText": self._edit_text,
            "editMessageReplyMarkup": self._edit_keyboard,
            "answerCallbackQuery": self._answer_query,
            "setMessageReaction": self._set_reaction,
        }
        handler = methods.get(call.name)
        if handler is None:
            return self.refusal(404, words="Not Found")
        try:
            return as_json({"ok": True, "result": handler(call)})
        except Refused as reason:
            return self.refusal(reason.status, words=reason.words, **reason.parameters)

    def _tell(self, kind: str, value: dict[str, Any]) -> bool:
        if kind not in self.allowed:
            return False
        self._last_update += 1
        self._updates.append({"update_id": self._last_update, kind: value})
        return True

    def _keep(self, sent: Sent) -> Sent:
        sent.id = len(self.sent) + 1
        self.sent.append(sent)
        return sent

    def _known(self, call: Call) -> int:
        """The chat that a call is about. Raises Refused."""
        chat = int(call.values["chat_id"])
        if chat in self.moved:
            words = "Bad Request: group chat was upgraded to a supergroup chat"
            raise Refused(400, words, migrate_to_chat_id=self.moved[chat])
        if chat in self.kicked:
            raise Refused(403, "Forbidden: bot was kicked from the supergroup chat")
        if chat in self.people and chat not in self.started:
            raise Refused(403, "Forbidden: bot can't initiate conversation with a user")
        if chat not in self.people and chat not in self.groups:
            raise Refused(400, "Bad Request: chat not found")
        return chat

    def _message(self, call: Call, words: str) -> Sent:
        chat, number = self._known(call), int(call.values["message_id"])
        for sent in self.sent:
            if (sent.chat, sent.id) == (chat, number):
                return sent
        raise Refused(400, f"Bad Request: message {words} not found")

    def _send_message(self, call: Call) -> dict[str, Any]:
        return self._send(call, "text", "text", TEXT_LIMIT)

    def _send_file(self, call: Call, kind: str) -> dict[str, Any]:
        if kind not in call.files:
            raise Refused(400, f"Bad Request: there is no {kind} in the request")
        return self._send(call, kind, "caption", CAPTION_LIMIT)

    def _send(self, call: Call, kind: str, where: str, limit: int) -> dict[str, Any]:
        chat, values = self._known(call), call.values
        text = check_text(str(values.get(where, "")), values, limit, caption=kind != "text")
        topic = int(values["message_thread_id"]) if values.get("message_thread_id") else None
        if topic is not None and topic not in self.topics.get(chat, ()):
            raise Refused(400, "Bad Request: message thread not found")
        reply_to = int(values["reply_to_message_id"]) if values.get("reply_to_message_id") else None
        if reply_to and (chat, reply_to) not in {(sent.chat, sent.id) for sent in self.sent}:
            if values.get("allow_sending_without_reply") not in (True, "True", "true"):
                raise Refused(400, "Bad Request: message to be replied not found")
            reply_to = None
        sent = Sent(0, chat, BOT, [text], values.get("parse_mode", ""), reply_to, topic, keyboard_of(values), kind=kind)
        sent.file, sent.values = call.files.get(kind), values
        return self._shown(self._keep(sent))

    def _edit_text(self, call: Call) -> dict[str, Any]:
        sent, values = self._message(call, "to edit"), call.values
        if sent.sender != BOT:
            raise Refused(400, "Bad Request: message can't be edited")
        text, keyboard = check_text(str(values.get("text", "")), values, TEXT_LIMIT), keyboard_of(values)
        if (text, keyboard) == (sent.text, sent.keyboard):
            words = "specified new message content and reply markup are exactly the same as a current content"
            raise Refused(400, f"Bad Request: message is not modified: {words} and reply markup of the message")
        sent.texts.append(text)
        sent.parse_mode, sent.keyboard = values.get("parse_mode", ""), keyboard  # no markup takes the buttons away
        return self._shown(sent)

    def _edit_keyboard(self, call: Call) -> dict[str, Any]:
        sent = self._message(call, "to edit")
        sent.keyboard = keyboard_of(call.values)
        return self._shown(sent)

    def _answer_query(self, call: Call) -> bool:
        if call.values["callback_query_id"] not in self._queries:
            raise Refused(400, "Bad Request: query is too old and response timeout expired or query ID is invalid")
        self.answered.append(call.values)
        return True

    def _set_reaction(self, call: Call) -> bool:
        sent, asked = self._message(call, "to react"), call.values.get("reaction") or []
        emojis = [each["emoji"] for each in (json.loads(asked) if isinstance(asked, str) else asked)]
        if len(emojis) > 1 or not REACTIONS.issuperset(emojis):
            raise Refused(400, "Bad Request: REACTION_INVALID")
        sent.reactions[BOT] = emojis
        return True

    def _person(self, key: int) -> dict[str, Any]:
        name = "sentrybot" if key == BOT else self.people[key]
        return {"id": key, "is_bot": key == BOT, "first_name": name.title(), "username": name}

    def _chat(self, key: int) -> dict[str, Any]:
        if key > 0:
            return {"id": key, "type": "private", "first_name": self.people[key].title(), "username": self.people[key]}
        forum = {"is_forum": True} if key in self.topics else {}
        return {"id": key, "type": "supergroup", "title": self.groups[key], **forum}

    def _shown(self, sent: Sent) -> dict[str, Any]:
        said = {"message_id": sent.id, "chat": self._chat(sent.chat), "from": self._person(sent.sender)}
        said |= {"date": 1760000000, "caption" if sent.file else "text": sent.text}
        if sent.topic is not None:
            said |= {"message_thread_id": sent.topic, "is_topic_message": True}
        # In a topic, what replies to nothing replies to the message that opened the topic.
        if above := sent.reply_to or sent.topic:
            said["reply_to_message"] = {"message_id": above, "chat": said["chat"], "date": 1760000000}
        if sent.keyboard:
            said["reply_markup"] = {"inline_keyboard": sent.keyboard}
        if sent.file:
            file = {"file_id": f"f{sent.id}", "file_unique_id": f"u{sent.id}", "file_size": len(sent.file.content)}
            said[sent.kind] = [{**file, "width": 1, "height": 1}] if sent.kind == "photo" else file
        return said


def _emojis(emojis: Any) -> list[dict[str, str]]:
    return [{"type": "emoji", "emoji": emoji} for emoji in emojis]

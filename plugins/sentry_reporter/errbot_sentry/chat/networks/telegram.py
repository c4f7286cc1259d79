"""Telegram, by the client of Errbot's own backend (python-telegram-bot 13.15, `bot.telegram`): HTML, buttons, replies.

Methods, fields and limits are those of core.telegram.org/bots/api; the texts of refusals are those of
github.com/tdlib/telegram-bot-api. A room is a chat's number, and a topic of a group is `-1001234567890/45`.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from cachetools import FIFOCache

from errbot_sentry.chat.clicks import Click, OnClick
from errbot_sentry.chat.errbot_patches.telegram_updates import Place, updates_of
from errbot_sentry.chat.networks.errbot_network import Capabilities, ErrbotNetwork, File
from errbot_sentry.chat.networks.telegram_html import card_html, html_of, plain_text
from errbot_sentry.chat.render.escaping import plain
from errbot_sentry.domain.errors import MessageTooLong, NotAdmitted, RoomUnknown, SendError, SendLimited, TokenRefused
from errbot_sentry.domain.issue_actions import ARCHIVE, ARCHIVE_CHOICES, options_of, options_of_emoji
from errbot_sentry.domain.locks import Lock
from errbot_sentry.domain.outgoing import OPEN_BUTTONS, Button, Card, Outgoing

log = logging.getLogger(__name__)

_TIMEOUT = 15.0
_FILE_TIMEOUT = 60.0
# Telegram takes 4096, and counts characters beyond U+FFFF twice.
_LIMIT = 3500
_LONGEST_ANSWER = 200  # of answerCallbackQuery
_ROW = 2  # buttons beside each other; more are cut on a phone
_MENU, _BACK = "archive_menu", "back"
# Telegram has a fixed set of reactions, without ✅ and 🔇.
_REACTIONS = {"🎉": "✅", "😴": "🔇"}
_REMEMBERED = 1000

_REFUSALS: tuple[tuple[str, type[SendError]], ...] = (
    ("chat not found", RoomUnknown),
    ("thread not found", RoomUnknown),
    ("topic_deleted", RoomUnknown),
    ("chat was deleted", RoomUnknown),
    ("deactivated", RoomUnknown),
    ("too long", MessageTooLong),
    ("text is empty", MessageTooLong),
    ("forbidden", NotAdmitted),
    ("rights", NotAdmitted),
    ("topic_closed", NotAdmitted),
    ("chat_write_forbidden", NotAdmitted),
    ("chat_restricted", NotAdmitted),
)


class TelegramNetwork(ErrbotNetwork):
    """The chats of one bot."""

    capabilities = Capabilities(
        confirms=True, threads=True, edits=True, cards=True, buttons=True, reactions=True, files=True
    )

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._topics: FIFOCache[tuple[int, str], int] = FIFOCache(
            _REMEMBERED
        )  # of sent messages; reactions do not name them
        self._topics_lock = Lock()

    def listen(self, on_click: OnClick) -> None:
        super().listen(on_click)
        updates = updates_of(self._bot)
        if updates is not None:
            updates.listener = self._on_update
        else:  # without updates no click would arrive
            self.capabilities = replace(self.capabilities, buttons=False, reactions=False)

    def close(self) -> None:
        super().close()
        updates = updates_of(self._bot)
        if updates is not None and updates.listener == self._on_update:
            updates.listener = None

    def _trouble(self) -> str:
        updates = updates_of(self._bot)
        return updates.trouble if updates is not None else ""

    def status(self) -> tuple[str, ...]:
        """With privacy on, the bot gets only messages that begin with / (core.telegram.org/bots/features)."""
        me = getattr(self._bot.telegram, "_bot", None)  # from the backend's getMe; `bot` would make another request
        hidden = me is not None and not me.can_read_all_group_messages
        hint = "privacy mode is on: in groups commands reach only a bot that is an administrator"
        return (*super().status(), *((hint,) if hidden else ()))

    def complete(self, msg: Any) -> None:
        """Add the topic and the message that was answered, which the backend drops."""
        updates, number = updates_of(self._bot), msg.extras.get("message_id")
        if updates is None or number is None:
            return
        place = updates.place_of(int((msg.frm if msg.is_direct else msg.to).id), int(number))
        if place.topic:
            msg.to.message_thread_id = place.topic
        if place.reply_to:
            msg.extras["reply_to_message_id"] = place.reply_to

    def reply(self, msg: Any, text: str) -> bool:
        """Reply as HTML, in the topic and under the command; False if Errbot is set to change or divert replies."""
        config = self._bot.bot_config
        if config.DIVERT_TO_PRIVATE or config.DIVERT_TO_THREAD or config.GROUPCHAT_NICK_PREFIXED:
            return False
        target, under = (msg.frm, "") if msg.is_direct else (msg.to, str(msg.extras.get("message_id", "")))
        try:
            self._post_text(target, text, under)
        except SendError as error:
            log.warning("a reply was not taken: %s", error)
        return True

    def _on_update(self, update: Mapping[str, Any]) -> None:
        if self._on_click is None:
            return
        if "callback_query" in update:
            self._on_click(lambda: self._click(update["callback_query"]))
        elif "message_reaction" in update:
            self._on_click(lambda: self._reaction(update["message_reaction"]))

    def _click(self, query: Any) -> Click | None:
        """The click of a `CallbackQuery` (core.telegram.org/bots/api#callbackquery).

        Each query has to be answered, or the button spins. A client can make up the data, so it has only an action.
        """
        answer = _Answer(self, str(query["id"]))
        message = query.get("message") or {}
        name, _, choice = str(query.get("data", "")).partition(":")
        options = options_of(name, choice)
        if options is None or not message:
            answer.end()
            if name in (_MENU, _BACK) and message:
                self._turn_menu(message, str(query["data"]))
            return None
        number = str(message["message_id"])
        room = self._room(message["chat"], Place.of(message).topic)
        sender = self._person(query["from"])
        return Click(sender, room, number, options, {"message_id": int(number)}, answer.say, answer.end)

    def _reaction(self, reaction: Any) -> Click | None:
        """The click of a `MessageReactionUpdated`; None for a reaction in the name of a group or channel."""
        before = [each.get("emoji") for each in reaction["old_reaction"]]
        added = [each.get("emoji") for each in reaction["new_reaction"] if each.get("emoji") not in before]
        found = (options_of_emoji(_REACTIONS.get(emoji, emoji)) for emoji in added if emoji)
        options = next((each for each in found if each is not None), None)
        if options is None or "user" not in reaction:
            return None
        chat, number = reaction["chat"], str(reaction["message_id"])
        room = self._room(chat, self._topics.get((int(chat["id"]), number), 0))
        return Click(self._person(reaction["user"]), room, number, options, {"message_id": int(number)})

    def _turn_menu(self, message: Any, data: str) -> None:
        """Show what `Archive` offers, or the other buttons again, if the message has the button that was clicked.

        The data of the menu's way back has the buttons that it replaced, because not every server has all of them.
        """
        rows = (message.get("reply_markup") or {}).get("inline_keyboard") or []
        shown = [str(each.get("callback_data")) for row in rows for each in row]
        if data not in shown:
            return
        name, _, before = data.partition(":")
        buttons = tuple(each for each in OPEN_BUTTONS if _data(each.action) in before.split(","))
        place = {"chat_id": message["chat"]["id"], "message_id": message["message_id"]}
        markup = _archive_menu(shown) if name == _MENU else _keyboard(buttons)
        try:
            self._call("edit_message_reply_markup", **place, reply_markup=markup)
        except SendError as error:
            log.info("the menu of message %s: %s", place["message_id"], error)

    def _person(self, user: Any) -> Any:
        """The identifier of a `User`. `build_identifier` makes one without names, so we call its class."""
        names = {name: user.get(name) for name in ("first_name", "last_name", "username")}
        return type(self._bot.build_identifier("1"))(id=user["id"], **names)

    def _room(self, chat: Any, topic: int) -> Any:
        return self._find(f"{chat['id']}/{topic}" if topic else str(chat["id"]))

    def _find(self, room: str) -> Any:
        """The backend's room. Makes no request: a wrong number is refused when something is posted."""
        chat, _, topic = room.partition("/")
        found = self._bot.build_identifier(chat)
        if topic:
            found.message_thread_id = int(topic)
        return found

    def _is_up(self) -> bool:
        return self._bot.telegram is not None

    def _limit(self) -> int:
        return _LIMIT

    def _post(self, target: Any, message: Outgoing, thread: str) -> str:
        if message.card is None:
            return super()._post(target, message, thread)
        return self._send(target, self._card_values(message.card, message.mention), thread)

    def _post_text(self, target: Any, body: str, thread: str) -> str:
        return self._send(target, {"text": html_of(body)}, thread)

    def _edit(self, target: Any, sent_id: str, message: Outgoing) -> None:
        """Edit a message with its buttons, because an edit without them removes them."""
        card = message.card
        values = {"text": html_of(message.whole)} if card is None else self._card_values(card, message.mention)
        try:
            self._call_with_text("edit_message_text", chat_id=target.id, message_id=int(sent_id), **values)
        except _NotModified:
            log.debug("message %s says that already", sent_id)

    def _upload(self, target: Any, file: File, thread: str) -> None:
        """Upload by the library: the backend takes no media type (errbot/backends/telegram_messenger.py, line 431)."""
        kind = "photo" if file.media_type in ("image/png", "image/jpeg") else "document"
        values = {"filename": file.name, kind: io.BytesIO(file.content), "timeout": _FILE_TIMEOUT}
        self._call(f"send_{kind}", **self._place(target, thread), **values)

    def _send(self, target: Any, values: Mapping[str, Any], thread: str) -> str:
        number = str(self._call_with_text("send_message", **self._place(target, thread), **values).message_id)
        if topic := getattr(target, "message_thread_id", 0):
            with self._topics_lock:
                self._topics[int(target.id), number] = topic
        return number

    def _place(self, target: Any, thread: str) -> dict[str, Any]:
        """The chat, the topic and the message to reply to; if that message was deleted, there is no reply."""
        under = {"reply_to_message_id": int(thread), "allow_sending_without_reply": True} if thread.isdecimal() else {}
        topic = getattr(target, "message_thread_id", None)
        return {"chat_id": target.id, **({"message_thread_id": topic} if topic else {}), **under}

    def _card_values(self, card: Card, mention: str) -> dict[str, Any]:
        values: dict[str, Any] = {"text": card_html(replace(card, link=self._escape.href(card.link)), mention)}
        return {**values, "reply_markup": _keyboard(card.buttons)} if self.capabilities.buttons else values

    def _call_with_text(self, method: str, *, text: str, **values: Any) -> Any:
        """Call a method with HTML, or with plain text if Telegram cannot read the HTML, so that no alert is lost."""
        values["disable_web_page_preview"] = True
        try:
            return self._call(method, text=text, parse_mode="HTML", **values)
        except _MarkupRefused as error:
            log.warning("%s It is sent as plain text.", error)
            return self._call(method, text=plain_text(text), **values)

    def _call(self, method: str, **values: Any) -> Any:
        """Call the Bot API; its refusals become our errors, without their causes, which contain the bot's token."""
        from telegram.error import TelegramError  # only where the backend's library is installed

        try:
            return getattr(self._bot.telegram, method)(**{"timeout": _TIMEOUT, **values})
        except TelegramError as error:
            raise _refusal(error) from None
        except Exception as error:  # noqa: BLE001 - the connection broke: nobody knows whether it was taken
            log.info("Telegram did not answer: %s", type(error).__name__)
            raise SendError("Telegram did not answer.") from None


class _NotModified(SendError):
    """The edit changes nothing."""


class _MarkupRefused(SendError):
    """Telegram cannot read the HTML."""


@dataclass
class _Answer:
    """The one answer to a click, which only the person who clicked sees."""

    network: TelegramNetwork
    query: str
    given: bool = False

    def say(self, text: str) -> bool:
        """Show Markdown; False if there was an answer already."""
        if self.given:
            return False
        self._give(text=plain(plain_text(html_of(text)), _LONGEST_ANSWER), show_alert=True)
        return True

    def end(self) -> None:
        """Answer without a text, unless there was an answer already."""
        if not self.given:
            try:
                self._give()
            except SendError as error:
                log.info("a click could not be answered: %s", error)

    def _give(self, **values: Any) -> None:
        self.given = True
        self.network._call("answer_callback_query", callback_query_id=self.query, **values)  # noqa: SLF001 - its part


def _refusal(error: Any) -> SendError:
    """Our error for one of python-telegram-bot, which has only a text: codes and parameters are lost."""
    from telegram.error import BadRequest, ChatMigrated, InvalidToken, RetryAfter, Unauthorized

    if isinstance(error, RetryAfter):
        return SendLimited("Telegram wants fewer messages.", float(error.retry_after))
    if isinstance(error, ChatMigrated):
        return RoomUnknown(f"The group became a supergroup: write {error.new_chat_id} for it in config.py.")
    # 404 and 401, to every method. 403 is of the same class, and begins with "Forbidden" (telegram/utils/request.py).
    if isinstance(error, InvalidToken) or str(error).casefold() == "unauthorized":
        return TokenRefused("Telegram", "Unauthorized")
    if not isinstance(error, (BadRequest, Unauthorized)):
        return SendError("Telegram did not answer.")
    words = plain(str(error), 120)
    folded = words.casefold()
    if "not modified" in folded:
        return _NotModified(words)
    if "can't parse" in folded:
        return _MarkupRefused("Telegram cannot read the message's HTML.")
    kind = next((kind for part, kind in _REFUSALS if part in folded), SendError)
    return kind(f"Telegram refused the message ({words}).")


def _keyboard(buttons: tuple[Button, ...]) -> dict[str, Any]:
    """An InlineKeyboardMarkup; without buttons an empty one."""
    keys = [
        {"text": each.label + (" ▾" if each.action == ARCHIVE else ""), "callback_data": _data(each.action)}
        for each in buttons
    ]
    return {"inline_keyboard": [keys[at : at + _ROW] for at in range(0, len(keys), _ROW)]}


def _data(action: str) -> str:
    return _MENU if action == ARCHIVE else action


def _archive_menu(before: list[str]) -> dict[str, Any]:
    keys = [{"text": text, "callback_data": f"{ARCHIVE}:{value}"} for value, text in ARCHIVE_CHOICES.items()]
    rows = [keys[at : at + _ROW] for at in range(0, len(keys), _ROW)]
    return {"inline_keyboard": [*rows, [{"text": "◂ Back", "callback_data": f"{_BACK}:{','.join(before)}"}]]}

"""Clicks and reactions on Telegram reach us, and updates that Errbot cannot read no longer end as errors in its log.

The bot is also back within seconds after Telegram is.

Errbot 6.2.1: the backend reads `message` of each update and nothing else (errbot/backends/telegram_messenger.py, lines
260 to 274). A click or an edited message ends there in `'NoneType' object has no attribute 'text'`. Of a message it
drops the topic and what it replies to (lines 284 to 318). python-telegram-bot 13.15 drops reactions altogether.
Without Telegram, Errbot waits longer before each try to connect, up to ten minutes (errbot/backends/base.py, lines 810
to 817), also when Telegram has long been back.

Change: the library's call for updates asks for messages, clicks and reactions only. Clicks and reactions go to our
adapter, and are confirmed to Telegram by the next call: the backend does not see them. Of messages, topic and reply
are remembered until the command is run. Errbot tries to connect every five to eight seconds.

Undone: the library gets its own method back, and Errbot its longest wait. A call that waits at that time passes on its
messages; its clicks come again with the next one.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cachetools import FIFOCache

log = logging.getLogger(__name__)

Update = Mapping[str, Any]

_WANTED = ["message", "callback_query", "message_reaction"]
_LONGEST_WAIT = 5  # seconds, to which Errbot adds up to three
_REMEMBERED = 1000  # messages; a command is run within seconds


@dataclass(frozen=True)
class Place:
    """Where in a group a message was typed: in which topic, under which message; 0 for none."""

    topic: int = 0
    reply_to: int = 0

    @classmethod
    def of(cls, message: Update) -> Place:
        """The place in a `Message` (core.telegram.org/bots/api#message): in groups without topics, `message_thread_id`
        is the first message of a chain of replies."""
        topic = int(message.get("message_thread_id") or 0) if message.get("is_topic_message") else 0
        reply_to = int((message.get("reply_to_message") or {}).get("message_id") or 0)
        return cls(topic, 0 if reply_to == topic else reply_to)  # in a topic all reply to the message that opened it


class TelegramUpdates:
    """What Telegram reports beside texts. Filled in the receiving thread."""

    def __init__(self) -> None:
        self.listener: Callable[[Update], None] | None = None
        """Takes clicks and reactions as Telegram sends them, and returns at once."""
        self.trouble = ""
        """Why no updates come, although the bot is connected; "" where they do."""
        self.undone = False
        self._next = 0
        self._places: FIFOCache[tuple[int, int], Place] = FIFOCache(_REMEMBERED)  # other threads only read it

    def place_of(self, chat: int, message: int) -> Place:
        """Where in the chat a message was typed."""
        return self._places.get((chat, message), Place())

    def poll(self, call: Callable[[dict[str, Any]], Any], values: Mapping[str, Any]) -> list[Update]:
        """Ask for updates by `call`; those that the backend can read."""
        asked = {**values, "offset": max(int(values.get("offset") or 0), self._next), "allowed_updates": _WANTED}
        try:
            found = call(asked)
        except Exception as error:  # whatever it is, it is trouble
            self.trouble = _trouble(error)
            raise
        self.trouble = ""
        for update in () if self.undone else found:
            self._take(update)
        return [update for update in found if "message" in update]

    def _take(self, update: Update) -> None:
        self._next = int(update["update_id"]) + 1
        try:
            if "message" not in update:
                if self.listener is not None:
                    self.listener(update)
            elif (place := Place.of(update["message"])) != Place():
                message = update["message"]
                self._places[(int(message["chat"]["id"]), int(message["message_id"]))] = place
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            log.warning("an update from Telegram of another shape: %r", error)


def updates_of(bot: Any) -> TelegramUpdates | None:
    """What this bot is told beside texts; None where the patch is not applied."""
    found: TelegramUpdates | None = getattr(bot, "sentry_updates", None)
    return found


def is_telegram(bot: Any) -> bool:
    """Whether this is the bot object of Errbot's own Telegram backend."""
    return hasattr(bot, "telegram") and "telegram" in sys.modules


def read_all_updates(bot: Any) -> Callable[[], None]:
    """Have the updates of this bot pass through a TelegramUpdates; returns what undoes that.

    The backend makes a new client at each connect, so it is the client's class that is changed.
    """
    client_class = sys.modules["telegram"].Bot
    original = client_class._post  # noqa: SLF001 - getUpdates hands out parsed objects, which lack reactions and topics
    updates = TelegramUpdates()
    longest_wait = bot._reconnection_max_delay  # noqa: SLF001 - no setting changes it

    def post(client: Any, endpoint: str, data: Any = None, *args: Any, **named: Any) -> Any:
        if endpoint != "getUpdates" or client is not bot.telegram:
            return original(client, endpoint, data, *args, **named)
        return updates.poll(lambda asked: original(client, endpoint, asked, *args, **named), data or {})

    def undo() -> None:
        updates.undone = True
        bot._reconnection_max_delay = longest_wait  # noqa: SLF001 - as above
        updates.listener = None
        if client_class._post is post:  # noqa: SLF001 - as above
            client_class._post = original  # noqa: SLF001 - as above
        if updates_of(bot) is updates:
            del bot.sentry_updates

    client_class._post = post  # noqa: SLF001 - as above
    bot._reconnection_max_delay = _LONGEST_WAIT  # noqa: SLF001 - as above
    bot.sentry_updates = updates
    return undo


def _trouble(error: Exception) -> str:
    """Telegram hands each update to one program (HTTP 409 for the other); any other error passes with the reconnect."""
    if type(error).__name__ != "Conflict":
        return ""
    return "another program or a webhook takes this bot's updates, so it reads nothing; stop that one"

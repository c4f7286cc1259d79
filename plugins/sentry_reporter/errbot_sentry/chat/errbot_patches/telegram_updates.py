"""Brings us clicks and reactions on Telegram, and keeps updates that Errbot cannot read from being logged as errors.

The bot also reconnects within seconds when Telegram is back.

Errbot 6.2.1: the backend reads only `message` of each update (errbot/backends/telegram_messenger.py, lines 260 to 274).
For a click or an edited message this fails with `'NoneType' object has no attribute 'text'`. The backend drops the
topic of a message, and which message it replies to (lines 284 to 318). python-telegram-bot 13.15 drops all reactions.
While Telegram cannot be reached, Errbot waits longer after each try to connect, up to ten minutes
(errbot/backends/base.py, lines 810 to 817). So the bot may still wait when Telegram has long been back.

Change: the library's call for updates asks only for messages, clicks and reactions. Clicks and reactions go to our
adapter, and the next call confirms them to Telegram; the backend does not see them. A message's topic and the message
that it replies to are remembered until the command is run. Errbot tries to connect every five to eight seconds.

Undone: the library gets its own method back, and Errbot its longest wait. If a call is waiting at that time, it still
passes its messages on; Telegram sends its clicks again with the next call.
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
_LONGEST_WAIT = 5  # seconds; Errbot adds up to three
_REMEMBERED = 1000  # messages; this is enough, because a command is run within seconds


@dataclass(frozen=True)
class Place:
    """Where in a group a message was typed: the ids of its topic and of the message that it replies to (0: none)."""

    topic: int = 0
    reply_to: int = 0

    @classmethod
    def of(cls, message: Update) -> Place:
        """The place of a `Message` (core.telegram.org/bots/api#message).

        In groups without topics, `message_thread_id` is the first message of a chain of replies.
        """
        topic = int(message.get("message_thread_id") or 0) if message.get("is_topic_message") else 0
        reply_to = int((message.get("reply_to_message") or {}).get("message_id") or 0)
        return cls(topic, 0 if reply_to == topic else reply_to)  # in a topic, every message replies to the first one


class TelegramUpdates:
    """Handles what Telegram reports besides text. The receiving thread calls `poll`."""

    def __init__(self) -> None:
        self.listener: Callable[[Update], None] | None = None
        """Called with each click and reaction as Telegram sends it; must return at once."""
        self.trouble = ""
        """Why no updates arrive although the bot is connected; "" if they do."""
        self.undone = False
        self._next = 0
        self._places: FIFOCache[tuple[int, int], Place] = FIFOCache(_REMEMBERED)  # other threads only read it

    def place_of(self, chat: int, message: int) -> Place:
        """Where in the chat a message was typed."""
        return self._places.get((chat, message), Place())

    def poll(self, call: Callable[[dict[str, Any]], Any], values: Mapping[str, Any]) -> list[Update]:
        """Ask for updates with `call`. Returns those that the backend can read."""
        asked = {**values, "offset": max(int(values.get("offset") or 0), self._next), "allowed_updates": _WANTED}
        try:
            found = call(asked)
        except Exception as error:  # any error of the library is noted
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
    """This bot's TelegramUpdates; None if the patch is not applied."""
    found: TelegramUpdates | None = getattr(bot, "sentry_updates", None)
    return found


def is_telegram(bot: Any) -> bool:
    """Whether this bot object is Errbot's own Telegram backend."""
    return hasattr(bot, "telegram") and "telegram" in sys.modules


def read_all_updates(bot: Any) -> Callable[[], None]:
    """Pass this bot's updates through a TelegramUpdates. Returns a function that undoes the change.

    The backend makes a new client each time it connects, so the patch changes the client's class.
    """
    client_class = sys.modules["telegram"].Bot
    original = client_class._post  # noqa: SLF001 - getUpdates returns parsed objects, which lack reactions and topics
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
    """The sentence about an error if people must act; "" if the error ends when the bot reconnects.

    Telegram gives each update to only one program, and answers any other with HTTP 409.
    """
    if type(error).__name__ != "Conflict":
        return ""
    return "another program or a webhook takes this bot's updates, so it reads nothing; stop that one"

"""Messages on XMPP are sent at once.

Errbot 6.2.1: `send_message` passes a message to slixmpp in the thread of its caller (errbot/backends/xmpp.py, lines 571
to 586). slixmpp writes the message only when its event loop wakes up for another reason. Commands run in a pool of
threads, so replies wait too, in a quiet room for a minute or two. Seen with prosody and slixmpp 1.8.6; upstream:
https://github.com/errbotio/errbot/issues/1598 and https://github.com/errbotio/errbot/issues/1757.

Change: `send_message` of the bot object wakes the loop after each message.

Undone: the bot object gets its own method back.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any


def has_loop(bot: Any) -> bool:
    """Whether this bot's client has an event loop that other threads can wake. Only XMPP's has one."""
    return hasattr(_loop_of(bot), "call_soon_threadsafe")


def flush_after_sends(bot: Any) -> Callable[[], None]:
    """Wake the loop of this bot object's client after each message. Returns a function that undoes the change."""
    loop = _loop_of(bot)
    original = bot.send_message

    def send_message(message: Any) -> None:
        original(message)
        with suppress(RuntimeError):  # the loop is closed, because the bot ends
            loop.call_soon_threadsafe(lambda: None)

    def undo() -> None:
        if vars(bot).get("send_message") is send_message:
            del bot.send_message

    bot.send_message = send_message
    return undo


def _loop_of(bot: Any) -> Any:
    return getattr(getattr(getattr(bot, "conn", None), "client", None), "loop", None)

"""Errbot's XMPP backend writes what other threads send only when its loop wakes for another reason.

Commands run in a pool, so their answers wait too: in a quiet room for up to a minute (errbot-facts, section 4; seen
with prosody and slixmpp 1.8.6). So the loop is woken after each message.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any


def flush_after_sends(bot: Any) -> Callable[[], None]:
    """Wake the loop of this bot object's client after each message; returns what takes that back.

    Backends that have no such loop are left as they are.
    """
    loop = getattr(getattr(getattr(bot, "conn", None), "client", None), "loop", None)
    if loop is None or not hasattr(loop, "call_soon_threadsafe"):
        return lambda: None
    original = bot.send_message

    def send_message(message: Any) -> None:
        original(message)
        with suppress(RuntimeError):  # the loop is closed: the bot is at its end
            loop.call_soon_threadsafe(lambda: None)

    def undo() -> None:
        if vars(bot).get("send_message") is send_message:
            del bot.send_message

    bot.send_message = send_message
    return undo

"""Telling a drop of the chat network from the other reasons for which Errbot deactivates a plugin."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any


def chat_dropped() -> bool:
    """Whether this call comes from Errbot's reaction to a lost connection, or from its end.

    Errbot has no word for it: the backend calls `disconnect_callback`, which deactivates every plugin, and activates
    them again when it is connected anew. At the bot's end the same is called, and then `shutdown`; so who stays
    because of a drop must go `at_shutdown`. `!plugin deactivate` and reloads do not come this way.
    """
    frame = sys._getframe(1)  # noqa: SLF001 - the documented way to look at one's callers
    while frame.f_back is not None:
        if frame.f_code.co_name == "disconnect_callback":
            return True
        frame = frame.f_back
    return False


def at_shutdown(bot: Any, act: Callable[[], None]) -> Callable[[], None]:
    """Have `act` called when this bot object is shut down; returns what takes that back."""
    original = bot.shutdown

    def shutdown() -> None:
        act()
        original()

    def undo() -> None:
        if vars(bot).get("shutdown") is shutdown:
            del bot.shutdown

    bot.shutdown = shutdown
    return undo

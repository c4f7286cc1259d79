"""Tells whether the plugin is deactivated because the chat network dropped, and closes it when the bot really ends.

Errbot 6.2.1: a backend that loses its connection calls `disconnect_callback`, which deactivates every plugin and gives
no reason (errbot/core.py, lines 841 to 843). Errbot activates the plugins again after the reconnect. When the bot ends,
Errbot calls the same callback first, and then `shutdown` (errbot/core.py, line 868). `!plugin deactivate` and reloads
do not use this callback.

Change: `shutdown` of the bot object closes the plugin first. So the plugin can stay open when the chat network drops,
and its own web listener still answers (docs/adr/0005-go-on-while-the-chat-network-is-away.md). Errbot's storage is
closed even if the backend's part of `shutdown` fails; Mattermost's, for example, logs out first.

Undone: the bot object gets its own method back.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from errbot.storage import StoreNotOpenError


def chat_dropped() -> bool:
    """Whether Errbot makes this call because the connection was lost, or because the bot ends.

    Errbot does not say which of the two it is. A caller that stays open must close `at_shutdown`.
    """
    return is_called_by("disconnect_callback")


def bot_ends() -> bool:
    """Whether the bot is ending and so leaves the network itself, which loses none of its last messages.

    The call stack shows it. When the bot ends, the backend's `serve_forever` calls `disconnect_callback` itself
    (errbot/backends/xmpp.py, line 599). On IRC it calls the connection's `disconnect`, and the event of that calls
    `disconnect_callback`. When the connection is lost, the backend's loop stands between the two in the stack.
    """
    frame = sys._getframe(1)  # noqa: SLF001 - the documented way to inspect the callers
    called = ""
    while frame.f_back is not None:
        name = frame.f_code.co_name
        if name == "serve_forever" and called in ("disconnect_callback", "disconnect"):
            return True
        called, frame = name, frame.f_back
    return False


def is_called_by(name: str) -> bool:
    """Whether a function of this name is among the callers."""
    frame = sys._getframe(1)  # noqa: SLF001 - the documented way to inspect the callers
    while frame.f_back is not None:
        if frame.f_code.co_name == name:
            return True
        frame = frame.f_back
    return False


def has_never_connected(bot: Any) -> bool:
    """Whether no plugin is active yet. Errbot activates them once it has connected (errbot/core.py, lines 827-839)."""
    return not any(plugin.is_activated for plugin in list(bot.plugin_manager.plugins.values()))


def close_storage(bot: Any) -> None:
    """Close those storages of Errbot that are still open, as its own `shutdown` does (errbot/core.py, line 868)."""
    for owner in (bot, bot.plugin_manager, bot.repo_manager):
        with suppress(StoreNotOpenError):
            owner.close_storage()


def at_shutdown(bot: Any, act: Callable[[], None]) -> Callable[[], None]:
    """Call `act` when this bot object is shut down. Returns a function that undoes the change."""
    original = bot.shutdown

    def shutdown() -> None:
        act()
        try:
            original()
        finally:
            close_storage(bot)

    def undo() -> None:
        if vars(bot).get("shutdown") is shutdown:
            del bot.shutdown

    bot.shutdown = shutdown
    return undo

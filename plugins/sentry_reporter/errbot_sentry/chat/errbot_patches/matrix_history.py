"""Matrix: old commands are not run again after a reconnect, and a command knows its thread.

Errbot 6.2.1: Errbot runs every command that a backend passes to it (errbot/core.py, line 742, `callback_message`). At
each start and reconnect, the first sync contains the recent messages of each room. errbot-backend-matrix 0.0.1 passes
these on too (err_backend_matrix/matrix.py, `async_run` and `on_room_message`). It drops the information to which thread
a message belongs.

Change: messages that are older than the connection are dropped. Their age comes from the server, so the clocks of bot
and server need not agree. The id of the thread's root is put into the message's extras.

Undone: the backend's own methods are called again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def is_history(event: Any, connected_at: float) -> bool:
    """Whether an event of nio is older than the connection (a time of `time.monotonic`)."""
    age = event.source.get("unsigned", {}).get("age")
    return isinstance(age, int | float) and age / 1000 > time.monotonic() - connected_at


def is_matrix(bot: Any) -> bool:
    """Whether this bot object is the Matrix backend."""
    return str(getattr(bot, "mode", "")) == "matrix" and hasattr(bot, "on_room_message")


def skip_history(bot: Any) -> Callable[[], None]:
    """Drop old messages, and note the thread of new ones. Returns a function that undoes the change."""
    on_room_message, callback, connect = bot.on_room_message, bot.callback_message, bot.connect_callback
    connected_at = time.monotonic()
    root = ""

    def connected() -> None:
        nonlocal connected_at
        connected_at = time.monotonic()
        connect()

    def arrived(room: Any, event: Any) -> None:
        nonlocal root
        if is_history(event, connected_at):
            return
        relation = event.source.get("content", {}).get("m.relates_to") or {}
        root = str(relation.get("event_id", "")) if relation.get("rel_type") == "m.thread" else ""
        try:
            on_room_message(room, event)  # calls `received`
        finally:
            root = ""  # messages that reach Errbot in another way do not belong to this thread

    def received(message: Any) -> None:
        if root:
            message.extras["thread_ts"] = root
        callback(message)

    bot.on_room_message, bot.callback_message, bot.connect_callback = arrived, received, connected

    def undo() -> None:
        del bot.on_room_message, bot.callback_message, bot.connect_callback

    return undo

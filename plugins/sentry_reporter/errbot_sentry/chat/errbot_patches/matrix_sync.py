"""Matrix: old commands are not run again, a command knows its thread, and a failed sync is repeated slowly.

Errbot 6.2.1: Errbot runs every command that a backend passes to it (errbot/core.py, line 742, `callback_message`). At
each start and reconnect, the first sync contains the recent messages of each room. errbot-backend-matrix 0.0.1 passes
these on too (err_backend_matrix/matrix.py, `async_run` and `on_room_message`). It drops the information to which thread
a message belongs. And it lets matrix-nio 0.26 sync for ever without a pause (`sync_forever`): while the server answers
with an error, as to a token that it has forgotten, the bot asks hundreds of times a second, and logs each answer.

Change: messages that are older than the connection are dropped. Their age comes from the server, so the clocks of bot
and server need not agree. The id of the thread's root is put into the message's extras. After a failed sync, nio waits.

Undone: the backend's own methods are called again, and nio waits no more.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

_PAUSE = 2.0  # seconds between failed syncs; also the end of the bot may wait for one


def is_history(event: Any, connected_at: float) -> bool:
    """Whether an event of nio is older than the connection (a time of `time.monotonic`)."""
    age = event.source.get("unsigned", {}).get("age")
    return isinstance(age, int | float) and age / 1000 > time.monotonic() - connected_at


def is_matrix(bot: Any) -> bool:
    """Whether this bot object is the Matrix backend."""
    return str(getattr(bot, "mode", "")) == "matrix" and hasattr(bot, "on_room_message")


class _Pauses:
    """Makes nio wait after each failed sync, until `end`."""

    def __init__(self) -> None:
        self._client: Any = None
        self._ended = False

    def add_to(self, client: Any) -> None:
        """Wait in the syncs of this client; None is no client."""
        if client is None or client is self._client:
            return
        from nio import SyncError  # only where Matrix's backend is installed

        self._client = client
        client.add_response_callback(self._wait, SyncError)

    def end(self) -> None:
        """Wait no more. nio itself cannot remove a callback."""
        self._ended = True

    async def _wait(self, _failure: Any) -> None:
        if not self._ended:
            await asyncio.sleep(_PAUSE)


def mend_sync(bot: Any) -> Callable[[], None]:
    """Drop old messages, note the thread of new ones, and repeat failed syncs slowly. Returns a function that undoes
    the change."""
    on_room_message, callback, connect = bot.on_room_message, bot.callback_message, bot.connect_callback
    connected_at = time.monotonic()
    root = ""
    pauses = _Pauses()
    pauses.add_to(bot.client)

    def connected() -> None:
        nonlocal connected_at
        connected_at = time.monotonic()
        pauses.add_to(bot.client)
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
        pauses.end()

    return undo

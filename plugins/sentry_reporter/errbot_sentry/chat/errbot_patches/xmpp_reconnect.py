"""XMPP: the bot reconnects, and notices a connection that has died silently.

Errbot 6.2.1: when the stream ends, Errbot deactivates its plugins (errbot/backends/xmpp.py, lines 567 to 569) and does
nothing more. The process goes on, but the bot never comes back. slixmpp does not ping by default.

Change: the bot reconnects with the same waits as on IRC (`irc_reconnect.py`), and pings the server as on IRC
(`irc_ping.py`), with the ping of XEP-0199. It forgets the rooms of the old stream, so that it joins each room again.

Undone: the bot does not reconnect and does not ping.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from errbot_sentry.chat.errbot_patches.irc_ping import TICK, SilenceWatch
from errbot_sentry.chat.errbot_patches.irc_reconnect import ANSWER_SECONDS, ReconnectWaits

log = logging.getLogger(__name__)


class _XmppReconnect:
    def __init__(self, bot: Any) -> None:
        self._bot = bot
        self._client = bot.conn.client
        self._loop = self._client.loop
        self._waits = ReconnectWaits()
        self._watch = SilenceWatch()
        self._received = self._client.data_received
        self._up = self._client.is_connected()
        self._next = time.monotonic() + ANSWER_SECONDS
        self._active = True
        self._events = {
            "connected": self._connected,
            "session_start": self._started,
            "disconnected": self._lost,
            "connection_failed": self._failed,
        }

    def start(self) -> None:
        for event, handler in self._events.items():
            self._client.add_event_handler(event, handler)
        self._client.data_received = self._receives
        self._bot.conn.seconds_of_silence = self._watch.silence
        self._loop.call_soon_threadsafe(self._tick)

    def stop(self) -> None:
        self._active = False
        for event, handler in self._events.items():
            self._client.del_event_handler(event, handler)
        vars(self._client).pop("data_received", None)
        vars(self._bot.conn).pop("seconds_of_silence", None)

    def _receives(self, data: bytes) -> None:
        self._watch.received()
        self._waits.spoke()
        self._received(data)

    def _connected(self, _event: Any) -> None:
        self._watch.begin()

    def _started(self, _event: Any) -> None:
        self._up = True

    def _lost(self, _event: Any) -> None:
        self._up = False
        for room in list(self._client.plugin["xep_0045"].rooms):
            forget_room(self._bot, room)
        self._plan()

    def _failed(self, _event: Any) -> None:
        self._client.cancel_connection_attempt()  # slixmpp would wait up to five minutes
        self._plan()

    def _plan(self) -> None:
        wait = self._waits.after_end()
        self._next = time.monotonic() + wait
        log.info("the XMPP server is not connected: the next try is in %.1f s", wait)

    def _tick(self) -> None:
        """Check the connection. The loop's thread calls this twice a second."""
        if not self._active or self._loop.is_closed():
            return
        self._loop.call_later(TICK, self._tick)
        if self._client.is_connected():
            self._ping()
        elif time.monotonic() >= self._next:
            self._next = time.monotonic() + ANSWER_SECONDS  # if nobody answers by then, the next try begins
            self._bot.conn.connected = False
            self._bot.conn.connect()

    def _ping(self) -> None:
        if self._watch.is_dead():
            self._client.abort()
        elif self._watch.asks() and self._up:
            host = self._client.boundjid.host
            ping = f'<iq type="get" id="{uuid.uuid4().hex}" to="{host}"><ping xmlns="urn:xmpp:ping"/></iq>'
            with suppress(Exception):  # the stream may end at this moment
                self._client.send_raw(ping)


def forget_room(bot: Any, room: str) -> None:
    """Let this bot object join a room again that it was in. slixmpp lists each room until the bot leaves it."""
    client = bot.conn.client
    # Errbot adds these handlers each time it joins, so without this it would have each of them twice.
    client.del_event_handler(f"muc::{room}::got_online", bot.user_joined_chat)
    client.del_event_handler(f"muc::{room}::got_offline", bot.user_left_chat)
    client.plugin["xep_0045"].rooms.pop(room, None)


def reconnect_xmpp(bot: Any) -> Callable[[], None]:
    """Apply the change described above to this bot object. Returns a function that undoes it."""
    reconnect = _XmppReconnect(bot)
    reconnect.start()
    return reconnect.stop

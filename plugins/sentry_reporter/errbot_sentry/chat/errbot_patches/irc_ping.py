"""IRC: the bot notices within seconds that a connection has died silently.

Errbot 6.2.1: the bot only waits for data (errbot/backends/irc.py, line 334) and answers the server's pings. If a cable
is pulled or a router forgets the connection, neither data nor an error arrives. The bot waits until the kernel gives up
on a line that the bot wrote, a quarter of an hour later. Everything that the bot says meanwhile is lost.

Change: if nothing was received for two and a half seconds, the bot pings the server. If nothing is received for four
more seconds, the bot closes the connection. It waits longer after it has sent many lines, because the server may slow
these down. If it has closed another connection in the last ten minutes, it waits longer, up to a minute, because then
the network is probably slow and not dead.

Undone: the bot does not ping any more.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from errbot_sentry.chat.errbot_patches.irc_reconnect import add_handler, remove_handler
from errbot_sentry.domain.clock import backoff

log = logging.getLogger(__name__)

TICK = 0.5
PING_AFTER = 2.5
ANSWER_WITHIN, LONGEST_ANSWER = 4.0, 60.0
# A server with flood control accepts five lines at once, and then one every two seconds (RFC 2813, section 5.8).
_FREE_LINES, _PER_LINE = 5, 2.0
_SOON = 600.0


class SilenceWatch:
    """Decides whether a connection is alive, by when data was received. For IRC and XMPP. Pure except for the clock."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._ended_at: float | None = None
        self._ended = 0
        self._mute = 0
        self._received_at = self._monotonic()
        self.begin()

    def begin(self) -> None:
        """Note that a new connection begins."""
        self._start()
        self._spoke = False

    def received(self) -> None:
        """Note that data was received."""
        self._start()
        self._received_at = self._quiet_since
        self._spoke = True
        self._mute = 0

    def _start(self) -> None:
        self._quiet_since = self._monotonic()
        self._asked = False
        self._lines = 0

    def said(self) -> None:
        """Note that a line was sent, which the server may take some time to process."""
        self._lines += 1

    def silence(self) -> float:
        """Seconds since data was received on any connection: a new one does not prove that the last line arrived."""
        return self._monotonic() - self._received_at

    def _quiet(self) -> float:
        return self._monotonic() - self._quiet_since

    def asks(self) -> bool:
        """Whether to ping the server now. True only once per silence."""
        if self._asked or self._quiet() < PING_AFTER:
            return False
        self._asked = True
        return True

    def is_dead(self) -> bool:
        """Whether to give this connection up. If so, the watch starts again for the next connection."""
        now = self._monotonic()
        if self._ended_at is not None and now - self._ended_at > _SOON:
            self._ended = 0
        # A server may look up our host name before it sends anything. Until it has sent something, it gets more time
        # with each try.
        patience = (
            backoff(self._ended + 1, ANSWER_WITHIN, LONGEST_ANSWER)
            if self._spoke
            else backoff(self._mute + 1, ANSWER_WITHIN, LONGEST_ANSWER, factor=1.5)
        )
        if not self._asked or self._quiet() < PING_AFTER + patience + _PER_LINE * max(0, self._lines - _FREE_LINES):
            return False
        log.warning("nothing came from the chat server for %.0f s: the connection is given up", self._quiet())
        if self._spoke:
            self._ended, self._ended_at = self._ended + 1, now
        else:
            self._mute += 1
        self.begin()
        return True


class _IrcPing:
    def __init__(self, conn: Any) -> None:
        self._conn = conn
        self._connection = conn.connection
        self._send_raw = conn.connection.send_raw
        self._active = True
        self.watch = SilenceWatch()

    def start(self) -> None:
        add_handler(self._connection, "all_raw_messages", self._arrived, -100)
        self._connection.send_raw = self._sends
        self._conn.seconds_of_silence = self.watch.silence
        self._tick()

    def stop(self) -> None:
        self._active = False
        remove_handler(self._connection, "all_raw_messages", self._arrived)
        vars(self._connection).pop("send_raw", None)
        vars(self._conn).pop("seconds_of_silence", None)

    def _arrived(self, connection: Any, _event: Any) -> None:
        if connection is self._connection:
            self.watch.received()

    def _sends(self, line: str) -> None:
        self.watch.said()
        self._send_raw(line)

    def _tick(self) -> None:
        """Check the connection. The library's own thread calls this twice a second."""
        if not self._active:
            return
        self._conn.reactor.scheduler.execute_after(TICK, self._tick)
        if not self._connection.is_connected():
            self.watch.begin()
        elif self.watch.asks():
            self._send_raw("PING :sentry-reporter")
        elif self.watch.is_dead():
            self._connection.disconnect("No answer")


def ping_in_silence(bot: Any) -> Callable[[], None]:
    """Watch the connection of this bot object. Returns a function that stops it."""
    ping = _IrcPing(bot.conn)
    ping.start()
    return ping.stop

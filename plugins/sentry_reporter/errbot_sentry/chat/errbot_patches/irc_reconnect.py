"""IRC: when the server comes back, the bot is back within seconds.

Errbot 6.2.1: the library's bot class reconnects by itself (errbot/backends/irc.py, line 334), with the library's own
waits of one to five minutes (irc/bot.py, `ExponentialBackoff`). Errbot reads IRC_RECONNECT_ON_DISCONNECT, but does not
use it (errbot/backends/irc.py, line 350). A try has no time limit of its own: if nobody answers, the kernel's limit of
two minutes ends it, and the bot does nothing else meanwhile.

Change: the connection gets our own waits. While the server cannot be reached, the bot tries about every three seconds,
and gives each try up after five. If the server answers, but closes the connection within a minute, for example because
of a ban, the waits are one second, then three, nine and so on up to five minutes.

Undone: the connection gets the library's waits back.
"""

from __future__ import annotations

import bisect
import logging
import random
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

from errbot_sentry.domain.clock import backoff

log = logging.getLogger(__name__)

ANSWER_SECONDS = 5.0
LASTING = 60.0
_UNREACHABLE = (1.0, 3.0)  # first and longest wait
_TURNED_AWAY = (1.0, 300.0)


class ReconnectWaits:
    """Decides how long to wait before the next try, by the results of the last ones. For IRC and XMPP."""

    def __init__(
        self,
        monotonic: Callable[[], float] = time.monotonic,
        luck: Callable[[], float] = random.random,
    ) -> None:
        self._monotonic = monotonic
        self._luck = luck
        self._unreached = 0
        self._turned_away = 0
        self._spoke_at: float | None = None

    def spoke(self) -> None:
        """Note that the server sent data. A server that accepts connections and sends nothing counts as unreachable."""
        if self._spoke_at is None:
            self._spoke_at = self._monotonic()

    def after_end(self) -> float:
        """Note that a try failed or a connection ended. Returns the seconds until the next try."""
        spoke_at, self._spoke_at = self._spoke_at, None
        if spoke_at is None:
            self._unreached += 1
            return backoff(self._unreached, *_UNREACHABLE, spread=0.5, luck=self._luck())
        self._unreached = 0
        self._turned_away = 1 if self._monotonic() - spoke_at >= LASTING else self._turned_away + 1
        return backoff(self._turned_away, *_TURNED_AWAY, factor=3.0, spread=0.5, luck=self._luck())


class _Reconnect:
    """Replaces the library's `ReconnectStrategy`. The library calls `run` whenever a connection ends."""

    def __init__(self, conn: Any) -> None:
        self._conn = conn
        self._waits = ReconnectWaits()
        self._scheduled = False
        self._connect = conn.connection.connect

    def connect(self, *args: Any, connect_factory: Any, **kwargs: Any) -> Any:
        """The connection's own `connect`, with a time limit for the socket."""
        wrap = connect_factory.wrapper

        def limited(sock: socket.socket) -> Any:
            sock.settimeout(ANSWER_SECONDS)
            return wrap(sock)

        connect_factory.wrapper = limited
        return self._connect(*args, connect_factory=connect_factory, **kwargs)

    def spoke(self, connection: Any, _event: Any) -> None:
        """Note that the server sent data."""
        if connection is self._conn.connection:
            self._waits.spoke()

    def run(self, _bot: Any) -> None:
        if self._scheduled:
            return
        wait = self._waits.after_end()
        log.info("the IRC server is not connected: the next try is in %.1f s", wait)
        self._scheduled = True
        self._conn.reactor.scheduler.execute_after(wait, self._again)

    def _again(self) -> None:
        self._scheduled = False
        if self._conn.connection.is_connected():
            return
        try:
            self._conn.jump_server()
        except Exception:  # from the library; without another try the bot would never come back
            log.exception("the IRC server could not be connected")
            self.run(self._conn)


def add_handler(connection: Any, event: str, handler: Callable[[Any, Any], None], priority: int) -> None:
    """Does the same as the library's `add_global_handler`, but without its lock.

    The main thread holds that lock while it handles an event. While an admin's command runs, the main thread waits for
    the command (errbot/core.py, lines 457 to 463). So `!plugin reload` would wait for the lock for ever.
    """
    prioritized = sys.modules["irc.client"].PrioritizedHandler(priority, handler)
    bisect.insort(connection.reactor.handlers.setdefault(event, []), prioritized)


def remove_handler(connection: Any, event: str, handler: Callable[[Any, Any], None]) -> None:
    """Does the same as the library's `remove_global_handler`, but without its lock; see `add_handler`."""
    handlers = connection.reactor.handlers.get(event, [])
    for each in [each for each in handlers if each.callback == handler]:
        handlers.remove(each)


def is_irc(bot: Any) -> bool:
    """Whether this bot object is Errbot's IRC backend."""
    return getattr(bot, "mode", None) == "irc"


def reconnect_soon(bot: Any) -> Callable[[], None]:
    """Apply the change described above to this bot object. Returns a function that undoes it."""
    conn = bot.conn
    library = sys.modules["irc.bot"]  # loaded by Errbot's backend
    original = conn.recon
    if type(original) is not library.ExponentialBackoff:
        raise TypeError(f"the waits are not the library's: {original!r}")
    conn.recon = ours = _Reconnect(conn)
    conn.connection.connect = ours.connect
    add_handler(conn.connection, "all_raw_messages", ours.spoke, -100)

    def undo() -> None:
        conn.recon = original
        del conn.connection.connect
        remove_handler(conn.connection, "all_raw_messages", ours.spoke)

    return undo

"""IRC: if the bot's nick is taken, the bot uses another one until its own is free.

Errbot 6.2.1: neither Errbot nor the library answers the server's 433 "nickname is already in use"
(errbot/backends/irc.py, line 401, handles only the welcome). After a crash the server may still have the old
connection. Then it never admits the new one, and no plugin is activated until the server closes that connection and
the bot tries again, two minutes in all.

Change: the bot asks for its nick with `_` after it, then with `_2` and so on. It asks for its own nick again every
fifteen seconds, and at once when it sees the other user leave. When it has its nick back, it sends the bot's password
to NickServ. `bot_identifier` always has the current nick.

Undone: the bot keeps the nick that it has, and does not ask for another.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from errbot_sentry.chat.errbot_patches.irc_reconnect import add_handler, remove_handler

log = logging.getLogger(__name__)

REGAIN_SECONDS = 15.0
_MOST_TRIES = 20
_SHORT = 9  # characters; every server accepts nicks of this length (RFC 2812, section 1.2.1)


def other_nick(nick: str, attempt: int) -> str:
    """The nick for the `attempt`-th try (from 1) instead of the configured one. From the fourth try on it is short."""
    ending = "_" if attempt == 1 else f"_{attempt}"
    return (nick if attempt <= 3 else nick[: _SHORT - len(ending)]) + ending


class _Nick:
    def __init__(self, bot: Any) -> None:
        self._bot = bot
        self._conn = bot.conn
        self._connection = bot.conn.connection
        self._configured = str(bot.conn._nickname)  # noqa: SLF001 - the library keeps it nowhere else
        self._welcome = self._connection.is_connected()
        self._attempts = 0
        self._active = True
        self._handlers = {
            "nicknameinuse": self._refused,
            "nickcollision": self._refused,
            "unavailresource": self._refused,
            "erroneusnickname": self._refused,
            "welcome": self._welcomed,
            "nick": self._renamed,
            "quit": self._left,
            "disconnect": self._disconnected,
        }

    def start(self) -> None:
        for event, handler in self._handlers.items():
            add_handler(self._connection, event, handler, -50)
        self._tick()

    def stop(self) -> None:
        self._active = False
        for event, handler in self._handlers.items():
            remove_handler(self._connection, event, handler)

    def _disconnected(self, connection: Any, _event: Any) -> None:
        if connection is self._connection:
            self._welcome, self._attempts = False, 0

    def _refused(self, _connection: Any, event: Any) -> None:
        if self._welcome or self._attempts >= _MOST_TRIES:
            return
        if event.type == "erroneusnickname" and not self._attempts:
            return  # the server does not allow the configured nick at all, and says so in its log
        self._attempts += 1
        nick = other_nick(self._configured, self._attempts)
        log.warning("the nick %s is taken; trying %s", self._configured, nick)
        self._connection.nick(nick)

    def _welcomed(self, connection: Any, _event: Any) -> None:
        self._welcome = True
        self._follow(str(connection.get_nickname()))

    def _renamed(self, connection: Any, event: Any) -> None:
        if event.target != connection.get_nickname():
            self._left(connection, event)
            return
        self._follow(str(event.target))
        password = self._conn.nickserv_password
        if event.target == self._configured and password:
            self._connection.privmsg("NickServ", f"identify {password}")

    def _left(self, _connection: Any, event: Any) -> None:
        if event.source.nick == self._configured:
            self._regain()

    def _follow(self, nick: str) -> None:
        known = self._bot.bot_identifier
        if known.nick != nick:
            self._bot.bot_identifier = type(known)(f"{nick}!{known.user}@{known.host}")

    def _regain(self) -> None:
        if self._welcome and self._connection.get_nickname() != self._configured:
            self._connection.nick(self._configured)

    def _tick(self) -> None:
        if self._active:
            self._conn.reactor.scheduler.execute_after(REGAIN_SECONDS, self._tick)
            self._regain()


def take_another_nick(bot: Any) -> Callable[[], None]:
    """Apply the change described above to this bot object. Returns a function that undoes it."""
    nick = _Nick(bot)
    nick.start()
    return nick.stop

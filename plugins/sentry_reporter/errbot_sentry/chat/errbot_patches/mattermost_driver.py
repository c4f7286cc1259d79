"""Mattermost's websocket works over https, and reconnects after the connection was cut.

Errbot 6.2.1: Errbot starts the backend again when `serve_once` returns or raises (errbot/backends/base.py, line 869).
The driver of err-backend-mattermost 3.0.0 (mattermostdriver 7.3.2, mattermostdriver/websocket.py) has two bugs:

- It makes a TLS context for servers (line 29), so every wss:// connection fails: `Cannot create a client socket with a
  PROTOCOL_TLS_SERVER context`. https://github.com/Vaelor/python-mattermost-driver/pull/122 fixed this, but was never
  released.
- It leaves its loop when the websocket is cut, unless its option `keepalive` is on (line 63). The backend then runs the
  empty event loop for ever: the bot can still send messages, but receives none.

Change: `ssl` in that module is replaced by an object that makes contexts for clients. `keepalive` is switched on each
time the bot is connected, so that the driver reconnects by itself.

Undone: the module `ssl` is put back, the option is switched off, and the handler that does this is removed.
"""

from __future__ import annotations

import ssl
import sys
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

_MODULE = "mattermostdriver.websocket"


class _ClientSsl:
    """Replaces the module `ssl` in Mattermost's driver. With `insecure`, the server's name is not checked either."""

    def __init__(self, insecure: bool) -> None:
        self._insecure = insecure

    def create_default_context(self, **_purpose: Any) -> ssl.SSLContext:
        context = ssl.create_default_context()
        context.check_hostname = not self._insecure  # must be off before the driver can switch off the rest
        return context

    def __getattr__(self, name: str) -> Any:
        return getattr(ssl, name)


def _connect_as_client(bot: Any) -> Callable[[], None]:
    """Let the driver make TLS contexts for clients. Returns a function that undoes the change."""
    module: Any = sys.modules[_MODULE]
    original = module.ssl
    module.ssl = _ClientSsl(bool(getattr(bot, "insecure", False)))

    def undo() -> None:
        module.ssl = original

    return undo


def is_mattermost(bot: Any) -> bool:
    """Whether this bot object is the Mattermost backend."""
    return hasattr(bot, "driver") and hasattr(bot, "register_handler")


def _reconnect_after_cuts(bot: Any) -> Callable[[], None]:
    """Let the driver of this bot object reconnect. Returns a function that undoes the change."""

    def switch(on: bool) -> None:
        if bot.driver is not None:  # the backend makes the driver when it connects
            bot.driver.options["keepalive"] = on

    def on_hello(_payload: object) -> None:
        switch(True)

    bot.register_handler("hello", on_hello)
    switch(True)

    def undo() -> None:
        bot.event_handlers["hello"].remove(on_hello)
        switch(False)

    return undo


def mend_driver(bot: Any) -> Callable[[], None]:
    """Apply both changes to the driver of this bot object. Returns a function that undoes them."""
    with ExitStack() as undos:
        if _MODULE in sys.modules:
            undos.callback(_connect_as_client(bot))
        undos.callback(_reconnect_after_cuts(bot))
        return undos.pop_all().close

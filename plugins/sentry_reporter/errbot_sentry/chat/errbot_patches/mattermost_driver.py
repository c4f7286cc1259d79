"""Mattermost's websocket works over https, and comes back after the connection was cut.

Errbot 6.2.1: it starts the backend anew when `serve_once` returns or raises (errbot/backends/base.py, line 869). The
driver of err-backend-mattermost 3.0.0 (mattermostdriver 7.3.2, mattermostdriver/websocket.py) has two faults:

- It makes its TLS context for the server's side (line 29), so no wss:// connection can be made: `Cannot create a client
  socket with a PROTOCOL_TLS_SERVER context`. It was mended in
  https://github.com/Vaelor/python-mattermost-driver/pull/122, which was never released.
- It leaves its loop when the websocket is cut, unless its option `keepalive` is on (line 63), and the backend then runs
  the empty event loop for ever. The bot reads nothing any more, while its messages still go out.

Change: `ssl` in that module is an object whose contexts are for the client's side. `keepalive` is switched on each time
that the bot is connected, so the driver connects again by itself.

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
    """In place of the module `ssl` in Mattermost's driver. `insecure`: the server's name is not checked either."""

    def __init__(self, insecure: bool) -> None:
        self._insecure = insecure

    def create_default_context(self, **_purpose: Any) -> ssl.SSLContext:
        context = ssl.create_default_context()
        context.check_hostname = not self._insecure  # else the driver could not switch the rest of the check off
        return context

    def __getattr__(self, name: str) -> Any:
        return getattr(ssl, name)


def _connect_as_client(bot: Any) -> Callable[[], None]:
    """Let the driver make contexts for the client's side; returns what undoes that."""
    module: Any = sys.modules[_MODULE]
    original = module.ssl
    module.ssl = _ClientSsl(bool(getattr(bot, "insecure", False)))

    def undo() -> None:
        module.ssl = original

    return undo


def is_mattermost(bot: Any) -> bool:
    """Whether this is the backend for Mattermost."""
    return hasattr(bot, "driver") and hasattr(bot, "register_handler")


def _reconnect_after_cuts(bot: Any) -> Callable[[], None]:
    """Have the driver of this bot object connect again; returns what undoes that."""

    def switch(on: bool) -> None:
        if bot.driver is not None:  # made at each connect
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
    """Mend the driver of this bot object; returns what undoes that."""
    with ExitStack() as undos:
        if _MODULE in sys.modules:
            undos.callback(_connect_as_client(bot))
        undos.callback(_reconnect_after_cuts(bot))
        return undos.pop_all().close

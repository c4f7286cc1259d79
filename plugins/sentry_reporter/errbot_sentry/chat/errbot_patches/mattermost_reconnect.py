"""Mattermost's incoming messages come back after the connection was cut.

Errbot 6.2.1: it starts the backend anew when `serve_once` returns (errbot/backends/base.py, line 869). The driver of
err-backend-mattermost 3.0.0 leaves its loop when the websocket is cut, unless its option `keepalive` is on
(mattermostdriver 7.3.2, mattermostdriver/websocket.py, line 63), and the backend then runs the empty event loop for
ever. The bot reads nothing any more, while its messages still go out.

Change: `keepalive` is switched on each time that the bot is connected, so the driver connects again by itself.

Undone: the option is switched off, and the handler that does this is removed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def is_mattermost(bot: Any) -> bool:
    """Whether this is the backend for Mattermost."""
    return hasattr(bot, "driver") and hasattr(bot, "register_handler")


def reconnect_after_cuts(bot: Any) -> Callable[[], None]:
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

"""Mattermost's websocket over https.

Errbot 6.2.1: it tries to start the backend again and again (errbot/backends/base.py, line 869). The driver of
err-backend-mattermost 3.0.0 makes its TLS context for the server's side (mattermostdriver 7.3.2,
mattermostdriver/websocket.py, line 29), so no wss:// connection can be made: `Cannot create a client socket with a
PROTOCOL_TLS_SERVER context`. It was mended in https://github.com/Vaelor/python-mattermost-driver/pull/122, which was
never released.

Change: `ssl` in that module is an object whose contexts are for the client's side.

Undone: the module `ssl` is put back.
"""

from __future__ import annotations

import ssl
import sys
from collections.abc import Callable
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


def has_driver(bot: Any) -> bool:
    """Whether this bot speaks to Mattermost by that driver."""
    return hasattr(bot, "driver") and _MODULE in sys.modules


def connect_as_client(bot: Any) -> Callable[[], None]:
    """Let the driver make contexts for the client's side; returns what undoes that."""
    module: Any = sys.modules[_MODULE]
    original = module.ssl
    module.ssl = _ClientSsl(bool(getattr(bot, "insecure", False)))

    def undo() -> None:
        module.ssl = original

    return undo

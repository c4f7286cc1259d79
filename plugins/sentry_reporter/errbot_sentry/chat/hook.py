"""The webhook route on Errbot's own web server.

Errbot's `@webhook` cannot be used: Flask refuses `add_url_rule` after its first request, and a request in the gap
between the web server's start and our activation would leave the plugin dead until a restart; on reload only one
route of a plugin is bound anew (errbot-facts, section 6). Adding to the URL map itself works at any time.
"""

from __future__ import annotations

import logging
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import errbot.core_plugins
from flask import Response, request
from werkzeug.routing import Rule

from errbot_sentry.chat.web import PREFIX, Web
from errbot_sentry.locks import Lock

ENDPOINT = "sentryreporter_hook"
PATIENCE = 20.0  # seconds for a body to arrive
MOST_BODIES = 30  # that arrive at once; each may take 5 MB

# The web server logs each request's path, at INFO: into the bot's log, and into the breadcrumbs of events.
_ACCESS_LOG = logging.getLogger("werkzeug")
_TOKEN = re.compile(r"(sentry/+webhook/+)[^\s\"]+", re.IGNORECASE)


class TokenMask(logging.Filter):
    """Takes the secret part of webhook addresses out of the web server's log."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Always true; the record's message is changed where it names such an address."""
        message = record.getMessage()
        masked = _TOKEN.sub(r"\1…", message)
        if masked != message:
            record.msg, record.args = masked, ()
        return True


class Arriving:
    """The bodies that Errbot's web server is reading for us, one thread each.

    That server waits for ever for what was announced. Here a body has `patience` (seconds), and only so many may arrive
    at once: one more ends the one that has been arriving longest, as at our own listener. What has come whole stays
    readable, so a burst of small ones loses none.
    """

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._lock = Lock()
        self._sockets: list[socket.socket] = []  # the oldest first

    @contextmanager
    def body(self, connection: socket.socket | None) -> Iterator[None]:
        """While a body is read from a connection; None where the web server does not say from which."""
        if connection is None:
            yield
            return
        late = threading.Timer(self._patience, _end, (connection,))
        late.daemon = True
        with self._lock:
            self._sockets.append(connection)
            if len(self._sockets) > MOST_BODIES:
                _end(self._sockets.pop(0))
        late.start()
        try:
            yield
        finally:
            late.cancel()
            with self._lock, suppress(ValueError):  # it has made room
                self._sockets.remove(connection)


def _end(connection: socket.socket) -> None:
    """Let whoever reads from it find the end."""
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RD)


def mount(web: Web, patience: float = PATIENCE) -> None:
    """Make Errbot's web server ask `web` for everything below /sentry/; a second time replaces the first."""
    arriving = Arriving(patience)
    app = errbot.core_plugins.flask_app
    if ENDPOINT not in app.view_functions:
        methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]
        app.url_map.add(Rule(f"{PREFIX}<path:tail>", endpoint=ENDPOINT, methods=methods, strict_slashes=False))

    def view(tail: str) -> Response:
        with arriving.body(request.environ.get("werkzeug.socket") if request.method == "POST" else None):
            reply = web.answer(request.method, tail, dict(request.headers), request.stream, request.content_length)
        return Response(reply.text, status=reply.status, content_type=reply.content_type)

    app.view_functions[ENDPOINT] = view
    # By name, because a reload makes the class anew.
    if not any(type(each).__name__ == TokenMask.__name__ for each in _ACCESS_LOG.filters):
        _ACCESS_LOG.addFilter(TokenMask())

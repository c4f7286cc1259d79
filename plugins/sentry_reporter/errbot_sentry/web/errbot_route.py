"""The webhook route on Errbot's own web server, and whether that server runs.

Errbot's `@webhook` cannot be used: Flask refuses `add_url_rule` after its first request, and a request in the gap
between the web server's start and our activation would leave the plugin dead until a restart; on reload only one
route of a plugin is bound anew (errbot/core_plugins/wsview.py, `route`; https://github.com/errbotio/errbot/issues/1720).
Adding to the URL map itself works at any time.
"""

from __future__ import annotations

import logging
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any
from urllib.parse import unquote

import errbot.core_plugins
from flask import Request, Response, request
from werkzeug.routing import Rule

from errbot_sentry.domain.locks import Lock
from errbot_sentry.web.application import PREFIX, Web

ENDPOINT = "sentryreporter_hook"
PATIENCE = 20.0  # seconds for a body to arrive
MOST_BODIES = 30  # that arrive at once; each may take 5 MB

# The web server logs each request's path, at INFO: into the bot's log, and into the breadcrumbs of events.
_ACCESS_LOG = logging.getLogger("werkzeug")
_TOKEN = re.compile(r"(sentry/+webhook/+)[^\s\"]+", re.IGNORECASE)
_WRITTEN_OUT = re.compile(r"[^\s\"]*%[^\s\"]*")


def _plainly(written: re.Match[str]) -> str:
    """The address of a webhook, whichever of its characters are written as %2F and the like; others as they are."""
    return f"{PREFIX}webhook/…" if _TOKEN.search(unquote(written[0])) else written[0]


class TokenMask(logging.Filter):
    """Takes the secret part of webhook addresses out of the web server's log."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Always true; the record's message is changed where it names such an address."""
        message = record.getMessage()
        masked = _TOKEN.sub(r"\1…", _WRITTEN_OUT.sub(_plainly, message))
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
        self._bodies: list[_Body] = []  # the oldest first

    @contextmanager
    def body(self, incoming: Request) -> Iterator[_Body]:
        """A request's body, while it is read."""
        body = _Body(incoming)
        late = threading.Timer(self._patience, body.end)
        late.daemon = True
        with self._lock:
            self._bodies.append(body)
            if len(self._bodies) > MOST_BODIES:
                self._bodies.pop(0).end()
        late.start()
        try:
            yield body
        finally:
            late.cancel()
            with self._lock, suppress(ValueError):  # it has made room
                self._bodies.remove(body)


class _Body:
    """A body that somebody else can end. What has come whole stays readable."""

    def __init__(self, incoming: Request) -> None:
        self._connection: socket.socket | None = incoming.environ.get("werkzeug.socket")
        self._stream = incoming.stream
        self._in_chunks = incoming.content_length is None
        self._ended = False

    def read(self, size: int) -> bytes:
        """Up to so many bytes; b"" at the end. Raises OSError where a body in chunks was ended."""
        piece = self._stream.read(size)
        # Where a chunk is cut off, werkzeug 3.1 makes up the rest of it out of zeros (serving.py, DechunkedInput).
        if self._ended and self._in_chunks:
            raise OSError("It took too long, or made room for another.")
        return piece

    def end(self) -> None:
        """Let whoever reads it find the end."""
        self._ended = True
        if self._connection is not None:
            with suppress(OSError):
                self._connection.shutdown(socket.SHUT_RD)


def mount(web: Web, patience: float = PATIENCE) -> None:
    """Make Errbot's web server pass everything below /sentry/ to `web`; a second time replaces the first."""
    arriving = Arriving(patience)
    app = errbot.core_plugins.flask_app
    if ENDPOINT not in app.view_functions:
        methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]
        app.url_map.add(Rule(f"{PREFIX}<path:tail>", endpoint=ENDPOINT, methods=methods, strict_slashes=False))

    def view(tail: str) -> Response:
        with ExitStack() as reading:
            body = reading.enter_context(arriving.body(request)) if request.method == "POST" else request.stream
            reply = web.answer(request.method, tail, dict(request.headers), body, request.content_length)
        return Response(reply.text, status=reply.status, content_type=reply.content_type)

    app.view_functions[ENDPOINT] = view
    # By name, because a reload makes the class anew.
    if not any(type(each).__name__ == TokenMask.__name__ for each in _ACCESS_LOG.filters):
        _ACCESS_LOG.addFilter(TokenMask())


def web_server_trouble(bot: Any) -> str:
    """Why Errbot's own web server does not run; "" where it does. It does not say so itself when its port is taken
    (errbot/core_plugins/webserver.py starts werkzeug in a thread, which ends there)."""
    plugins = getattr(bot, "plugin_manager", None)
    plugin = None if plugins is None else plugins.get_plugin_obj_by_name("Webserver")
    if plugin is None or not plugin.is_activated:
        return "Errbot's web server is off: set SENTRY_WEBHOOK_LISTEN, or see `!plugin config Webserver`"
    thread = getattr(plugin, "server_thread", None)
    if thread is not None and not thread.is_alive():
        return "Errbot's web server has ended: another program probably uses its port (`!plugin config Webserver`)"
    return ""

"""The webhook route on Errbot's own web server, and a check whether that server runs.

Errbot's `@webhook` cannot be used, for two reasons. Flask refuses `add_url_rule` after its first request. If a request
came between the web server's start and our activation, the plugin would not work until a restart. And after a reload,
only one route of a plugin is bound again (errbot/core_plugins/wsview.py, `route`;
https://github.com/errbotio/errbot/issues/1720). A rule can be added directly to the URL map at any time.
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
MOST_BODIES = 30  # bodies that arrive at the same time; each may take 5 MB

# The web server logs each request's path on level INFO, so the path is in the bot's log and in breadcrumbs.
_ACCESS_LOG = logging.getLogger("werkzeug")
_TOKEN = re.compile(r"(sentry/+webhook/+)[^\s\"]+", re.IGNORECASE)
_ESCAPED = re.compile(r"[^\s\"]*%[^\s\"]*")


def _mask_escaped(path: re.Match[str]) -> str:
    """The masked address if this path with escapes such as %2F is a webhook's; any other path unchanged."""
    return f"{PREFIX}webhook/…" if _TOKEN.search(unquote(path[0])) else path[0]


class TokenMask(logging.Filter):
    """Removes the secret part of webhook addresses from the web server's log."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record's message if it contains such an address. Always returns True."""
        message = record.getMessage()
        masked = _TOKEN.sub(r"\1…", _ESCAPED.sub(_mask_escaped, message))
        if masked != message:
            record.msg, record.args = masked, ()
        return True


class Arriving:
    """The bodies that Errbot's web server is reading for us, each in its own thread.

    That server waits for ever for an announced body. Here a body must arrive within `patience` seconds, and at most
    MOST_BODIES may arrive at the same time. If there are more, the one that has been arriving longest is ended, as in
    our own listener. A body that has arrived completely stays readable, so a burst of small ones loses none.
    """

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._lock = Lock()
        self._bodies: list[_Body] = []  # the oldest first

    @contextmanager
    def body(self, incoming: Request) -> Iterator[_Body]:
        """Read a request's body in this block."""
        body = _Body(incoming)
        timer = threading.Timer(self._patience, body.end)
        timer.daemon = True
        with self._lock:
            self._bodies.append(body)
            if len(self._bodies) > MOST_BODIES:
                self._bodies.pop(0).end()
        timer.start()
        try:
            yield body
        finally:
            timer.cancel()
            with self._lock, suppress(ValueError):  # it was removed already, to make room for another one
                self._bodies.remove(body)


class _Body:
    """A body that another thread can end. If it has arrived completely, it stays readable."""

    def __init__(self, incoming: Request) -> None:
        self._connection: socket.socket | None = incoming.environ.get("werkzeug.socket")
        self._stream = incoming.stream
        self._in_chunks = incoming.content_length is None
        self._ended = False

    def read(self, size: int) -> bytes:
        """Up to so many bytes; b"" at the end. Raises OSError if a chunked body was ended."""
        piece = self._stream.read(size)
        # If a chunk is cut off, werkzeug 3.1 fills the rest of it with zeros (serving.py, DechunkedInput).
        if self._ended and self._in_chunks:
            raise OSError("it took too long, or had to make room for another one")
        return piece

    def end(self) -> None:
        """Stop receiving, so that the thread that reads the body finds its end."""
        self._ended = True
        if self._connection is not None:
            with suppress(OSError):
                self._connection.shutdown(socket.SHUT_RD)


def mount(web: Web, patience: float = PATIENCE) -> None:
    """Let Errbot's web server pass requests below /sentry/ to `web`. A second call replaces the first."""
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
    # Compared by name, because a reload creates a new class.
    if not any(type(present).__name__ == TokenMask.__name__ for present in _ACCESS_LOG.filters):
        _ACCESS_LOG.addFilter(TokenMask())


def web_server_trouble(bot: Any) -> str:
    """Why Errbot's own web server does not run; "" if it does.

    If its port is in use, Errbot does not report that: errbot/core_plugins/webserver.py starts werkzeug in a thread,
    and that thread ends.
    """
    plugins = getattr(bot, "plugin_manager", None)
    plugin = None if plugins is None else plugins.get_plugin_obj_by_name("Webserver")
    if plugin is None or not plugin.is_activated:
        return "Errbot's web server is off: set SENTRY_WEBHOOK_LISTEN, or see `!plugin config Webserver`"
    thread = getattr(plugin, "server_thread", None)
    if thread is not None and not thread.is_alive():
        return "Errbot's web server has ended: another program probably uses its port (`!plugin config Webserver`)"
    return ""

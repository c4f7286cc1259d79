"""The plugin's own web listener (SENTRY_WEBHOOK_LISTEN): waitress, with bounded threads, connections and bodies."""

from __future__ import annotations

import errno
import logging
import os
import socket
import threading
from collections.abc import Callable, Iterable
from typing import Any

from waitress import wasyncore
from waitress.server import create_server

from errbot_sentry.domain.errors import SettingsError
from errbot_sentry.web.application import LARGEST_BODY, LARGEST_DRAINED, PREFIX, Reply, Web
from errbot_sentry.web.arriving_bodies import CONNECTIONS, MEMORY, Bounds, WebhookConnection

_THREADS = 16  # they mostly wait for the disk, and those that wait together share one commit
PATIENCE = 20  # seconds for a request to arrive whole, and for a connection on which nothing comes
# Each read and each write lets go of the interpreter and has to win it back from all threads that work.
_IN_ONE_PIECE = 64 * 1024
_SPARE = 20  # descriptors that waitress counts too, and connections that are just being closed
_LARGEST_HEAD = 32 * 1024
_REASONS = {200: "OK", 202: "Accepted", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found"} | {
    405: "Method Not Allowed",
    413: "Content Too Large",
    503: "Service Unavailable",
}
_WHY = {
    errno.EADDRINUSE: "another program uses this port already",
    errno.EADDRNOTAVAIL: "this machine has no such address",
    errno.EACCES: "the bot's user may not listen on this port (below 1024, only root may)",
}


class Listener:
    """Serves `web` on (host, port) in a thread of its own from construction to `close`; port 0 picks a free one.

    A connection is closed when nothing came on it for `patience` seconds, or when a request has been arriving for
    longer than that. `memory` is what all bodies together may take (bytes); see `arriving`.

    Raises:
        SettingsError: the address cannot be listened on.
    """

    def __init__(self, address: tuple[str, int], web: Web, patience: int = PATIENCE, memory: int = MEMORY) -> None:
        self._server: Any = create_server(
            _application(web),
            sockets=[_listen(address)],
            threads=_THREADS,
            connection_limit=CONNECTIONS + _THREADS + _SPARE,  # `arriving` closes some before
            max_request_header_size=_LARGEST_HEAD,
            # Chunks have something between them, so there is more to read than what may be in them.
            max_request_body_size=LARGEST_DRAINED,
            inbuf_overflow=LARGEST_BODY + _IN_ONE_PIECE + 1,  # nothing goes into a temporary file
            asyncore_use_poll=True,  # select() fails for good once the bot has a thousand files open
            recv_bytes=_IN_ONE_PIECE,
            channel_timeout=patience,
            cleanup_interval=patience // 4,
            ident=None,
            clear_untrusted_proxy_headers=True,
        )
        self._server.channel_class = WebhookConnection
        self._server.bounds = bounds = Bounds(self._server.active_channels, patience, memory, CONNECTIONS)
        look_at_silence = self._server.maintenance

        def maintenance(now: float) -> None:
            look_at_silence(now)
            bounds.end_late()

        # waitress itself only knows silence: a byte now and then would keep a connection for ever.
        self._server.maintenance = maintenance
        # Urgent data, kept separate, would wake the listener again and again without ever being read.
        in_line = (socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
        self._server.adj.socket_options = [*self._server.adj.socket_options, in_line]
        # Head and body of an answer in one piece; the option for it is deprecated, yet without it there are two.
        self._server.adj.send_bytes = _IN_ONE_PIECE
        # A burst would otherwise write a line into the bot's log for every webhook that waits.
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)
        self.port = int(self._server.effective_port)
        self._thread = threading.Thread(target=self._server.run, name="sentry-listener", daemon=True)
        self._thread.start()

    def close(self, timeout: float) -> None:
        """Stop listening; requests being answered get a quarter of the timeout (seconds)."""
        # What is done to waitress's sockets must be done in its own thread: the trigger runs it there. One at a time:
        # a second pull while the first closes the trigger's own pipe would write into nothing.
        self._in_its_thread(lambda: wasyncore.dispatcher.close(self._server), timeout / 4)
        self._server.task_dispatcher.shutdown(timeout=timeout / 4)
        self._in_its_thread(lambda: wasyncore.close_all(self._server._map), timeout / 4)  # noqa: SLF001 - no other way
        self._thread.join(timeout / 4)

    def _in_its_thread(self, act: Callable[[], None], timeout: float) -> None:
        done = threading.Event()

        def acting() -> None:
            try:
                act()
            finally:
                done.set()

        self._server.trigger.pull_trigger(acting)
        done.wait(timeout)


def _listen(address: tuple[str, int]) -> socket.socket:
    host, port = address
    try:
        return socket.create_server(address, family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except (OSError, OverflowError) as error:
        raise SettingsError(f"SENTRY_WEBHOOK_LISTEN: cannot listen on {host}:{port}: {_reason(error)}.") from error


def _reason(error: Exception) -> str:
    number = getattr(error, "errno", None)
    if number is None:
        return "there is no such port"
    # Below zero it is the number of a failed look-up of the name, in the same kind of exception.
    return _WHY.get(number, os.strerror(number)) if number > 0 else "this host name has no address"


def _application(web: Web) -> Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]:
    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        reply = _reply(web, environ)
        content = reply.text.encode()
        headers = [("Content-Type", reply.content_type), ("Content-Length", str(len(content)))]
        start_response(f"{reply.status} {_REASONS.get(reply.status, 'Answer')}", headers)
        # A body after HEAD would be taken for the beginning of the next answer on the same connection.
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [content]

    return application


def _reply(web: Web, environ: dict[str, Any]) -> Reply:
    path = str(environ.get("PATH_INFO", ""))
    if not path.startswith(PREFIX):
        return Reply(404, "There is nothing here.")
    headers = {
        name[len("HTTP_") :].replace("_", "-").title(): str(value)
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }
    headers["Content-Type"] = str(environ.get("CONTENT_TYPE", ""))
    length = str(environ.get("CONTENT_LENGTH") or "")
    known = int(length) if length else None  # digits, and not too many: `arriving` has refused all else
    return web.answer(environ["REQUEST_METHOD"], path[len(PREFIX) :], headers, environ["wsgi.input"], known)

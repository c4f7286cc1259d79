"""The plugin's own web listener (SENTRY_WEBHOOK_LISTEN): waitress, with limits on threads, connections and bodies.

A signature can only be checked when the whole request has arrived. Until then anybody may send anything, so there are
limits: on the announced and the real size of a body, on the memory for all bodies together (never in a temporary file),
on the time of each request, and on the number of connections. If memory or connections run out, the request that has
been arriving longest is dropped: a real webhook arrives faster than a request that somebody keeps open on purpose.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from waitress import wasyncore
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.server import create_server
from waitress.utilities import BadRequest, RequestEntityTooLarge

from errbot_sentry.alerting.receive.receiver import LARGEST_BODY
from errbot_sentry.domain.errors import SettingsError
from errbot_sentry.web.application import LARGEST_DRAINED, PREFIX, TOO_LARGE, Reply, Web

log = logging.getLogger(__name__)

CONNECTIONS = 200
MEMORY = 64 * 1024 * 1024  # bytes of all bodies that are arriving or wait for a thread
_SMALL = 64 * 1024  # smaller bodies are not checked against MEMORY when they grow, as CONNECTIONS bounds them
_LONGEST_LINE = 8 * 1024  # of the lines between chunks; waitress copies such a line for every piece that arrives
_WARNING_PAUSE = 600.0  # seconds


class Request(HTTPRequestParser):  # type: ignore[misc]  # waitress ships no types
    """One request. It is refused as soon as it is known to be too large, and its remaining data is dropped."""

    error: Any  # the answer to a refused request, an Error of waitress

    def received(self, data: bytes) -> int:
        """Take the next bytes; returns how many of them belong to this request."""
        own = int(super().received(data))
        if self.error is None:
            self._check()
        if self.error is None:
            return own
        if isinstance(self.error, RequestEntityTooLarge):
            self.error = RequestEntityTooLarge(TOO_LARGE)
        self.completed = True
        self.expect_continue = False  # otherwise waitress would ask the sender for the body
        self.close()
        return len(data)  # the rest of the body is not another request

    def parse_header(self, header_plus: bytes) -> None:
        """Parse the request line and the headers.

        Raises:
            ParsingError: they are invalid. This includes a Content-Length of thousands of digits and an invalid URL:
                waitress would log these as its own errors, and every ERROR in the bot's log becomes an event.
        """
        try:
            super().parse_header(header_plus)
        except ValueError as error:
            raise ParsingError("The head of the request could not be read.") from error

    def size(self) -> int:
        """The size of its body in memory, in bytes."""
        return 0 if self.body_rcv is None else len(self.body_rcv)

    def _check(self) -> None:
        if max(self.content_length, self.size()) > LARGEST_BODY:
            self.error = RequestEntityTooLarge(TOO_LARGE)
        elif self.chunked and max(len(self.body_rcv.control_line), len(self.body_rcv.trailer)) > _LONGEST_LINE:
            self.error = BadRequest("A line between the chunks is too long.")


class WebhookConnection(HTTPChannel):  # type: ignore[misc]  # waitress ships no types
    """One connection. `handle_write` makes sure that the sender of a refused request can read the answer."""

    parser_class = Request
    will_close: bool
    close_when_flushed: bool

    def __init__(self, server: Any, sock: socket.socket, addr: Any, adj: Any, map: Any = None) -> None:  # noqa: A002
        # Since when it has been in its present state: receiving a request, waiting for one, or draining a refused one.
        self.since = time.monotonic()
        self.refused = self.lingering = False
        self._drained = 0
        super().__init__(server, sock, addr, adj, map=map)
        server.bounds.connected(self)

    @property
    def unfinished(self) -> bool:
        """Whether no request of it is being answered, so that closing it costs nobody an answer."""
        return not self.requests and not self.will_close

    @property
    def size(self) -> int:
        """The size of its bodies in memory, in bytes."""
        arriving = self.request
        return sum(request.size() for request in (*self.requests, arriving) if request is not None)

    def received(self, data: bytes) -> bool:
        """Receive bytes from the network, in the listener's thread."""
        if self.refused:
            self._drained += len(data)
            self.will_close = self.will_close or self._drained > LARGEST_DRAINED
            return False
        before = self.request
        went_on = bool(super().received(data))
        if self.request is not before:
            self.since = time.monotonic()
        if self.request is not None and self.request.size() > _SMALL:
            self.server.bounds.grown()
        return went_on

    def service(self) -> None:
        """Answer a request, in one of the listener's other threads."""
        self.refused = self.requests[0].error is not None
        super().service()
        self.since = time.monotonic()

    def handle_write(self) -> None:
        """Send waiting data. After a refusal, read on for a while before closing.

        If a connection is closed while the sender still writes, it is reset, and the sender cannot read the answer with
        the reason.
        """
        if self.refused and self.close_when_flushed and not self.will_close:
            self._flush_exception(self._flush_some)
            if not self.will_close and not self.total_outbufs_len:
                self.close_when_flushed, self.lingering = False, True
                self.since = time.monotonic()
                try:
                    self.socket.shutdown(socket.SHUT_WR)
                except OSError:
                    self.will_close = True
        else:
            super().handle_write()

    def handle_expt(self) -> None:
        """Ignore urgent data, for which waitress would log a warning. The listener reads it as normal data."""

    def end(self) -> None:
        """Free the arriving body at once, and let the connection close soon; in the listener's thread."""
        self.will_close = True
        if self.request is not None:
            self.request.close()


class Bounds:
    """The limits that all connections of one server share.

    Args:
        connections: the server's connections, by file descriptor.
        patience: seconds for a request to arrive completely, and for draining a refused one.
        memory: bytes of all bodies together.
        most: the number of simultaneous connections.
    """

    def __init__(self, connections: dict[int, WebhookConnection], patience: float, memory: int, most: int) -> None:
        self._connections = connections
        self._patience = patience
        self._memory = memory
        self._most = most
        self._warned_at: float | None = None

    def connected(self, newest: WebhookConnection) -> None:
        """Handle a new connection: if there are too many, end the oldest that has no request in work."""
        others = [other for other in self._connections.values() if other is not newest and not other.will_close]
        if len(others) >= self._most:
            self._end_oldest(others)

    def grown(self) -> None:
        """Handle the growth of a large body: while all bodies take too much memory, end the oldest that is arriving."""
        while sum(connection.size for connection in self._connections.values()) > self._memory:
            with_body = [
                connection
                for connection in self._connections.values()
                if connection.request is not None and connection.request.size()
            ]
            if not self._end_oldest(with_body):
                return

    def end_late(self) -> None:
        """End connections whose request has been arriving, or being drained, for too long."""
        limit = time.monotonic() - self._patience
        for connection in tuple(self._connections.values()):
            is_busy = connection.request is not None or connection.lingering
            if connection.unfinished and is_busy and connection.since < limit:
                connection.end()

    def _end_oldest(self, connections: Iterable[WebhookConnection]) -> bool:
        unfinished = (connection for connection in connections if connection.unfinished)
        oldest = min(unfinished, key=lambda connection: connection.since, default=None)
        if oldest is None:
            return False
        now = time.monotonic()
        if self._warned_at is None or now - self._warned_at > _WARNING_PAUSE:
            self._warned_at = now
            log.warning(
                "too much arrives at the webhook listener for its %d connections and %d MB: the requests that have "
                "been arriving longest are dropped",
                self._most,
                self._memory // (1024 * 1024),
            )
        oldest.end()
        return True


_THREADS = 16  # they mostly wait for the disk, and requests that wait together share one commit
PATIENCE = 20  # seconds for a request to arrive completely, and for a connection on which nothing arrives
# Bytes of one read or write. This is large, because each one releases Python's interpreter lock and must get it back
# from all working threads.
_IN_ONE_PIECE = 64 * 1024
_SPARE = 20  # for other descriptors that waitress counts, and for connections that are being closed
_LARGEST_HEAD = 32 * 1024  # request line and headers
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
    """Serves `web` on (host, port) in its own thread, from construction to `close`. Port 0 selects a free port.

    A connection is closed if nothing arrived on it for `patience` seconds, or if a request has been arriving for longer
    than that. `memory` is the limit for all bodies together, in bytes; see `Bounds`.

    Raises:
        SettingsError: it is not possible to listen on the address.
    """

    def __init__(self, address: tuple[str, int], web: Web, patience: int = PATIENCE, memory: int = MEMORY) -> None:
        self._server: Any = create_server(
            _application(web),
            sockets=[_listen(address)],
            threads=_THREADS,
            connection_limit=CONNECTIONS + _THREADS + _SPARE,  # `Bounds` closes connections before this is reached
            max_request_header_size=_LARGEST_HEAD,
            # waitress also counts the lines between chunks, so its limit must be higher than ours. `Request` has ours.
            max_request_body_size=LARGEST_DRAINED,
            inbuf_overflow=LARGEST_BODY + _IN_ONE_PIECE + 1,  # so large that no body goes into a temporary file
            asyncore_use_poll=True,  # select() fails if the bot has more than a thousand open files
            recv_bytes=_IN_ONE_PIECE,
            channel_timeout=patience,
            cleanup_interval=patience // 4,
            ident=None,
            clear_untrusted_proxy_headers=True,
        )
        self._server.channel_class = WebhookConnection
        self._server.bounds = bounds = Bounds(self._server.active_channels, patience, memory, CONNECTIONS)
        end_silent = self._server.maintenance

        def maintenance(now: float) -> None:
            end_silent(now)
            bounds.end_late()

        # waitress itself only ends silent connections: a byte from time to time would keep one open for ever.
        self._server.maintenance = maintenance
        # Otherwise urgent data would be kept separately, and wake the listener again and again without being read.
        in_line = (socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
        self._server.adj.socket_options = [*self._server.adj.socket_options, in_line]
        # Sends headers and body of an answer together. The option is deprecated, but without it they are two writes.
        self._server.adj.send_bytes = _IN_ONE_PIECE
        # Otherwise waitress would log a line for every webhook that waits in a burst.
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)
        self.port = int(self._server.effective_port)
        self._thread = threading.Thread(target=self._server.run, name="sentry-listener", daemon=True)
        self._thread.start()

    def close(self, timeout: float) -> None:
        """Stop listening. Requests that are being answered get a quarter of `timeout` (seconds) to finish."""
        # waitress's sockets may only be used in its own thread, in which the trigger runs a function. Each call waits
        # for its end, because the last one also closes the trigger's own pipe, into which the next would write.
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
    # A negative number is an error of the host name's look-up (socket.gaierror).
    return _WHY.get(number, os.strerror(number)) if number > 0 else "this host name has no address"


def _application(web: Web) -> Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]:
    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        reply = _reply(web, environ)
        content = reply.text.encode()
        headers = [("Content-Type", reply.content_type), ("Content-Length", str(len(content)))]
        start_response(f"{reply.status} {_REASONS.get(reply.status, 'Answer')}", headers)
        # After HEAD, a body would be read as the beginning of the next answer on the same connection.
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
    known = int(length) if length else None  # a valid number, because `Request` has refused all others
    return web.answer(environ["REQUEST_METHOD"], path[len(PREFIX) :], headers, environ["wsgi.input"], known)

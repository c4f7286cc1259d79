"""The plugin's own web listener (SENTRY_WEBHOOK_LISTEN): waitress, with bounded threads, connections and bodies.

A signature can be checked only when the whole request is there. Until then anybody may send anything, so all of it is
bounded: a body by its announced and by its real size, all bodies together by memory (never a temporary file), each
request by time, and connections by number. When memory or connections run out, the request that has been arriving
longest is dropped: a real webhook arrives quicker than a request that somebody keeps open on purpose.
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
_SMALL = 64 * 1024  # a body up to here is not worth a count of all others: CONNECTIONS bounds those
_LONGEST_LINE = 8 * 1024  # of what frames the chunks of a body; copied at every byte that comes
_WARNING_PAUSE = 600.0  # seconds


class Request(HTTPRequestParser):  # type: ignore[misc]  # waitress ships no types
    """One request; refused as soon as it is known to be too large, and what still comes of it is dropped."""

    error: Any  # what is answered instead, an Error of waitress's

    def received(self, data: bytes) -> int:
        """Take the next bytes; how many belong to this request."""
        taken = int(super().received(data))
        if self.error is None:
            self._check()
        if self.error is None:
            return taken
        if isinstance(self.error, RequestEntityTooLarge):
            self.error = RequestEntityTooLarge(TOO_LARGE)
        self.completed = True
        self.expect_continue = False  # the sender would send the body after all
        self.close()
        return len(data)  # the rest of the body is not another request

    def parse_header(self, header_plus: bytes) -> None:
        """Read the head.

        Raises:
            ParsingError: also for a Content-Length of thousands of digits and for addresses that are none; waitress
                would log them as errors of its own, and an ERROR in the bot's log is an event on the server.
        """
        try:
            super().parse_header(header_plus)
        except ValueError as error:
            raise ParsingError("The head of the request could not be read.") from error

    def size(self) -> int:
        """The bytes of its body in memory."""
        return 0 if self.body_rcv is None else len(self.body_rcv)

    def _check(self) -> None:
        if max(self.content_length, self.size()) > LARGEST_BODY:
            self.error = RequestEntityTooLarge(TOO_LARGE)
        elif self.chunked and max(len(self.body_rcv.control_line), len(self.body_rcv.trailer)) > _LONGEST_LINE:
            self.error = BadRequest("A line between the chunks is too long.")


class WebhookConnection(HTTPChannel):  # type: ignore[misc]  # waitress ships no types
    """One connection. A sender whose request was refused gets to read the answer: see `handle_write`."""

    parser_class = Request
    will_close: bool
    close_when_flushed: bool

    def __init__(self, server: Any, sock: socket.socket, addr: Any, adj: Any, map: Any = None) -> None:  # noqa: A002
        # Since when it has been doing what it does: receiving a request, waiting for one, reading one away.
        self.since = time.monotonic()
        self.refused = self.lingering = False
        self._drained = 0
        super().__init__(server, sock, addr, adj, map=map)
        server.bounds.connected(self)

    @property
    def unfinished(self) -> bool:
        """Whether nobody works for it at the moment, so that closing it costs nobody an answer."""
        return not self.requests and not self.will_close

    @property
    def size(self) -> int:
        """The bytes of bodies that it has in memory."""
        arriving = self.request
        return sum(each.size() for each in (*self.requests, arriving) if each is not None)

    def received(self, data: bytes) -> bool:
        """Take bytes from the network, in the listener's thread."""
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
        """Send what waits to be sent; after a refusal, read on for a while before closing.

        A connection that is closed on a sender who still writes is reset, and with it goes the answer that says why.
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
        """Urgent data, which waitress logs as a warning each time: the listener has it put in line with the rest."""

    def end(self) -> None:
        """Close it soon, and let go of the body that is arriving at once; in the listener's thread."""
        self.will_close = True
        if self.request is not None:
            self.request.close()


class Bounds:
    """What all connections of one server share.

    Args:
        connections: those of the server, by descriptor.
        patience: seconds for a request to arrive whole, and to read a refused one away.
        memory: bytes of all bodies together.
        most: connections at once.
    """

    def __init__(self, connections: dict[int, WebhookConnection], patience: float, memory: int, most: int) -> None:
        self._connections = connections
        self._patience = patience
        self._memory = memory
        self._most = most
        self._said_at: float | None = None

    def connected(self, newest: WebhookConnection) -> None:
        """A connection was made: one too many ends the oldest that nobody works for."""
        others = [each for each in self._connections.values() if each is not newest and not each.will_close]
        if len(others) >= self._most:
            self._end_oldest(others)

    def grown(self) -> None:
        """A large body has become larger: too much in all ends the oldest that are arriving."""
        while sum(each.size for each in self._connections.values()) > self._memory:
            arriving = [each for each in self._connections.values() if each.request is not None and each.request.size()]
            if not self._end_oldest(arriving):
                return

    def end_late(self) -> None:
        """End those whose request has been arriving, or being read away, for too long."""
        late = time.monotonic() - self._patience
        for each in tuple(self._connections.values()):
            if each.unfinished and (each.request is not None or each.lingering) and each.since < late:
                each.end()

    def _end_oldest(self, connections: Iterable[WebhookConnection]) -> bool:
        oldest = min((each for each in connections if each.unfinished), key=lambda each: each.since, default=None)
        if oldest is None:
            return False
        now = time.monotonic()
        if self._said_at is None or now - self._said_at > _WARNING_PAUSE:
            self._said_at = now
            log.warning(
                "more is arriving at the webhook listener than its %d connections and %d MB take: the requests that "
                "have been arriving longest are dropped",
                self._most,
                self._memory // (1024 * 1024),
            )
        oldest.end()
        return True


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
    longer than that. `memory` is what all bodies together may take (bytes); see `Bounds`.

    Raises:
        SettingsError: the address cannot be listened on.
    """

    def __init__(self, address: tuple[str, int], web: Web, patience: int = PATIENCE, memory: int = MEMORY) -> None:
        self._server: Any = create_server(
            _application(web),
            sockets=[_listen(address)],
            threads=_THREADS,
            connection_limit=CONNECTIONS + _THREADS + _SPARE,  # `Bounds` closes some before
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
    known = int(length) if length else None  # digits, and not too many: `Request` has refused all else
    return web.answer(environ["REQUEST_METHOD"], path[len(PREFIX) :], headers, environ["wsgi.input"], known)

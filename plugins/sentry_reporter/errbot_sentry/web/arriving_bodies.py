"""Requests while they arrive at our own listener: waitress's parser and connections, with bounds for strangers.

Nobody has signed anything yet, so what a sender may take of the bot is bounded: a body by its announced and by its real
size, all bodies together by memory (never a temporary file), each request by time, connections by number. Where a bound
of all of them is reached, the request that has been arriving longest makes room: a webhook that comes in whole is
quicker than any that is kept open on purpose.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Iterable
from typing import Any

from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.utilities import BadRequest, RequestEntityTooLarge

from errbot_sentry.web.application import LARGEST_BODY, LARGEST_DRAINED, TOO_LARGE

log = logging.getLogger(__name__)

CONNECTIONS = 200
MEMORY = 64 * 1024 * 1024  # bytes of all bodies that are arriving or wait for a thread
_SMALL = 64 * 1024  # a body up to here is not worth a count of all others: CONNECTIONS bounds those
_LONGEST_LINE = 8 * 1024  # of what frames the chunks of a body; copied at every byte that comes
_SAY_AGAIN = 600.0  # seconds


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
        if self._said_at is None or now - self._said_at > _SAY_AGAIN:
            self._said_at = now
            log.warning(
                "more is arriving at the webhook listener than its %d connections and %d MB take: the requests that "
                "have been arriving longest are dropped",
                self._most,
                self._memory // (1024 * 1024),
            )
        oldest.end()
        return True

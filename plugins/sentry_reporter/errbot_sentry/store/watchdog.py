"""Time limits for a database server that has stopped answering.

A server that hangs (a stopped process, a frozen disk) still acknowledges packets, so neither its own time limits nor
those of TCP end the wait. Here a thread shuts the socket down when a transaction's time is up: whatever the driver is
waiting for, it then finds the connection closed. It needs of a driver no more than `fileno()`, which psycopg and
psycopg2 have.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from errbot_sentry.domain.errors import StoreAway
from errbot_sentry.domain.locks import Lock, condition

_LOOK = 0.05  # seconds between looks at the clock while a transaction is under way
_IDLE = 30.0  # seconds without a transaction after which the thread ends
_LAST = 1.0  # seconds for it to end
_REST = 1.0  # seconds after a failure in which nobody tries
_HANGS = 0.5  # seconds; a server that refuses sooner is no burden to whoever uses it


class Limit:
    """The time limit of one transaction, and the sockets that are shut down when it is over."""

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.fired = False
        self.sockets: list[socket.socket] = []

    @property
    def left(self) -> float:
        """Seconds until it is over, below 0 afterwards."""
        return self.deadline - time.monotonic()


class Watchdog:
    """Ends connections that have outlived their transaction's time limit. Safe to use from any thread."""

    def __init__(self) -> None:
        self._guard = condition()
        self._limits: set[Limit] = set()
        self._thread: threading.Thread | None = None
        self._latest: float | None = None
        self._closed = False
        self._mine = threading.local()

    @contextmanager
    def limit(self, seconds: float) -> Iterator[Limit]:
        """This thread's work on the database ends in so many seconds in this block; a limit around it applies too."""
        outer: Limit | None = getattr(self._mine, "limit", None)
        mine = Limit(time.monotonic() + seconds)
        if outer is not None:
            mine.deadline = min(mine.deadline, outer.deadline)
        with self._guard:
            if self._latest is not None:
                mine.deadline = min(mine.deadline, self._latest)
        self._mine.limit = mine
        try:
            yield mine
        finally:
            self._mine.limit = outer
            with self._guard:
                self._limits.discard(mine)
            for each in mine.sockets:
                each.close()

    @property
    def current(self) -> Limit | None:
        """The limit of this thread."""
        found: Limit | None = getattr(self._mine, "limit", None)
        return found

    def guard(self, connection: Any) -> None:
        """Shut this driver's connection down when the limit of the present block is over."""
        limit, fileno = self.current, getattr(connection, "fileno", None)
        if limit is None or fileno is None:
            return
        # A number of our own for the same socket: the driver's may belong to another file when we come to use it.
        with suppress(Exception):  # closed already: whoever uses it finds out
            limit.sockets.append(socket.socket(fileno=os.dup(fileno())))
        with self._guard:
            self._limits.add(limit)
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="sentry-state-watchdog", daemon=True)
                self._thread.start()
            self._guard.notify()

    def end_within(self, seconds: float | None) -> None:
        """Everything under way, and all that begins from now on, ends in so many seconds; None: only its own limits."""
        with self._guard:
            self._latest = None if seconds is None else time.monotonic() + seconds
            for limit in self._limits:
                if self._latest is not None:
                    limit.deadline = min(limit.deadline, self._latest)

    def close(self) -> None:
        """No connection is open any more: let the thread end."""
        with self._guard:
            self._closed = True
            thread = self._thread
            self._guard.notify()
        if thread is not None:
            thread.join(_LAST)

    def _watch(self) -> None:
        while True:
            with self._guard:
                self._guard.wait_for(lambda: self._limits or self._closed, _IDLE)
                if not self._limits:
                    self._thread = None
                    return
                now = time.monotonic()
                for limit in [each for each in self._limits if each.deadline <= now]:
                    limit.fired = True
                    self._limits.discard(limit)
                    for each in limit.sockets:
                        with suppress(OSError):  # it is closed already
                            each.shutdown(socket.SHUT_RDWR)
            time.sleep(_LOOK)  # its whole work is to look every so often


class Outage:
    """While the server does not answer, everybody is refused at once, and one at a time tries again.

    Nobody waits for a time limit that another has just reached. Safe to use from any thread.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._guard = Lock()
        self._sentence = ""  # why the last attempt failed; "" while the server answers
        self._rests_until = 0.0
        self._trying = False

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Use the server in this block.

        Raises:
            StoreAway: it did not answer a moment ago, or somebody is finding out just now whether it does again.
        """
        with self._guard:
            begun = self._monotonic()
            tries = bool(self._sentence)
            if tries and (self._trying or begun < self._rests_until):
                raise StoreAway(self._sentence)
            self._trying = self._trying or tries
        sentence = ""
        try:
            yield
        except StoreAway as error:
            sentence = str(error)
            raise
        finally:
            with self._guard:
                now = self._monotonic()
                if sentence and (tries or now - begun >= _HANGS):
                    self._sentence, self._rests_until = sentence, now + _REST
                elif not sentence and tries:
                    self._sentence = ""
                self._trying = self._trying and not tries

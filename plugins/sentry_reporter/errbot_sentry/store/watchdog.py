"""Time limits for a database server that has stopped answering.

If a server hangs (a stopped process, a frozen disk), its machine still acknowledges packets, so neither the server's
time limits nor those of TCP end the wait. When a transaction's time is up, a thread here shuts its socket down, and the
driver finds the connection closed. The driver's connection only needs `fileno()`, which psycopg and psycopg2 have.
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

_CHECK_SECONDS = 0.05  # between looks at the clock while a transaction is under way
_IDLE_SECONDS = 30.0  # without a transaction, after which the thread ends
_JOIN_SECONDS = 1.0  # to wait for the thread to end
_RETRY_SECONDS = 1.0  # after a failure, in which nobody tries again
_SLOW_SECONDS = 0.5  # a first failure that came sooner starts no outage: its caller did not wait long


class Limit:
    """The deadline of one transaction, and the sockets that are shut down when it passes."""

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.fired = False
        self.sockets: list[socket.socket] = []

    @property
    def left(self) -> float:
        """Seconds until the deadline, negative after it."""
        return self.deadline - time.monotonic()


class Watchdog:
    """Shuts down connections whose transaction has passed its deadline. Thread-safe."""

    def __init__(self) -> None:
        self._guard = condition()
        self._limits: set[Limit] = set()
        self._thread: threading.Thread | None = None
        self._latest: float | None = None
        self._closed = False
        self._local = threading.local()

    @contextmanager
    def limit(self, seconds: float) -> Iterator[Limit]:
        """Limit this thread's database work in the block to so many seconds. An outer block's limit applies too."""
        outer: Limit | None = getattr(self._local, "limit", None)
        limit = Limit(time.monotonic() + seconds)
        if outer is not None:
            limit.deadline = min(limit.deadline, outer.deadline)
        with self._guard:
            if self._latest is not None:
                limit.deadline = min(limit.deadline, self._latest)
        self._local.limit = limit
        try:
            yield limit
        finally:
            self._local.limit = outer
            with self._guard:
                self._limits.discard(limit)
            for duplicate in limit.sockets:
                duplicate.close()

    @property
    def current(self) -> Limit | None:
        """The limit of the innermost block that this thread is in; None outside of any."""
        limit: Limit | None = getattr(self._local, "limit", None)
        return limit

    def guard(self, connection: Any) -> None:
        """Shut down this connection of the driver when the deadline of this thread's block passes."""
        limit, fileno = self.current, getattr(connection, "fileno", None)
        if limit is None or fileno is None:
            return
        # A duplicate of the file descriptor: if the driver closes its own, that number may soon belong to another file.
        with suppress(Exception):  # the connection is closed already, and its next use fails
            limit.sockets.append(socket.socket(fileno=os.dup(fileno())))
        with self._guard:
            self._limits.add(limit)
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="sentry-state-watchdog", daemon=True)
                self._thread.start()
            self._guard.notify()

    def end_within(self, seconds: float | None) -> None:
        """All transactions, including later ones, end within `seconds` from now. None lifts this limit again."""
        with self._guard:
            self._latest = None if seconds is None else time.monotonic() + seconds
            for limit in self._limits:
                if self._latest is not None:
                    limit.deadline = min(limit.deadline, self._latest)

    def close(self) -> None:
        """End the thread; call this when no connection is open any more."""
        with self._guard:
            self._closed = True
            thread = self._thread
            self._guard.notify()
        if thread is not None:
            thread.join(_JOIN_SECONDS)

    def _watch(self) -> None:
        while True:
            with self._guard:
                self._guard.wait_for(lambda: self._limits or self._closed, _IDLE_SECONDS)
                if not self._limits:
                    self._thread = None
                    return
                now = time.monotonic()
                for limit in [limit for limit in self._limits if limit.deadline <= now]:
                    limit.fired = True
                    self._limits.discard(limit)
                    for duplicate in limit.sockets:
                        with suppress(OSError):  # the connection is closed already
                            duplicate.shutdown(socket.SHUT_RDWR)
            time.sleep(_CHECK_SECONDS)  # outside of the lock; a new limit needs no earlier look


class Outage:
    """A circuit breaker: while the server does not answer, every use fails at once, except one attempt at a time.

    So no thread waits for a time limit that another thread has just reached. Thread-safe.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._guard = Lock()
        self._sentence = ""  # why the last attempt failed; "" while the server answers
        self._next_attempt = 0.0
        self._trying = False

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Use the server in this block.

        Raises:
            StoreAway: the server did not answer a moment ago, or another thread is just trying it again.
        """
        with self._guard:
            begun = self._monotonic()
            is_retry = bool(self._sentence)
            if is_retry and (self._trying or begun < self._next_attempt):
                raise StoreAway(self._sentence)
            self._trying = self._trying or is_retry
        sentence = ""
        try:
            yield
        except StoreAway as error:
            sentence = str(error)
            raise
        finally:
            with self._guard:
                now = self._monotonic()
                if sentence and (is_retry or now - begun >= _SLOW_SECONDS):
                    self._sentence, self._next_attempt = sentence, now + _RETRY_SECONDS
                elif not sentence and is_retry:
                    self._sentence = ""
                self._trying = self._trying and not is_retry

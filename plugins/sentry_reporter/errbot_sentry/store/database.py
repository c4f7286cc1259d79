"""The state: one engine, short transactions, and the queries of each flow.

The database library costs a good part of a second to import, so it is imported when the store is first used and not
when the bot loads the plugin.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from errbot_sentry.domain.errors import StoreAway, StoreError
from errbot_sentry.domain.locks import Lock
from errbot_sentry.store.corrupt_rows import CorruptRows
from errbot_sentry.store.watchdog import Outage, Watchdog

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from errbot_sentry.store.transaction import Transaction

# Bots that share a state lock these (`Transaction`), always in this order, so that no two wait for each other:
# - LOCK_DECIDE: beside others who decides about waiting alerts, alone who changes what decisions are made from,
# - the lanes of the problems that are decided about, without ever waiting for one,
# - LOCK_ROOMS, alone, who decides what a room gets: a storm is one of all problems.
# Who takes deliveries in locks their keys, and nothing else.
LOCK_DECIDE = 73_011_902
LOCK_ROOMS = 73_011_905
LOCK_FALLBACK = 73_011_904  # who sends notifications to the fallback; never together with the others
LOCK_LANES = 73_012_000  # and that of each lane behind it
LANES = 16

# Seconds for which each kind of data is kept.
_DAY = 86_400.0
KEEP_ALERTS = 30 * _DAY  # alerts with their decisions, and the keys by which repeated deliveries are recognised
KEEP_MESSAGES = 30 * _DAY  # delivered and set-aside messages, and with them which thread is about which issue
KEEP_GROUPS = 90 * _DAY  # what was sent to a room about a problem, since its last alert
KEEP_ISSUES = 180 * _DAY  # known issues, since the last alert or poll about them

# Seconds for one transaction, all waiting included. A webhook's sender gives up after one, yet what is stored in the
# second after that is not lost.
ANSWER_SECONDS = 2.0
WORK_SECONDS = 5.0
_MIGRATION_SECONDS = 900.0
_URGENT_TURN, _TURN = 1.0, 30.0  # seconds to wait for the other writers of this process


class Store:
    """The state behind one SQLAlchemy URL, or in the SQLite file of this path. Safe to use from any thread.

    Every public method raises StoreError, and only that, when the database cannot do it, or not in time.
    """

    def __init__(self, url: str | Path) -> None:
        self._url = url
        self._engine: Engine | None = None
        self._closed = False
        self._opening = Lock()
        self.corrupt_rows = CorruptRows()
        self._instance_lock = InstanceLock("")
        self._watchdog = Watchdog()
        self._outage = Outage(time.monotonic)
        # SQLite takes one writer at a time; queueing here is quick, its own lock is waited for by sleeping.
        self._writer_lock = Lock()

    @property
    def shared(self) -> bool:
        """Whether other bots may use the same state (PostgreSQL)."""
        return isinstance(self._url, str) and not self._url.startswith("sqlite")

    def open(self) -> None:
        """Connect and bring the tables up to date; done by the first use anyway. May be tried again after an error."""
        # Whoever opens it may have to migrate; nobody else waits for that.
        with self._opening.within(ANSWER_SECONDS) as taken:
            if not taken:
                raise StoreError("The alert state is being opened; try again in a moment.")
            if self._closed:
                raise StoreError("The alert state is closed.")
            if self._engine is None:
                engine = self._opened()
                if self._closed:  # in the meantime
                    engine.dispose()
                    self._instance_lock.release()
                    raise StoreError("The alert state is closed.")
                self._engine = engine

    def _opened(self) -> Engine:
        from errbot_sentry.store.engine import make_engine, mapped
        from errbot_sentry.store.migrations import migrate, pending

        with mapped(self._url):
            engine = make_engine(self._url, self._watchdog)
            try:
                with self._watchdog.limit(ANSWER_SECONDS):
                    waiting = pending(engine)
                if waiting:
                    with self._watchdog.limit(_MIGRATION_SECONDS):
                        migrate(engine)
                if engine.dialect.name == "sqlite":
                    self._instance_lock = InstanceLock(engine.url.database or "")
                    self._instance_lock.take()
            except BaseException:
                engine.dispose()
                raise
        return engine

    @contextmanager
    def write(self, *, urgent: bool = False) -> Iterator[Transaction]:
        """One transaction that may change things; it is on disk when this returns, or did not happen at all.

        An urgent one (somebody waits for its answer) has less time.
        """
        from errbot_sentry.store.engine import mapped
        from errbot_sentry.store.transaction import Transaction

        with (
            self._in_time(urgent=urgent) as engine,
            mapped(self._url),
            self._writing(urgent=urgent),
            engine.begin() as connection,
        ):
            yield Transaction(connection, self.corrupt_rows)

    @contextmanager
    def read(self, *, urgent: bool = False) -> Iterator[Transaction]:
        """One transaction that sees a consistent state and changes nothing; an urgent one has less time."""
        from errbot_sentry.store.engine import for_reading, mapped
        from errbot_sentry.store.transaction import Transaction

        with self._in_time(urgent=urgent) as engine, mapped(self._url), engine.connect() as connection:
            yield Transaction(for_reading(connection), self.corrupt_rows)

    def end_within(self, seconds: float | None) -> None:
        """The bot is ending: no transaction takes longer than that from now on. None: it goes on after all."""
        self._watchdog.end_within(seconds)

    def close(self) -> None:
        """Give the connections back; later use raises StoreError."""
        self._closed = True
        with self._opening.within(ANSWER_SECONDS):  # who opens it for longer finds it closed afterwards
            engine, self._engine = self._engine, None
            if engine is not None:
                self._dispose(engine)
            self._watchdog.close()
            self._instance_lock.release()

    def _dispose(self, engine: Engine) -> None:
        try:
            with self._writing(urgent=True):
                engine.dispose()
        except StoreError:  # who writes for so long finds its connection closed by its end
            engine.dispose()

    def _ready(self) -> Engine:
        engine = self._engine
        if engine is None:
            self.open()
            engine = self._engine
        if engine is None:
            raise StoreError("The alert state is closed.")
        return engine

    @contextmanager
    def _in_time(self, *, urgent: bool) -> Iterator[Engine]:
        """Within a time limit; not at all for a moment after the server has let one of these pass."""
        if not self.shared or self._watchdog.current is not None:  # or within another that has its limit
            yield self._ready()
            return
        with self._outage.attempt():
            engine = self._ready()
            with self._watchdog.limit(ANSWER_SECONDS if urgent else WORK_SECONDS) as limit:
                try:
                    yield engine
                except StoreError as error:
                    if limit.fired and not isinstance(error, StoreAway):
                        raise StoreAway(str(error)) from error.__cause__
                    raise

    @contextmanager
    def _writing(self, *, urgent: bool) -> Iterator[None]:
        if self.shared:
            yield
            return
        with self._writer_lock.within(_URGENT_TURN if urgent else _TURN) as taken:
            if not taken:
                raise StoreError("The alert state cannot be written: another part of the bot has been at it too long.")
            yield


log = logging.getLogger(__name__)


class InstanceLock:
    """Taken while a state is open, as a lock on a small file beside the database.

    It only warns: an empty lock file that is left behind locks nobody out.
    """

    def __init__(self, path: str) -> None:
        """`path` is the database file; "" for one in memory, of which nobody else can know."""
        self._path = path
        self._file: int | None = None

    def take(self) -> bool:
        """Whether this is the only one; logged where it is not. True where that cannot be found out."""
        try:
            import fcntl  # not on Windows
        except ImportError:
            return True
        if not self._path or self._path == ":memory:":
            return True
        try:
            self._file = os.open(f"{self._path}.lock", os.O_CREAT | os.O_RDWR, 0o600)
        except OSError:
            return True
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self.release()
            log.warning(
                "another bot has %s open: each may repeat what the other has just sent; "
                "give each bot a file of its own, or both a PostgreSQL (SENTRY_STATE_URL)",
                self._path,
            )
            return False
        return True

    def release(self) -> None:
        """It is closed."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

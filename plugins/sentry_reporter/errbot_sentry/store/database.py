"""The store: it opens the database and gives out transactions with a time limit.

SQLAlchemy takes a good part of a second to import. It is imported when the store is first used, and not when the bot
loads the plugin.
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

# Advisory locks of PostgreSQL, for bots that share one database (see `Transaction`). Every transaction takes them in
# this order, so that no two transactions wait for each other:
# - LOCK_DECIDE: shared by all transactions that decide about waiting alerts; exclusive in a transaction that changes
#   the data that decisions are based on.
# - One lock for each lane of the problems that are decided about. No transaction ever waits for a lane.
# - LOCK_ROOMS: exclusive in a transaction that decides what a room gets, since a storm counts alerts of all lanes.
# A transaction that stores deliveries locks their keys, and nothing else.
LOCK_DECIDE = 73_011_902
LOCK_ROOMS = 73_011_905
LOCK_FALLBACK = 73_011_904  # for sending notifications to the fallback; never taken together with the others
LOCK_LANES = 73_012_000  # the first lane's lock; the other lanes' numbers follow
LANES = 16

# Seconds for which each kind of data is kept.
_DAY = 86_400.0
KEEP_ALERTS = 30 * _DAY  # alerts with their decisions, the keys of their deliveries, and silences that have ended
KEEP_MESSAGES = 30 * _DAY  # sent and undeliverable messages, and with them which thread is about which issue
KEEP_GROUPS = 90 * _DAY  # what was sent to a room about a problem, since its last alert
KEEP_ISSUES = 180 * _DAY  # known issues, since the last alert or poll about them

# Seconds for one transaction, including all waiting. A webhook's sender gives up after one second, but an alert that is
# stored in the second after that is not lost.
ANSWER_SECONDS = 2.0
WORK_SECONDS = 5.0
_MIGRATION_SECONDS = 900.0
_TRIAL, _TRIAL_SIZE = "trial of writing", 65_536  # a row's name, and its bytes: more than a webhook needs
_URGENT_WAIT, _WAIT = 1.0, 30.0  # seconds to wait for the other writers of this process


class Store:
    """The plugin's data in the database of an SQLAlchemy URL, or in the SQLite file at a path. Thread-safe.

    Every public method raises StoreError, and nothing else, if the database fails or takes too long.
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
        self._unwritten = ""  # why the last change failed; "" if none did since `write_trouble` looked
        # SQLite has one writer at a time. Waiting for this lock ends at once; SQLite itself would sleep and poll.
        self._writer_lock = Lock()

    @property
    def shared(self) -> bool:
        """Whether other bots may use the same database (PostgreSQL)."""
        return isinstance(self._url, str) and not self._url.startswith("sqlite")

    def open(self) -> None:
        """Connect, and bring the tables up to date. The first use does this too; after an error it can be repeated."""
        # The thread that opens the database may have to migrate it; other threads do not wait that long.
        with self._opening.within(ANSWER_SECONDS) as taken:
            if not taken:
                raise StoreError("The alert state is being opened; try again in a moment.")
            if self._closed:
                raise StoreError("The alert state is closed.")
            if self._engine is None:
                engine = self._opened()
                if self._closed:  # while it was being opened
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
        """One transaction that may change data. When the block ends, all of it is on disk, or none after an error.

        An `urgent` transaction, whose result somebody waits for, has less time.
        """
        from errbot_sentry.store.engine import mapped
        from errbot_sentry.store.transaction import Transaction

        try:
            with (
                self._in_time(urgent=urgent) as engine,
                mapped(self._url),
                self._writing(urgent=urgent),
                engine.begin() as connection,
            ):
                yield Transaction(connection, self.corrupt_rows)
        except StoreError as error:
            self._unwritten = str(error)
            raise

    def write_trouble(self) -> str:
        """Why nothing can be stored, although the data can be read (full disk, read-only); "" if it can.

        Nothing is tried unless a change has failed: then one that needs some space, and changes nothing else.
        """
        if not self._unwritten:
            return ""
        try:
            for size in (_TRIAL_SIZE, 0):
                with self.write(urgent=True) as tx:
                    tx.made_once.put(_TRIAL, "0" * size)
        except StoreError as error:
            return str(error)
        self._unwritten = ""
        return ""

    @contextmanager
    def read(self, *, urgent: bool = False) -> Iterator[Transaction]:
        """One transaction that sees a consistent state and changes nothing; an `urgent` one has less time."""
        from errbot_sentry.store.engine import for_reading, mapped
        from errbot_sentry.store.transaction import Transaction

        with self._in_time(urgent=urgent) as engine, mapped(self._url), engine.connect() as connection:
            yield Transaction(for_reading(connection), self.corrupt_rows)

    def end_within(self, seconds: float | None) -> None:
        """Before the bot stops: every transaction ends within `seconds` from now. None lifts this limit again."""
        self._watchdog.end_within(seconds)

    def close(self) -> None:
        """Close the connections; later use raises StoreError."""
        self._closed = True
        with self._opening.within(ANSWER_SECONDS):  # a thread that still opens it then sees `_closed` afterwards
            engine, self._engine = self._engine, None
            if engine is not None:
                self._dispose(engine)
            self._watchdog.close()
            self._instance_lock.release()

    def _dispose(self, engine: Engine) -> None:
        try:
            with self._writing(urgent=True):
                engine.dispose()
        except StoreError:  # a thread still writes: its connection is closed when its transaction ends
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
        """Run the block with a time limit. While the server does not answer, raise StoreAway at once (`Outage`)."""
        if not self.shared or self._watchdog.current is not None:  # an enclosing block has set a limit already
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
        with self._writer_lock.within(_URGENT_WAIT if urgent else _WAIT) as taken:
            if not taken:
                raise StoreError("The alert state cannot be written: another part of the bot is still writing to it.")
            yield


log = logging.getLogger(__name__)


class InstanceLock:
    """Detects a second bot on the same SQLite file, by a lock on a small file beside the database.

    It only logs a warning. A lock file that is left behind keeps nobody out.
    """

    def __init__(self, path: str) -> None:
        """`path` is the database file; "" or ":memory:" for a database in memory, which nobody else can open."""
        self._path = path
        self._file: int | None = None

    def take(self) -> bool:
        """Whether no other bot has the file open; if one has, log it. True if this cannot be found out."""
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
        """Let another bot take the lock: this one has closed the database."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

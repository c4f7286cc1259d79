"""The database engine, and the one border where foreign errors become StoreError."""

from __future__ import annotations

import logging
import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Dialect, Engine, StaticPool, create_engine, event
from sqlalchemy.engine import ExceptionContext, make_url
from sqlalchemy.exc import DBAPIError, DisconnectionError, SQLAlchemyError

from errbot_sentry.config.secrets import mask_url
from errbot_sentry.domain.errors import StoreAway, StoreError
from errbot_sentry.store.watchdog import Watchdog

log = logging.getLogger(__name__)

# A webhook's sender waits for one second, so waiting longer for a foreign lock on the file would be in vain.
_BUSY_MILLISECONDS = 800
# Whoever creates the tables waits longer: nothing works without them, and the others who create them work on a disk.
_MIGRATION_BUSY_MILLISECONDS = 20_000
_LOOK = 0.02  # seconds between two tries to change a new file's journal
_POOL_SECONDS = 2.0  # for a connection while others have all of them
_READS = "errbot_sentry_reads"

# What libpq calls them. The shortest time that it takes for connecting is two seconds.
_SOCKET_LIMITS = {
    "connect_timeout": 2,
    "tcp_user_timeout": 4000,  # milliseconds; what was sent and nobody acknowledged
    "keepalives": 1,
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}
# Milliseconds, and shorter than our own limits for a transaction: a server that works gives its own reason. The last
# one frees what a bot has locked that was itself stopped in the middle.
_SERVER_LIMITS = {"statement_timeout": 4000, "lock_timeout": 1500, "idle_in_transaction_session_timeout": 15_000}
_CAUSES = (
    ("disk is full", "the disk is full"),
    ("disk full", "the disk is full"),
    ("no space left", "the disk is full"),
    ("is locked", "another program holds a lock on it"),
    ("readonly", "it is read-only"),
    ("read-only", "it is read-only"),
    ("unable to open", "its file cannot be opened"),
    ("malformed", "its file is damaged: move it away and restart the bot"),
    ("not a database", "its file is no SQLite database: move it away and restart the bot"),
    ("disk i/o", "the disk does not answer properly"),
    ("lock timeout", "another program holds a lock on it"),
    ("statement timeout", "the database server takes too long"),
    ("queuepool limit", "too much is asked of it at once"),
    ("connection", "the database server does not answer"),
)
NO_ANSWER = "the database server does not answer"


def make_engine(url: str | Path, watchdog: Watchdog) -> Engine:
    """An engine for an SQLAlchemy URL or an SQLite file's path; SQLite in WAL mode, every commit on disk before it
    returns, and the file readable by nobody else.

    On a database server every wait has an end: those of the connection and of the server are set here, and `watchdog`
    guards each connection while it is in use.
    """
    # A path may contain whatever a folder's name may: "?", "%41" and "#" mean something in a URL.
    address = URL.create("sqlite", database=str(url.absolute())) if isinstance(url, Path) else make_url(url)
    # Parameters are people's data and errors' texts: they stay out of the log.
    options: dict[str, Any] = {"hide_parameters": True}
    if address.get_backend_name() == "sqlite":
        options["connect_args"] = {"check_same_thread": False}
        if not address.database or address.database == ":memory:":
            options["poolclass"] = StaticPool  # each connection would be an empty database of its own
        else:
            options["pool_timeout"] = _POOL_SECONDS
            if not address.database.startswith("file:"):
                _make_private(address.database)
    else:
        options["pool_timeout"] = _POOL_SECONDS
        if address.get_driver_name() in ("psycopg", "psycopg2"):
            known = {name: value for name, value in _SOCKET_LIMITS.items() if name not in address.query}
            options["connect_args"] = known
    engine = create_engine(address, **options)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    else:
        _limit_server(engine, address, watchdog)
    event.listen(engine, "handle_error", _raise_ours)
    return engine


def _make_private(path: str) -> None:
    """Take the file from everybody but its owner; SQLite gives those beside it (-wal, -shm) the same mode.

    A file that is there is never opened for this: closing it would drop the locks that this process has on it (POSIX).
    """
    with suppress(OSError):  # what cannot be opened SQLite complains about, in a message that is known below
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    for file in map(Path, (path, f"{path}-wal", f"{path}-shm", f"{path}-journal")):
        with suppress(FileNotFoundError):
            mode = stat.S_IMODE(file.stat().st_mode)
            if mode & 0o077:
                _chmod(file, mode & ~0o077)


def _chmod(file: Path, mode: int) -> None:
    try:
        file.chmod(mode)
    except OSError as error:  # somebody else's file, or a file system without modes
        log.warning("%s can be read by others on this machine: %s", file, error)


def _limit_server(engine: Engine, address: URL, watchdog: Watchdog) -> None:
    """Guard each connection from the moment that it is made, try it before it is used, and set the server's limits."""
    set_by_url = str(address.query.get("options", ""))
    limits = {name: value for name, value in _SERVER_LIMITS.items() if name not in set_by_url}

    def connect(dialect: Dialect, _record: object, positional: list[Any], named: dict[str, Any]) -> Any:
        limit = watchdog.current
        if limit is not None and limit.left <= 0:
            raise _away(address)
        made = dialect.connect(*positional, **named)
        watchdog.guard(made)
        return made

    def set_up(connection: Any, record: Any) -> None:
        cursor = connection.cursor()
        for name, value in limits.items():
            cursor.execute(f"SET {name} = {value}")
        cursor.close()
        connection.commit()
        record.info["fresh"] = True

    def take(connection: Any, record: Any, _proxy: object) -> None:
        watchdog.guard(connection)
        if record.info.pop("fresh", False):
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as error:
            limit = watchdog.current
            if limit is not None and limit.left <= 0:
                raise _away(address) from error
            # The server was started again, perhaps: a new connection will show.
            raise DisconnectionError(str(error)) from error

    event.listen(engine, "do_connect", connect)
    event.listen(engine, "connect", set_up)
    event.listen(engine, "checkout", take)


@contextmanager
def without_limits(engine: Engine) -> Iterator[Connection]:
    """A transaction that waits for other writers, and takes time, as long as it needs: for migrations."""
    with engine.connect() as connection:
        driver: Any = connection.connection.driver_connection  # so that nothing of this begins the transaction
        if engine.dialect.name == "sqlite":
            driver.execute(f"PRAGMA busy_timeout={_MIGRATION_BUSY_MILLISECONDS}")
        try:
            with connection.begin():
                if engine.dialect.name == "postgresql":
                    for name in _SERVER_LIMITS:
                        connection.exec_driver_sql(f"SET LOCAL {name} = 0")
                yield connection
        finally:
            if engine.dialect.name == "sqlite":
                driver.execute(f"PRAGMA busy_timeout={_BUSY_MILLISECONDS}")


def _raise_ours(context: ExceptionContext) -> None:
    # At the statement itself, so that it can be told apart inside a transaction.
    if not context.is_pre_ping and isinstance(context.sqlalchemy_exception, SQLAlchemyError):
        raise _ours(context.engine.url if context.engine else "", context.sqlalchemy_exception)


def _set_up_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    # A text that is no UTF-8 must not make all of a question's rows unreadable.
    connection.text_factory = partial(str, encoding="utf-8", errors="replace")
    connection.isolation_level = None  # Python's own BEGIN comes too late and takes no write lock
    connection.execute(f"PRAGMA busy_timeout={_BUSY_MILLISECONDS}")
    _use_wal(connection)
    connection.execute("PRAGMA synchronous=FULL")


def _use_wal(connection: sqlite3.Connection) -> None:
    """Change a new file's journal. SQLite refuses that at once, without its busy time, while others have it open.

    Nothing is to be changed in a file that has been in use: there it takes no lock.
    """
    ends = time.monotonic() + _MIGRATION_BUSY_MILLISECONDS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if "is locked" not in str(error) or time.monotonic() >= ends:
                raise
            time.sleep(_LOOK)  # no event tells of a lock of another process
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    reads = connection.get_execution_options().get(_READS)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


@contextmanager
def mapped(url: str | Path) -> Iterator[None]:
    """Run database work; what it raises becomes one StoreError with the cause in one sentence."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error, ImportError, OSError) as error:
        raise _ours(url, error) from error


def _ours(url: object, error: Exception) -> StoreError:
    if _is_away(error):
        found: StoreError = _away(url)
    else:
        found = StoreError(f"The alert state ({_shown(url)}) cannot be used: {_cause(error)}.")
    found.__cause__ = error
    return found


def _shown(url: object) -> str:
    return str(url) if isinstance(url, Path) else mask_url(str(url))


def _away(url: object) -> StoreAway:
    return StoreAway(f"The alert state ({_shown(url)}) cannot be used: {NO_ANSWER}.")


def _is_away(error: Exception) -> bool:
    """Whether the way to the server failed, and not the statement."""
    if isinstance(error, DisconnectionError) or "this connection is closed" in str(error).lower():
        return True  # the latter is what the pool says after two that could not be used
    if not isinstance(error, DBAPIError) or isinstance(error.orig, sqlite3.Error):
        return False
    message = str(error.orig).lower()
    return error.connection_invalidated or "connection" in message or "connect to" in message


def _cause(error: Exception) -> str:
    message = str(getattr(error, "orig", None) or error).lower()
    if isinstance(error, ImportError):
        return "the database driver that its URL names is not installed"
    return next((sentence for part, sentence in _CAUSES if part in message), "the database refused")


def for_reading(connection: Connection) -> Connection:
    """The connection, set so that its transaction takes no write lock."""
    return connection.execution_options(**{_READS: True})

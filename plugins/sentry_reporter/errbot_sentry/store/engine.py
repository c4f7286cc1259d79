"""The SQLAlchemy engine, and the one place where SQLAlchemy's and the driver's errors become StoreError."""

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

# A webhook's sender gives up after one second, so it is useless to wait longer for another process's lock on the file.
_BUSY_MILLISECONDS = 800
# A migration waits longer: nothing works without the tables, and another process that is creating them needs time.
_MIGRATION_BUSY_MILLISECONDS = 20_000
_WAL_RETRY_SECONDS = 0.02  # between two tries to change a new file's journal
_POOL_SECONDS = 2.0  # to wait for a connection when all of the pool's are in use
_READS = "errbot_sentry_reads"

# Under libpq's names. Two seconds is the shortest `connect_timeout` that libpq accepts.
_SOCKET_LIMITS = {
    "connect_timeout": 2,
    "tcp_user_timeout": 4000,  # milliseconds that sent data may stay unacknowledged
    "keepalives": 1,
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}
# Milliseconds. Those of a statement and a lock are shorter than our own limits for a transaction, so that a working
# server reports its own reason. The last one frees the locks of a bot that was suspended inside a transaction.
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
    ("not a database", "its file is not an SQLite database: move it away and restart the bot"),
    ("disk i/o", "the disk does not answer properly"),
    ("lock timeout", "another program holds a lock on it"),
    ("statement timeout", "the database server takes too long"),
    ("queuepool limit", "too many transactions use it at once"),
    ("password authentication failed", "the database server does not accept its user and password"),
    ("no password supplied", "the database server asks for a password"),
    ("no pg_hba.conf entry", "the database server does not let its user in from here"),
    ('fatal:  role "', "the database server does not know its user"),
    ('fatal:  database "', "the database server has no such database"),
    ("permission denied for ", "its user has not all rights in the database: make it the owner"),
    ("too many clients", "the database server has too many connections"),
    ("connection slots", "the database server has too many connections"),
    ("resolve host", "its host is not known"),
    ("translate host name", "its host is not known"),
    ("can't load plugin", "no database driver has the name in its URL"),
    ("connection", "the database server does not answer"),
)
_NOT_CONNECTED = ("connection", "connect to", "resolve host", "translate host name")
NO_ANSWER = "the database server does not answer"


def make_engine(url: str | Path, watchdog: Watchdog) -> Engine:
    """An engine for an SQLAlchemy URL or for the path of an SQLite file.

    SQLite runs in WAL mode, a commit returns once it is on disk, and only the file's owner can read the file. On a
    database server every wait has a limit: the limits of the connection and of the server are set here, and `watchdog`
    guards each connection while it is in use.
    """
    # A path is not parsed as a URL, because the name of a folder may contain "?", "%41" or "#".
    address = URL.create("sqlite", database=str(url.absolute())) if isinstance(url, Path) else make_url(url)
    # Parameters contain people's data and the texts of errors, so they must not reach the log.
    options: dict[str, Any] = {"hide_parameters": True}
    if address.get_backend_name() == "sqlite":
        options["connect_args"] = {"check_same_thread": False}
        if not address.database or address.database == ":memory:":
            options["poolclass"] = StaticPool  # with more connections, each would get an empty database of its own
        else:
            options["pool_timeout"] = _POOL_SECONDS
            if not address.database.startswith("file:"):
                _make_private(address.database)
    else:
        options["pool_timeout"] = _POOL_SECONDS
        if address.get_driver_name() in ("psycopg", "psycopg2"):
            limits = {name: value for name, value in _SOCKET_LIMITS.items() if name not in address.query}
            options["connect_args"] = limits
    engine = create_engine(address, **options)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    else:
        _limit_server(engine, address, watchdog)
    event.listen(engine, "handle_error", _raise_store_error)
    return engine


def _make_private(path: str) -> None:
    """Let only the owner read and write the file; SQLite creates the files beside it (-wal, -shm) with the same mode.

    An existing file is never opened here: closing it would drop all locks that this process has on it (POSIX).
    """
    with suppress(OSError):  # the file exists, or SQLite fails to open it too and gives a reason listed in `_CAUSES`
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    for file in map(Path, (path, f"{path}-wal", f"{path}-shm", f"{path}-journal")):
        with suppress(OSError):  # it does not exist, or SQLite cannot reach it either
            mode = file.stat().st_mode
            if stat.S_ISREG(mode) and mode & 0o077:  # a folder or a device stays as it is: the setting is wrong
                _chmod(file, stat.S_IMODE(mode) & ~0o077)


def _chmod(file: Path, mode: int) -> None:
    try:
        file.chmod(mode)
    except OSError as error:  # somebody else's file, or a file system without modes
        log.warning("%s can be read by others on this machine: %s", file, error)


def _limit_server(engine: Engine, address: URL, watchdog: Watchdog) -> None:
    """Guard each connection from its start, test it before it is used, and set the server's time limits on it."""
    set_by_url = str(address.query.get("options", ""))
    limits = {name: value for name, value in _SERVER_LIMITS.items() if name not in set_by_url}

    def connect(dialect: Dialect, _record: object, positional: list[Any], named: dict[str, Any]) -> Any:
        limit = watchdog.current
        if limit is not None and limit.left <= 0:
            raise _away(address)
        connection = dialect.connect(*positional, **named)
        watchdog.guard(connection)
        return connection

    def set_up(connection: Any, record: Any) -> None:
        cursor = connection.cursor()
        for name, value in limits.items():
            cursor.execute(f"SET {name} = {value}")
        cursor.close()
        connection.commit()
        record.info["fresh"] = True

    def check_out(connection: Any, record: Any, _proxy: object) -> None:
        watchdog.guard(connection)
        if record.info.pop("fresh", False):
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as error:
            limit = watchdog.current
            if limit is not None and limit.left <= 0:
                raise _away(address) from error
            # The server may have been restarted. SQLAlchemy answers this error with a new connection.
            raise DisconnectionError(str(error)) from error

    event.listen(engine, "do_connect", connect)
    event.listen(engine, "connect", set_up)
    event.listen(engine, "checkout", check_out)


@contextmanager
def without_limits(engine: Engine) -> Iterator[Connection]:
    """A transaction for migrations: it may take any time, and waits longer for other writers."""
    with engine.connect() as connection:
        driver: Any = connection.connection.driver_connection  # used directly, so that no transaction begins yet
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


def _raise_store_error(context: ExceptionContext) -> None:
    # Raised at the failed statement itself, so that code inside the transaction already gets a StoreError.
    if not context.is_pre_ping and isinstance(context.sqlalchemy_exception, SQLAlchemyError):
        raise _store_error(context.engine.url if context.engine else "", context.sqlalchemy_exception)


def _set_up_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    # One text that is not UTF-8 must not make all rows of a query unreadable.
    connection.text_factory = partial(str, encoding="utf-8", errors="replace")
    connection.isolation_level = None  # Python's own BEGIN comes too late and takes no write lock
    connection.execute(f"PRAGMA busy_timeout={_BUSY_MILLISECONDS}")
    _use_wal(connection)
    connection.execute("PRAGMA synchronous=FULL")


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switch the file to WAL mode.

    While others use a new file, SQLite refuses the switch at once and ignores its busy timeout, so this tries again.
    A file that was in use before is in WAL mode already, and the statement needs no lock.
    """
    deadline = time.monotonic() + _MIGRATION_BUSY_MILLISECONDS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if "is locked" not in str(error) or time.monotonic() >= deadline:
                raise
            time.sleep(_WAL_RETRY_SECONDS)  # nothing notifies us when another process releases its lock
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    reads = connection.get_execution_options().get(_READS)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


@contextmanager
def mapped(url: str | Path) -> Iterator[None]:
    """Run database work in this block; its errors become a StoreError that names the cause in one sentence."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error, ImportError, OSError) as error:
        raise _store_error(url, error) from error


def _store_error(url: object, error: Exception) -> StoreError:
    sentence = f"The alert state ({_shown(url)}) cannot be used: {_cause(error)}."
    store_error = StoreAway(sentence) if _is_away(error) else StoreError(sentence)
    store_error.__cause__ = error
    return store_error


def _shown(url: object) -> str:
    return str(url) if isinstance(url, Path) else mask_url(str(url))


def _away(url: object) -> StoreAway:
    return StoreAway(f"The alert state ({_shown(url)}) cannot be used: {NO_ANSWER}.")


def _is_away(error: Exception) -> bool:
    """Whether the connection to the server failed, and not the statement."""
    if isinstance(error, DisconnectionError) or "this connection is closed" in str(error).lower():
        return True  # the pool says "this connection is closed" after two connections that could not be used
    if not isinstance(error, DBAPIError) or isinstance(error.orig, sqlite3.Error):
        return False
    message = str(error.orig).lower()
    return error.connection_invalidated or any(part in message for part in _NOT_CONNECTED)


def _cause(error: Exception) -> str:
    message = str(getattr(error, "orig", None) or error).lower()
    if isinstance(error, ImportError):
        return "the database driver that its URL names is not installed"
    otherwise = NO_ANSWER if _is_away(error) else "the database refused"
    return next((sentence for part, sentence in _CAUSES if part in message), otherwise)


def for_reading(connection: Connection) -> Connection:
    """The same connection, set up so that its transaction takes no write lock."""
    return connection.execution_options(**{_READS: True})

"""The database engine, and the one border where foreign errors become StoreError."""

from __future__ import annotations

import logging
import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, StaticPool, create_engine, event
from sqlalchemy.engine import URL, ExceptionContext, make_url
from sqlalchemy.exc import SQLAlchemyError

from errbot_sentry.errors import StoreError
from errbot_sentry.secret import mask_url

log = logging.getLogger(__name__)

# A webhook's sender waits for one second, so waiting longer for a foreign lock on the file would be in vain.
_BUSY_MILLISECONDS = 800
_READS = "errbot_sentry_reads"
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
    ("connection", "the database server does not answer"),
)


def make_engine(url: str | Path) -> Engine:
    """An engine for an SQLAlchemy URL or an SQLite file's path; SQLite in WAL mode, every commit on disk before it
    returns, and the file readable by nobody else."""
    # A path may hold whatever a folder's name may: "?", "%41" and "#" mean something in a URL.
    address = URL.create("sqlite", database=str(url.absolute())) if isinstance(url, Path) else make_url(url)
    # Parameters are people's data and errors' texts: they stay out of the log.
    options: dict[str, Any] = {"hide_parameters": True}
    if address.get_backend_name() == "sqlite":
        options["connect_args"] = {"check_same_thread": False}
        if not address.database or address.database == ":memory:":
            options["poolclass"] = StaticPool  # each connection would be an empty database of its own
        elif not address.database.startswith("file:"):
            _make_private(address.database)
    else:
        options["pool_pre_ping"] = True
        if "connect_timeout" not in address.query:
            options["connect_args"] = {"connect_timeout": 5}
    engine = create_engine(address, **options)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    event.listen(engine, "handle_error", _raise_ours)
    return engine


def _make_private(path: str) -> None:
    """Take the file from everybody but its owner; SQLite gives those beside it (-wal, -shm) the same mode.

    A file that is there is never opened for this: closing it would drop the locks that this process has on it (POSIX).
    """
    with suppress(OSError):  # what cannot be opened SQLite complains about, in words that are known below
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


def _raise_ours(context: ExceptionContext) -> None:
    # At the statement itself, so that whoever catches it inside a transaction knows what it is.
    if not context.is_pre_ping and isinstance(context.sqlalchemy_exception, SQLAlchemyError):
        raise _ours(context.engine.url if context.engine else "", context.sqlalchemy_exception)


def _set_up_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # Python's own BEGIN comes too late and takes no write lock
    connection.execute(f"PRAGMA busy_timeout={_BUSY_MILLISECONDS}")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")


def _begin_sqlite(connection: Connection) -> None:
    reads = connection.get_execution_options().get(_READS)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


@contextmanager
def mapped(url: str | Path) -> Iterator[None]:
    """Run database work; what it raises becomes one StoreError with the cause in plain words."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error, ImportError, OSError) as error:
        raise _ours(url, error) from error


def _ours(url: object, error: Exception) -> StoreError:
    shown = url if isinstance(url, Path) else mask_url(str(url))
    found = StoreError(f"The alert state ({shown}) cannot be used: {_cause(error)}.")
    found.__cause__ = error
    return found


def _cause(error: Exception) -> str:
    words = str(getattr(error, "orig", None) or error).lower()
    if isinstance(error, ImportError):
        return "the database driver that its URL names is not installed"
    return next((sentence for word, sentence in _CAUSES if word in words), "the database refused")


def for_reading(connection: Connection) -> Connection:
    """The connection, set so that its transaction takes no write lock."""
    return connection.execution_options(**{_READS: True})

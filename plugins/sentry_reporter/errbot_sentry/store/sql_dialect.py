"""Small things that both databases have and the library offers in different shapes."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Insert, Select, Table, or_
from sqlalchemy.dialects import postgresql, sqlite

from errbot_sentry.store.corrupt_rows import LATEST

FURTHEST = 900.0  # seconds: alerts and messages are put off by five minutes at most

SKEW = 60.0  # seconds: how far what is written by another bot may be ahead of one's own clock


def insert_for(connection: Connection, table: Table) -> Any:
    """An INSERT of the connection's own dialect, with `on_conflict_do_update` and `excluded`."""
    return insert_named(connection.dialect.name, table)


def insert_named(dialect: str, table: Table) -> Any:
    """The same for a dialect's name."""
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)


def upsert(connection: Connection, table: Table) -> Any:
    """An INSERT that replaces a row with the same primary key; to be executed with whole rows."""
    return _upsert(connection.dialect.name, table)


@lru_cache  # making the statement costs more than executing it
def _upsert(dialect: str, table: Table) -> Any:
    statement = insert_named(dialect, table)
    replaced = {column.name: statement.excluded[column.name] for column in table.c if not column.primary_key}
    return statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=replaced)


def add_row(connection: Connection, statement: Insert) -> int:
    """Insert one row; the number that the database gave it."""
    key = connection.execute(statement).inserted_primary_key
    return 0 if key is None else int(key[0])


def moment(connection: Connection, question: Select[Any]) -> float | None:
    """The one time that a question asks for, None where there is none."""
    return time_of(connection.scalar(question))


def time_of(value: object) -> float | None:
    """A time as it can be reckoned with, None where it is none: SQLite keeps whatever it is given."""
    if not isinstance(value, (int, float)) or not value < LATEST:
        return None
    return max(0.0, float(value))


def is_due(column: ColumnElement[float], now: float, furthest: float = FURTHEST) -> ColumnElement[bool]:
    """Whether the time in this column has come; one further ahead than anything is put off was written while the
    clock was wrong, and has come too."""
    return or_(column <= now, column > now + furthest)

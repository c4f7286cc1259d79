"""Statements that both databases take, and what the tables' queries have in common.

Many rows go in one statement where a webhook's sender waits. The library's way to insert many rows executes one
statement per row. With SQLite each of these lets go of the interpreter and has to win it back from all threads that
take webhooks; under load that waiting is most of an answer's time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from functools import lru_cache
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Insert, Select, Table, func, or_, select, tuple_
from sqlalchemy import Row as SqlRow
from sqlalchemy.dialects import postgresql, sqlite

from errbot_sentry.config.matchers import read_matcher
from errbot_sentry.store.corrupt_rows import LATEST, CorruptRows

FURTHEST = 900.0  # seconds: alerts and messages are put off by five minutes at most

AT_ONCE = 400  # parameters in one IN list
_ROWS = 100  # rows in one statement; SQLite takes 32,766 parameters

SKEW = 60.0  # seconds: how far what is written by another bot may be ahead of one's own clock

Row = tuple[Any, ...]
_AS_GIVEN: Mapping[str, str] = {}
T = TypeVar("T")


class Queries:
    """The queries about one table, inside one transaction; each table has its own."""

    def __init__(self, connection: Connection, corrupt_rows: CorruptRows) -> None:
        self._connection = connection
        self._corrupt_rows = corrupt_rows

    def _record(self, kind: type[T], table: Table, row: SqlRow[Any], **readers: Callable[[Any], object]) -> T | None:
        """The row as a record of this kind; None where it cannot be read.

        A field is the value of the column with its name, or what its reader makes of that.
        """
        keys = tuple(getattr(row, name) for name in _keys(table))
        # mypy does not see that a class can be hashed.
        names = [name for name in _names(kind) if name not in readers]  # type: ignore[arg-type]

        def make() -> T:
            values = {name: getattr(row, name) for name in names}
            return kind(**values, **{name: read(getattr(row, name)) for name, read in readers.items()})

        return self._corrupt_rows.read(table.name, keys[0] if len(keys) == 1 else keys, make)

    def _first(self, query: Select[Any], read: Callable[[SqlRow[Any]], T | None]) -> T | None:
        """The first row that a query finds, read; None where there is none, or it cannot be read."""
        row = self._connection.execute(query).first()
        return None if row is None else read(row)

    def _all(self, query: Select[Any], read: Callable[[SqlRow[Any]], T | None]) -> list[T]:
        """The rows that a query finds, read, without those that cannot be."""
        return [each for each in map(read, self._connection.execute(query)) if each is not None]

    def _counts(self, column: ColumnElement[Any]) -> dict[str, int]:
        """How many rows of a table have each value of this column."""
        found = self._connection.execute(select(column, func.count()).group_by(column))
        return {str(row[0]): row[1] for row in found}

    def _put(self, table: Table, records: Iterable[object]) -> None:
        """Add or replace records whose fields are the table's columns, always in the same order."""
        keys = _keys(table)
        # A row twice: the last one counts, and no statement may write it twice.
        rows = {tuple(str(each.__dict__[key]) for key in keys): each.__dict__ for each in records}
        if rows:
            columns = tuple(next(iter(rows.values())))
            insert_rows(self._connection, table, [tuple(rows[key].values()) for key in sorted(rows)], columns)

    def _forget(self, table: Table, limit: int, *old: ColumnElement[bool]) -> int:
        """Drop at most `limit` rows of which all this is true; how many were dropped."""
        keys = list(table.primary_key)
        found = select(*keys).where(*old).limit(limit)
        key = keys[0] if len(keys) == 1 else tuple_(*keys)
        return self._connection.execute(table.delete().where(key.in_(found))).rowcount


@lru_cache
def _names(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


@lru_cache
def _keys(table: Table) -> tuple[str, ...]:
    return tuple(column.name for column in table.primary_key)


def parts(items: Sequence[T], size: int = AT_ONCE) -> Iterator[Sequence[T]]:
    """The items in parts that are small enough for one statement."""
    return (items[start : start + size] for start in range(0, len(items), size))


def insert_for(dialect: str, table: Table) -> Any:
    """An INSERT of this dialect's own kind, with `on_conflict_do_update` and `excluded`."""
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)


@lru_cache  # making the statement costs more than executing it
def upsert(dialect: str, table: Table) -> Any:
    """An INSERT that replaces a row with the same primary key; to be executed with whole rows."""
    statement = insert_for(dialect, table)
    replaced = {column.name: statement.excluded[column.name] for column in table.c if not column.primary_key}
    return statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=replaced)


def add_row(connection: Connection, statement: Insert) -> int:
    """Insert one row; the number that the database gave it."""
    key = connection.execute(statement).inserted_primary_key
    return 0 if key is None else int(key[0])


def next_due(connection: Connection, query: Select[Any]) -> float | None:
    """The earliest time that a query finds, None where it finds none; 0, at once, where what it finds is no time."""
    found = connection.scalar(query)
    return None if found is None else time_of(found) or 0.0


def time_of(value: object) -> float | None:
    """A time that can be calculated with, None where it is none: SQLite stores whatever it is given."""
    if not isinstance(value, (int, float)) or not value < LATEST:
        return None
    return max(0.0, float(value))


def is_due(column: ColumnElement[float], now: float, furthest: float = FURTHEST) -> ColumnElement[bool]:
    """Whether the time in this column has come.

    A time further ahead than anything is put off was written while the clock was wrong, and has come too. So has what
    is no time (SQLite sorts texts behind all numbers, PostgreSQL NaN): the row is read, and then set aside.
    """
    return or_(column <= now, column > min(now + furthest, LATEST))


@lru_cache(maxsize=1024)  # the same few in every transaction, and regular expressions take long to read
def read_matchers(text: str) -> tuple[str, ...]:
    """Matchers from their column; any error where they are corrupt, or none that this version knows."""
    found = json.loads(text)
    if not isinstance(found, list):
        raise TypeError("matchers are no list")
    for each in found:
        read_matcher(each)
    return tuple(found)


def read_texts(text: str) -> tuple[str, ...]:
    """A list of texts from its column; any error where it is corrupt."""
    found = json.loads(text)
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise TypeError("that is no list of texts")
    return tuple(found)


def insert_rows(
    connection: Connection,
    table: Table,
    rows: Sequence[Row],
    columns: tuple[str, ...],
    made_of: Mapping[str, str] = _AS_GIVEN,
    *,
    replaced: tuple[str, ...] = (),
) -> None:
    """Add rows, each with values for these columns in this order; those with a known primary key are replaced.

    `made_of` has the expressions that make columns of their values, with `{mark}` for the value. Of a known row only
    the columns `replaced` are changed, if any are named.
    """
    for part in parts(rows, _ROWS):
        mark = _mark(connection)
        marks = tuple(made_of.get(name, "{mark}").format(mark=mark) for name in columns)
        statement = _insert_text(table, columns, len(part), marks, replaced)
        connection.exec_driver_sql(statement, tuple(value for row in part for value in row))


def select_in(connection: Connection, table: Table, columns: tuple[str, ...], keys: Sequence[str]) -> Iterator[Row]:
    """The rows whose first of these columns has one of these values."""
    for part in parts(keys, _ROWS):
        marks = ", ".join([_mark(connection)] * len(part))
        statement = f"SELECT {', '.join(columns)} FROM {table.name} WHERE {columns[0]} IN ({marks})"  # noqa: S608 - our own names
        yield from map(tuple, connection.exec_driver_sql(statement, tuple(part)))


def _mark(connection: Connection) -> str:
    return "?" if connection.dialect.paramstyle == "qmark" else "%s"


@lru_cache(maxsize=4 * _ROWS)
def _insert_text(
    table: Table, columns: tuple[str, ...], count: int, marks: tuple[str, ...], replaced: tuple[str, ...]
) -> str:
    rows = ", ".join([f"({', '.join(marks)})"] * count)
    keys = [f'"{column.name}"' for column in table.primary_key if column.name in columns]
    names = [f'"{name}"' for name in columns]  # "window" and "key" mean something
    changed = [f'"{name}"' for name in replaced] or [name for name in names if name not in keys]
    values = ", ".join(f"{name} = excluded.{name}" for name in changed)
    conflict = f" ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {values}" if keys else ""
    return f"INSERT INTO {table.name} ({', '.join(names)}) VALUES {rows}{conflict}"  # noqa: S608 - as above

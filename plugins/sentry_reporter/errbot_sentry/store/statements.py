"""SQL that both databases accept, and the base class of all queries.

If a webhook's sender waits, many rows are inserted with one statement. SQLAlchemy would execute one statement per row.
On SQLite each statement releases Python's interpreter lock and must get it back from all threads that serve webhooks;
under load that wait is most of an answer's time.
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
from errbot_sentry.domain.json_values import LATEST
from errbot_sentry.store.corrupt_rows import CorruptRows

FURTHEST = 900.0  # seconds; alerts and messages are put off by five minutes at most, so a later time is a mistake

AT_ONCE = 400  # parameters in one IN list
_ROWS = 100  # rows in one statement; SQLite takes 32,766 parameters

SKEW = 60.0  # seconds that the clock of another bot may be ahead of ours

Row = tuple[Any, ...]
_NO_EXPRESSIONS: Mapping[str, str] = {}
T = TypeVar("T")


class Queries:
    """Base class: the queries about one table, inside one transaction."""

    def __init__(self, connection: Connection, corrupt_rows: CorruptRows) -> None:
        self._connection = connection
        self._corrupt_rows = corrupt_rows

    def _record(self, kind: type[T], table: Table, row: SqlRow[Any], **readers: Callable[[Any], object]) -> T | None:
        """The row as a record of this dataclass; None if it cannot be read.

        Each field gets the value of the column of the same name, converted by its reader if it has one.
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
        rows = self._connection.execute(select(column, func.count()).group_by(column))
        return {str(row[0]): row[1] for row in rows}

    def _put(self, table: Table, records: Iterable[object]) -> None:
        """Add or replace records whose fields are the table's columns.

        Rows are written in the order of their keys, so that two transactions do not wait for each other.
        """
        keys = _keys(table)
        # One statement must not write a row twice. If two records have the same key, the last one counts.
        rows = {tuple(str(record.__dict__[key]) for key in keys): record.__dict__ for record in records}
        if rows:
            columns = tuple(next(iter(rows.values())))
            insert_rows(self._connection, table, [tuple(rows[key].values()) for key in sorted(rows)], columns)

    def _forget(self, table: Table, limit: int, *old: ColumnElement[bool]) -> int:
        """Delete at most `limit` rows that meet all conditions; returns how many were deleted."""
        keys = list(table.primary_key)
        query = select(*keys).where(*old).limit(limit)
        key = keys[0] if len(keys) == 1 else tuple_(*keys)
        return self._connection.execute(table.delete().where(key.in_(query))).rowcount


@lru_cache
def _names(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


@lru_cache
def _keys(table: Table) -> tuple[str, ...]:
    return tuple(column.name for column in table.primary_key)


def parts(items: Sequence[T], size: int = AT_ONCE) -> Iterator[Sequence[T]]:
    """The items in parts of at most `size`, so that each part fits into one statement."""
    return (items[start : start + size] for start in range(0, len(items), size))


def insert_for(dialect: str, table: Table) -> Any:
    """The dialect's own INSERT, which has `on_conflict_do_update` and `excluded`."""
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)


@lru_cache  # making the statement costs more than executing it
def upsert(dialect: str, table: Table) -> Any:
    """An INSERT that replaces a row with the same primary key. Execute it with values for all columns."""
    statement = insert_for(dialect, table)
    replaced = {column.name: statement.excluded[column.name] for column in table.c if not column.primary_key}
    return statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=replaced)


def add_row(connection: Connection, statement: Insert) -> int:
    """Insert one row; returns the id that the database gave it."""
    key = connection.execute(statement).inserted_primary_key
    return 0 if key is None else int(key[0])


def next_due(connection: Connection, query: Select[Any]) -> float | None:
    """The time that a query finds; None if it finds no row, and 0 (due at once) if the value is not a time."""
    value = connection.scalar(query)
    return None if value is None else time_of(value) or 0.0


def time_of(value: object) -> float | None:
    """The value as a time, None if it is not one: SQLite stores values of any type in any column."""
    if not isinstance(value, (int, float)) or not value < LATEST:
        return None
    return max(0.0, float(value))


def is_due(column: ColumnElement[float], now: float, furthest: float = FURTHEST) -> ColumnElement[bool]:
    """The condition that the time in this column has come.

    A time more than `furthest` seconds ahead counts as due too: nothing is put off for so long, so the clock was wrong
    when it was written. So does a value that is not a time (SQLite sorts texts behind all numbers, PostgreSQL sorts NaN
    there): the row is then read and set aside.
    """
    return or_(column <= now, column > min(now + furthest, LATEST))


@lru_cache(maxsize=1024)  # every transaction reads the same few, and compiling regular expressions is slow
def read_matchers(text: str) -> tuple[str, ...]:
    """Matchers from their column. Raises some error if the text is corrupt or this version cannot read a matcher."""
    matchers = json.loads(text)
    if not isinstance(matchers, list):
        raise TypeError("the matchers are not a list")
    for matcher in matchers:
        read_matcher(matcher)
    return tuple(matchers)


def read_texts(text: str) -> tuple[str, ...]:
    """A list of strings from its column. Raises some error if the text is corrupt."""
    texts = json.loads(text)
    if not isinstance(texts, list) or not all(isinstance(item, str) for item in texts):
        raise TypeError("the value is not a list of strings")
    return tuple(texts)


def insert_rows(
    connection: Connection,
    table: Table,
    rows: Sequence[Row],
    columns: tuple[str, ...],
    expressions: Mapping[str, str] = _NO_EXPRESSIONS,
    *,
    replaced: tuple[str, ...] = (),
) -> None:
    """Insert rows, each with its values in the order of `columns`. A row with the same primary key is replaced.

    `expressions` maps a column to the SQL that computes it, with `{mark}` in place of the given value. `replaced`
    limits which columns of an existing row are changed; empty means all.
    """
    for part in parts(rows, _ROWS):
        mark = _mark(connection)
        marks = tuple(expressions.get(name, "{mark}").format(mark=mark) for name in columns)
        statement = _insert_text(table, columns, len(part), marks, replaced)
        connection.exec_driver_sql(statement, tuple(value for row in part for value in row))


def select_in(connection: Connection, table: Table, columns: tuple[str, ...], keys: Sequence[str]) -> Iterator[Row]:
    """These columns of the rows whose first column is one of `keys`."""
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
    names = [f'"{name}"' for name in columns]  # quoted, since "window" and "key" are SQL keywords
    changed = [f'"{name}"' for name in replaced] or [name for name in names if name not in keys]
    values = ", ".join(f"{name} = excluded.{name}" for name in changed)
    conflict = f" ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {values}" if keys else ""
    return f"INSERT INTO {table.name} ({', '.join(names)}) VALUES {rows}{conflict}"  # noqa: S608 - as above

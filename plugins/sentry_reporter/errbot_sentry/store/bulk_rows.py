"""Many rows in one statement, for what a webhook's sender waits for.

The library's way to insert many rows executes one statement per row, and with SQLite each lets go of the interpreter
and has to win it back from all threads that take webhooks: under load that waiting is most of an answer's time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Table

_AT_ONCE = 100  # rows in one statement; SQLite takes 32,766 parameters


Row = tuple[Any, ...]


def insert_rows(connection: Connection, table: Table, rows: Sequence[Row], columns: tuple[str, ...]) -> None:
    """Add rows, each with values for these columns in this order; those with a known primary key are replaced."""
    for part in _parts(rows):
        statement = _insert(table, columns, len(part), _mark(connection))
        connection.exec_driver_sql(statement, tuple(value for row in part for value in row))


def select_in(connection: Connection, table: Table, columns: tuple[str, ...], keys: Sequence[str]) -> Iterator[Row]:
    """The rows whose first of these columns has one of these values."""
    for part in _parts(keys):
        marks = ", ".join([_mark(connection)] * len(part))
        statement = f"SELECT {', '.join(columns)} FROM {table.name} WHERE {columns[0]} IN ({marks})"  # noqa: S608 - our own names
        yield from map(tuple, connection.exec_driver_sql(statement, tuple(part)))


def _parts(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (items[start : start + _AT_ONCE] for start in range(0, len(items), _AT_ONCE))


def _mark(connection: Connection) -> str:
    return "?" if connection.dialect.paramstyle == "qmark" else "%s"


@lru_cache(maxsize=4 * _AT_ONCE)
def _insert(table: Table, columns: tuple[str, ...], count: int, mark: str) -> str:
    row = f"({', '.join([mark] * len(columns))})"
    keys = [column.name for column in table.primary_key if column.name in columns]
    replaced = ", ".join(f"{name} = excluded.{name}" for name in columns if name not in keys)
    conflict = f" ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {replaced}" if keys else ""
    return f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES {', '.join([row] * count)}{conflict}"  # noqa: S608 - as above

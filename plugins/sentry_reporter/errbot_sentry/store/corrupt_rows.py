"""Corrupt rows: those that cannot be read back are skipped, logged once and counted.

A failing disk, a person with a database tool or a newer version of the plugin can leave a row that this version cannot
read. Such a row must not stop the rows after it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable
from dataclasses import fields
from functools import lru_cache
from types import NoneType
from typing import Any, TypeVar

from errbot_sentry.domain.json_values import EARLIEST, LATEST
from errbot_sentry.domain.locks import Lock

log = logging.getLogger(__name__)

_TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "str | None": (str, NoneType),
    "int": (int,),
    "int | None": (int, NoneType),
    "float": (int, float),
    "float | None": (int, float, NoneType),
    "bool": (bool,),
}
_MOST_COUNTED, _MOST_LOGGED = 10_000, 100  # rows of one table
T = TypeVar("T")


class CorruptRows:
    """Reads rows into records, and counts those that cannot be read, by table. Thread-safe."""

    def __init__(self) -> None:
        self._corrupt_keys: dict[str, set[str]] = {}
        self._guard = Lock()

    def read(self, table: str, key: object, make: Callable[[], T | None]) -> T | None:
        """The record that `make` builds from a row; None if it fails or a field has a wrong type.

        Every row that a query returns passes through here. A record class with further rules has a method `check` that
        raises ValueError.
        """
        try:
            record = make()
            if record is not None and fits(record):
                if hasattr(record, "check"):
                    record.check()
                return record
        except Exception as error:  # noqa: BLE001 - one row's content must not affect other rows
            log.debug("row %r of the table %s: %s", key, table, error)
        self.note(table, key)
        return None

    def note(self, table: str, key: object) -> None:
        """Count this row as corrupt: it cannot be read, or its content cannot be used."""
        with self._guard:
            keys = self._corrupt_keys.setdefault(table, set())
            if str(key) in keys or len(keys) >= _MOST_COUNTED:
                return
            keys.add(str(key))
            count = len(keys)
        if count <= _MOST_LOGGED:
            log.error("row %r of the table %s in the alert state cannot be read and is skipped", key, table)
        if count == _MOST_LOGGED:
            log.error("further corrupt rows of the table %s are only counted", table)

    def tables(self) -> dict[str, int]:
        """How many corrupt rows were found since the start, by table."""
        with self._guard:
            return {table: len(keys) for table, keys in sorted(self._corrupt_keys.items())}


def fits(row: Any) -> bool:
    """Whether the fields of a record have the types that its dataclass declares; SQLite does not check types."""
    # mypy does not see that a class can be hashed.
    return all(isinstance(getattr(row, name), types) for name, types in _types(type(row))) and all(  # type: ignore[arg-type]
        EARLIEST < value < LATEST for value in row.__dict__.values() if type(value) is float
    )


@lru_cache
def _types(row: Hashable) -> tuple[tuple[str, tuple[type, ...]], ...]:
    # `row` is always a dataclass. Its field types are strings because of the import from __future__.
    return tuple((field.name, _TYPES[field.type]) for field in fields(row) if field.type in _TYPES)  # type: ignore[arg-type]

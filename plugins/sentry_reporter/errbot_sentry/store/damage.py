"""Rows that cannot be read back: passed over, said once in the log, and counted.

A failing disk, a person with a database tool or a newer version of the plugin can leave a row that makes no sense here.
One such row must never stop what comes after it.
"""

from __future__ import annotations

import logging
from collections.abc import Hashable
from dataclasses import fields
from functools import lru_cache
from types import NoneType
from typing import Any

from errbot_sentry.locks import Lock

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
_LATEST = 1e11  # seconds: the year 5138; what lies beyond is no time that can be shown or reckoned with


class Damage:
    """What was found so far in one state, by table and key. Safe to use from any thread."""

    def __init__(self) -> None:
        self._found: set[tuple[str, str]] = set()
        self._guard = Lock()

    def note(self, table: str, key: object) -> None:
        """This row cannot be read."""
        found = (table, str(key))
        with self._guard:
            if found in self._found:
                return
            self._found.add(found)
        log.error("row %r of the table %s in the alert state cannot be read and is passed over", key, table)

    def tables(self) -> dict[str, int]:
        """How many rows were passed over since the start, by table."""
        with self._guard:
            tables = [table for table, _ in self._found]
        return {table: tables.count(table) for table in sorted(set(tables))}


def fits(row: Any) -> bool:
    """Whether the fields of a row's dataclass have the types that it says; SQLite keeps whatever it is given."""
    # mypy does not see that a class can be hashed.
    return all(isinstance(getattr(row, name), types) for name, types in _types(type(row))) and all(  # type: ignore[arg-type]
        abs(value) < _LATEST for value in row.__dict__.values() if type(value) is float
    )


@lru_cache
def _types(row: Hashable) -> tuple[tuple[str, tuple[type, ...]], ...]:
    # Only dataclasses come here; their types are texts, by the import from __future__.
    return tuple((field.name, _TYPES[field.type]) for field in fields(row) if field.type in _TYPES)  # type: ignore[arg-type]

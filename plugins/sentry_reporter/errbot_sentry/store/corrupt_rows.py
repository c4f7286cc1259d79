"""Rows that cannot be read back: passed over, logged once, and counted.

A failing disk, a person with a database tool or a newer version of the plugin can leave a row that makes no sense here.
One such row must never stop what comes after it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable
from dataclasses import fields
from functools import lru_cache
from types import NoneType
from typing import Any, TypeVar

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
# Seconds: the years 68 and 5138; what lies beyond is no time that can be shown or reckoned with.
EARLIEST, LATEST = -6e10, 1e11
_MOST_COUNTED, _MOST_LOGGED = 10_000, 100  # rows of one table
T = TypeVar("T")


class CorruptRows:
    """Reads rows into records, and counts those that cannot be read, by table. Safe to use from any thread."""

    def __init__(self) -> None:
        self._found: dict[str, set[str]] = {}
        self._guard = Lock()

    def read(self, table: str, key: object, make: Callable[[], T | None]) -> T | None:
        """What `make` makes of a row, None where it cannot be made or does not fit: the only way out of a table.

        Records with rules of their own about their texts have a method `check` that raises ValueError.
        """
        try:
            noun = make()
            if noun is not None and fits(noun):
                if hasattr(noun, "check"):
                    noun.check()
                return noun
        except Exception as error:  # noqa: BLE001 - whatever is in a row concerns that row alone
            log.debug("row %r of the table %s: %s", key, table, error)
        self.note(table, key)
        return None

    def note(self, table: str, key: object) -> None:
        """Count this row: it cannot be read, or nothing can be done with it."""
        with self._guard:
            found = self._found.setdefault(table, set())
            if str(key) in found or len(found) >= _MOST_COUNTED:
                return
            found.add(str(key))
            count = len(found)
        if count <= _MOST_LOGGED:
            log.error("row %r of the table %s in the alert state cannot be read and is skipped", key, table)
        if count == _MOST_LOGGED:
            log.error("further rows of the table %s that cannot be read are counted only", table)

    def tables(self) -> dict[str, int]:
        """How many rows were passed over since the start, by table."""
        with self._guard:
            return {table: len(keys) for table, keys in sorted(self._found.items())}


def fits(row: Any) -> bool:
    """Whether the fields of a row's dataclass have the types that it declares; SQLite stores whatever it is given."""
    # mypy does not see that a class can be hashed.
    return all(isinstance(getattr(row, name), types) for name, types in _types(type(row))) and all(  # type: ignore[arg-type]
        EARLIEST < value < LATEST for value in row.__dict__.values() if type(value) is float
    )


@lru_cache
def _types(row: Hashable) -> tuple[tuple[str, tuple[type, ...]], ...]:
    # Only dataclasses come here; their types are texts, by the import from __future__.
    return tuple((field.name, _TYPES[field.type]) for field in fields(row) if field.type in _TYPES)  # type: ignore[arg-type]

"""Reading a server's JSON: wrong types and nulls become None or empty (json_values.py), never an exception of Python.

Only what nothing can be done without is demanded, and then BadAnswer says what was missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from errbot_sentry.domain import json_values
from errbot_sentry.domain.errors import BadAnswer
from errbot_sentry.domain.json_values import LONG, MOST_ROWS, SHORT

__all__ = ["LONG", "SHORT", "Fields", "an_object", "objects"]


class Fields:
    """A JSON object, or whatever came in its place; missing and mistyped fields read as None or empty.

    Every reader takes several names, for servers that spell the same field differently; the first that reads wins.
    """

    __slots__ = ("_data",)

    def __init__(self, value: Any) -> None:
        self._data: dict[str, Any] = value if isinstance(value, dict) else {}

    def __bool__(self) -> bool:
        return bool(self._data)

    def __contains__(self, name: str) -> bool:
        return name in self._data

    def raw(self, *names: str) -> Any:
        """The first of these that is there and not null."""
        for name in names:
            found = self._data.get(name)
            if found is not None:
                return found
        return None

    def text(self, *names: str, longest: int = SHORT) -> str:
        """A text; numbers are written out, anything else is ""."""
        for name in names:
            found = json_values.text(self._data.get(name), longest)
            if found:
                return found
        return ""

    def line(self, *names: str, longest: int = SHORT) -> str:
        """A text on one line, without control characters."""
        for name in names:
            value = self._data.get(name)
            if value is not None and (found := json_values.line(value, longest)):
                return found
        return ""

    def whole(self, *names: str) -> int | None:
        """A whole number, also from a text such as "150"."""
        for name in names:
            found = json_values.whole(self._data.get(name))
            if found is not None:
                return found
        return None

    def time(self, *names: str) -> datetime | None:
        """An aware time in UTC, from ISO 8601 or Unix seconds."""
        for name in names:
            found = json_values.moment(self._data.get(name))
            if found is not None:
                return found
        return None

    def yes(self, name: str) -> bool:
        """True only for true."""
        return self._data.get(name) is True

    def fields(self, *names: str) -> Fields:
        """An object inside; an empty one where there is none."""
        for name in names:
            found = self._data.get(name)
            if isinstance(found, dict):
                return Fields(found)
        return _NOTHING

    def rows(self, *names: str) -> list[Any]:
        """A list inside, at most MOST_ROWS of it."""
        for name in names:
            found = self._data.get(name)
            if isinstance(found, list):
                return json_values.rows(found)
        return []

    def pairs(self) -> Iterator[tuple[str, Any]]:
        """Names and values, as they came."""
        return iter(list(self._data.items())[:MOST_ROWS])

    def need(self, name: str, thing: str) -> str:
        """A text that must be there: an id.

        Raises:
            BadAnswer: naming the thing ("an issue") and the field.
        """
        found = self.text(name)
        if not found:
            raise BadAnswer(f'The server sent {thing} without "{name}": is SENTRY_SERVER right in config.py?')
        return found


_NOTHING = Fields(None)


def objects(value: Any, thing: str) -> list[Fields]:
    """A list of objects that must be one; rows of other types are left out.

    Raises:
        BadAnswer: it is no list.
    """
    if not isinstance(value, list):
        raise BadAnswer(f"The server sent something other than a list of {thing}: is SENTRY_SERVER right in config.py?")
    return [Fields(row) for row in json_values.rows(value) if isinstance(row, dict)]


def an_object(value: Any, thing: str) -> Fields:
    """An object that must be one.

    Raises:
        BadAnswer: it is none.
    """
    if not isinstance(value, dict):
        raise BadAnswer(f"The server sent something other than {thing}: is SENTRY_SERVER right in config.py?")
    return Fields(value)

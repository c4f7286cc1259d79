"""Reads a server's JSON. Wrong types and nulls become None or empty (json_values.py) and raise no Python exception.

Only fields that we cannot do without are required. If such a field is missing, BadAnswer names it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, TypeVar

from errbot_sentry.domain import json_values
from errbot_sentry.domain.errors import BadAnswer
from errbot_sentry.domain.json_values import LONG, MOST_ROWS, SHORT

__all__ = ["LONG", "SHORT", "Fields", "an_object", "objects", "read_rows"]

T = TypeVar("T")
_HINT = ": is SENTRY_SERVER right in config.py?"


class Fields:
    """A JSON object, or any other value in its place. Missing fields and fields of a wrong type are None or empty.

    Most readers accept several names, because servers spell the same field differently. The first one with a value is
    used.
    """

    __slots__ = ("_data",)

    def __init__(self, value: Any) -> None:
        self._data: dict[str, Any] = value if isinstance(value, dict) else {}

    def __bool__(self) -> bool:
        return bool(self._data)

    def __contains__(self, name: str) -> bool:
        return name in self._data

    def raw(self, *names: str) -> Any:
        """The first of these fields that is present and not null."""
        for name in names:
            found = self._data.get(name)
            if found is not None:
                return found
        return None

    def text(self, *names: str, longest: int = SHORT) -> str:
        """A text. Numbers become text, and any other value is ""."""
        for name in names:
            found = json_values.text(self._data.get(name), longest)
            if found:
                return found
        return ""

    def line(self, *names: str, longest: int = SHORT) -> str:
        """A text on one line, without control characters."""
        for name in names:
            if found := json_values.line(self._data.get(name), longest):
                return found
        return ""

    def whole(self, *names: str) -> int | None:
        """A whole number, which may be given as a text such as "150"."""
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
        """Whether the field is exactly `true`."""
        return self._data.get(name) is True

    def fields(self, *names: str) -> Fields:
        """The object in this field; an empty one if there is none."""
        for name in names:
            found = self._data.get(name)
            if isinstance(found, dict):
                return Fields(found)
        return _NOTHING

    def rows(self, *names: str) -> list[Any]:
        """The list in this field, at most MOST_ROWS items."""
        for name in names:
            found = self._data.get(name)
            if isinstance(found, list):
                return json_values.rows(found)
        return []

    def pairs(self) -> Iterator[tuple[str, Any]]:
        """Names and values as the server sent them, at most MOST_ROWS."""
        return iter(list(self._data.items())[:MOST_ROWS])

    def need(self, name: str, thing: str) -> str:
        """A required text, such as an id.

        Raises:
            BadAnswer: the text is missing; the message names the thing ("an issue") and the field.
        """
        found = self.text(name)
        if not found:
            raise BadAnswer(f'The server sent {thing} without "{name}"{_HINT}')
        return found


_NOTHING = Fields(None)


def objects(value: Any, thing: str) -> list[Fields]:
    """The value as a list of objects. Rows of other types are left out.

    Raises:
        BadAnswer: the value is not a list.
    """
    return [Fields(row) for row in _list(value, thing) if isinstance(row, dict)]


def read_rows(
    value: Any, thing: str, read: Callable[[Fields], T], most: int = MOST_ROWS
) -> tuple[tuple[T, ...], list[str]]:
    """What `read` makes of the first `most` rows of a list, and why it cannot read the others, one sentence for each.

    Raises:
        BadAnswer: the value is not a list, or not one of its rows can be read.
    """
    found: list[T] = []
    causes: list[str] = []
    for row in _list(value, thing)[:most]:
        try:
            found.append(read(an_object(row, f"a readable object in a list of {thing}")))
        except BadAnswer as error:
            causes.append(str(error).removesuffix(_HINT))
    if causes and not found:
        raise BadAnswer(causes[0] + _HINT)
    return tuple(found), causes


def _list(value: Any, thing: str) -> list[Any]:
    if not isinstance(value, list):
        raise BadAnswer(f"The server sent something other than a list of {thing}{_HINT}")
    return json_values.rows(value)


def an_object(value: Any, thing: str) -> Fields:
    """The value as an object.

    Raises:
        BadAnswer: the value is not an object.
    """
    if not isinstance(value, dict):
        raise BadAnswer(f"The server sent something other than {thing}{_HINT}")
    return Fields(value)

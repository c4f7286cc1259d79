"""Reading JSON that somebody else made: wrong types and nulls become None or empty, never an exception of Python.

Only what nothing can be done without is demanded, and then BadAnswer says what was missing. Texts are bounded, and
cleaned of what neither a database nor a socket takes (NUL, lone surrogates); escaping for chat is not done here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

from errbot_sentry.errors import BadAnswer

SHORT, LONG = 500, 8000
MOST_ROWS = 1000

_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d)?)(?:[.,](\d{1,9})\d*)?\s*(Z|[+-]\d\d(?::?\d\d)?)?", re.IGNORECASE
)


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
        return next((self._data[name] for name in names if self._data.get(name) is not None), None)

    def text(self, *names: str, longest: int = SHORT) -> str:
        """A text; numbers are written out, anything else is ""."""
        return next((found for name in names if (found := text(self._data.get(name), longest))), "")

    def whole(self, *names: str) -> int | None:
        """A whole number, also from a text such as "150"."""
        return next((found for name in names if (found := whole(self._data.get(name))) is not None), None)

    def time(self, *names: str) -> datetime | None:
        """An aware time in UTC, from ISO 8601 or Unix seconds."""
        return next((found for name in names if (found := moment(self._data.get(name))) is not None), None)

    def yes(self, name: str) -> bool:
        """True only for true."""
        return self._data.get(name) is True

    def fields(self, *names: str) -> Fields:
        """An object inside; an empty one where there is none."""
        return Fields(next((self._data[name] for name in names if isinstance(self._data.get(name), dict)), None))

    def rows(self, *names: str) -> list[Any]:
        """A list inside, at most MOST_ROWS of it."""
        return next((rows(self._data[name]) for name in names if isinstance(self._data.get(name), list)), [])

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


def objects(value: Any, thing: str) -> list[Fields]:
    """A list of objects that must be one; rows of other types are left out.

    Raises:
        BadAnswer: it is no list.
    """
    if not isinstance(value, list):
        raise BadAnswer(f"The server sent something else than a list of {thing}: is SENTRY_SERVER right in config.py?")
    return [Fields(row) for row in rows(value) if isinstance(row, dict)]


def an_object(value: Any, thing: str) -> Fields:
    """An object that must be one.

    Raises:
        BadAnswer: it is none.
    """
    if not isinstance(value, dict):
        raise BadAnswer(f"The server sent something else than {thing}: is SENTRY_SERVER right in config.py?")
    return Fields(value)


def rows(value: Any) -> list[Any]:
    """The list's beginning, or an empty one."""
    return value[:MOST_ROWS] if isinstance(value, list) else []


def text(value: Any, longest: int = SHORT) -> str:
    """The text, cleaned and cut to `longest` with an ellipsis; "" for what is neither text nor number."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return ""
    try:
        found = str(value)
    except ValueError:  # an integer of thousands of digits
        return ""
    if len(found) > longest:
        found = found[: longest - 1] + "…"
    return found.replace("\0", "").encode("utf-8", "replace").decode("utf-8")


def whole(value: Any) -> int | None:
    """A whole number that a database column can hold, or None."""
    if isinstance(value, str):
        digits = value.strip()
        value = int(digits) if re.fullmatch(r"-?[0-9]{1,18}", digits) else None
    if isinstance(value, float):
        value = int(value) if math.isfinite(value) else None
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 2**63:
        return None
    return value


def moment(value: Any) -> datetime | None:
    """An aware time in UTC from ISO 8601 (without a zone: UTC) or Unix seconds, or None.

    Python 3.10's own reader knows neither "Z" nor fractions of other than 3 or 6 digits.
    """
    try:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, timezone.utc)
        match = _TIME.fullmatch(value.strip()) if isinstance(value, str) else None
        if match is None:
            return None
        day, clock, fraction, zone = match.groups()
        clock += ":00" if clock.count(":") == 1 else ""
        zone = "+00:00" if zone in (None, "Z", "z") else f"{zone[:3]}:{zone[3:].strip(':') or '00'}"
        micro = (fraction or "").ljust(6, "0")[:6]
        return datetime.fromisoformat(f"{day}T{clock}.{micro}{zone}").astimezone(timezone.utc)
    except (ValueError, OverflowError, OSError):
        return None


def web_link(value: Any) -> str:
    """An http(s) address that is safe to show as a link, or ""."""
    if isinstance(value, str) and len(value) <= SHORT and re.fullmatch(r"https?://[!-~]+", value):
        return value
    return ""

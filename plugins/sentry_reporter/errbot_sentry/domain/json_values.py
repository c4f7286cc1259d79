"""Reading JSON values that somebody else made: nothing here raises, and what has the wrong type counts as absent.

Texts are bounded, and cleaned of what neither a database nor a socket takes (NUL, lone surrogates). They stay hostile:
escaping is the renderer's business.
"""

from __future__ import annotations

import math
import re
from datetime import datetime, timezone
from typing import Any

from errbot_sentry.domain.issues import LEVELS

SHORT, LONG = 500, 8000
MOST_ROWS = 1000
_MOST_TAGS = 100

_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d)?)(?:[.,](\d{1,9})\d*)?\s*(Z|[+-]\d\d(?::?\d\d)?)?", re.IGNORECASE
)
_UTC = (None, "Z", "z", "+00:00")
# What servers write: to the second or the microsecond, in UTC.
_UTC_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{6})?)(?:Z|\+00:00)")
_BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\s]+")
# Printable ASCII without the five that end a link in one backend or the other: quote, angles, backslash, backtick.
# Nothing stands before the host: `https://sentry.example.com@evil.example/` would lead to another than it shows.
_LINK = re.compile(r"https?://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?(?:[/?#][!#-;=?-\[\]-_a-~]*)?")
_LEVEL_NAMES = {"critical": "fatal", "warn": "warning", "log": "info", "sample": "debug"}


def rows(value: Any) -> list[Any]:
    """The list's beginning, or an empty one."""
    return value[:MOST_ROWS] if isinstance(value, list) else []


def text(value: Any, longest: int = SHORT) -> str:
    """The text, cleaned and cut to `longest` with an ellipsis; "" for what is neither text nor number."""
    if isinstance(value, str) and len(value) <= longest and value.isascii() and "\0" not in value:
        return value  # nearly all of them: there is nothing to clean
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
    """A whole number that fits a database column, or None."""
    if type(value) is int and abs(value) < 2**63:
        return value  # nearly all of them
    if isinstance(value, str):
        if len(value) <= 18 and value.isascii() and value.isdigit():
            return int(value)
        digits = value.strip()
        value = int(digits) if re.fullmatch(r"-?[0-9]{1,18}", digits) else None
    if isinstance(value, float):
        value = int(value) if math.isfinite(value) else None
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 2**63:
        return None
    return value


def amount(value: Any) -> float | None:
    """A number that can be written out, or None."""
    try:
        found = float(value) if type(value) in (int, float) else math.nan
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def moment(value: Any) -> datetime | None:
    """An aware time in UTC from ISO 8601 (without a zone: UTC) or Unix seconds, or None.

    Python 3.10's own reader knows neither "Z" nor fractions of other than 3 or 6 digits.
    """
    try:
        if isinstance(value, datetime):  # read already
            return value.astimezone(timezone.utc)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, timezone.utc)
        if not isinstance(value, str):
            return None
        if match := _UTC_TIME.fullmatch(value):
            return datetime.fromisoformat(match[1] + "+00:00")
        match = _TIME.fullmatch(value.strip())
        if match is None:
            return None
        day, clock, fraction, zone = match.groups()
        clock += ":00" if clock.count(":") == 1 else ""
        micro = (fraction or "").ljust(6, "0")[:6]
        if zone in _UTC:
            return datetime.fromisoformat(f"{day}T{clock}.{micro}+00:00")
        zone = f"{zone[:3]}:{zone[3:].strip(':') or '00'}"
        return datetime.fromisoformat(f"{day}T{clock}.{micro}{zone}").astimezone(timezone.utc)
    except (ValueError, OverflowError, OSError):
        return None


def web_link(value: Any) -> str:
    """An http(s) address that is safe to show as a link, or ""."""
    if isinstance(value, str) and len(value) <= SHORT and _LINK.fullmatch(value):
        return value
    return ""


def line(value: Any, longest: int = SHORT) -> str:
    """The same on one line: control characters and line breaks become one space."""
    if value is None:
        return ""
    if isinstance(value, str) and len(value) <= longest and value.isascii() and value.isprintable():
        return value.strip() if "  " not in value else " ".join(value.split())  # nearly all of them
    return text(_BREAKS.sub(" ", text(value, longest * 2 + 100)).strip(), longest)


def first_line(*values: Any) -> str:
    """The first of these that has any text, on one line."""
    return next((found for found in map(line, values) if found), "")


def level(value: Any) -> str | None:
    """One of LEVELS, also by other names that SDKs use, or None."""
    if value in LEVELS:
        return str(value)
    name = line(value).lower()
    name = _LEVEL_NAMES.get(name, name)
    return name if name in LEVELS else None


def tags(value: Any) -> tuple[tuple[str, str], ...]:
    """Tags with a key: `[{key, value}]` in the API, `[[key, value]]` in webhooks, `{key: value}` from SDKs."""
    found: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        found = list(value.items())
    for row in rows(value):
        if isinstance(row, dict):
            found.append((row.get("key"), row.get("value")))
        elif isinstance(row, list) and len(row) == 2:
            found.append((row[0], row[1]))
    cleaned = ((line(key, 200), line(said)) for key, said in found[:_MOST_TAGS])
    return tuple((key, said) for key, said in cleaned if key)

"""Reads untrusted JSON values. Nothing here raises, and a value of a wrong type counts as absent.

Texts are cut to a length and cleaned of NUL and lone surrogates, which databases and sockets refuse. They are still
untrusted: the renderer escapes them.
"""

from __future__ import annotations

import math
import re
from datetime import datetime, timezone
from typing import Any

from errbot_sentry.domain.issues import LEVELS

SHORT, LONG = 500, 8000
MOST_ROWS = 1000
# Seconds since 1970: the years 68 and 5138. No time beyond these can be stored, shown or calculated with.
EARLIEST, LATEST = -6e10, 1e11
_MOST_TAGS = 100

_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d)?)(?:[.,](\d{1,9})\d*)?\s*(Z|[+-]\d\d(?::?\d\d)?)?", re.IGNORECASE
)
_UTC = (None, "Z", "z", "+00:00")
# The form that servers write: in UTC, to the second or the microsecond.
_UTC_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{6})?)(?:Z|\+00:00)")
_BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\s]+")
# What shows nothing: white space, controls, Unicode's default ignorables (among them the fillers of Hangul, which count
# as letters), noncharacters, and blank signs such as U+2800 BRAILLE PATTERN BLANK.
_BLANK = re.compile(
    "[\\s\x00-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\u2800\u3164\ufdd0-\ufdef\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\U00013441\U00013442\U00016fe4"
    "\U0001bca0-\U0001bca3\U0001d159\U0001d173-\U0001d17a\U000e0000-\U000e0fff]+"
)
# Printable ASCII without the five characters that end a link in some backend: quote, both angle brackets, backslash and
# backtick. No user name before the host: `https://sentry.example.com@evil.example/` leads to another host than it
# seems.
_LINK = re.compile(r"https?://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?(?:[/?#][!#-;=?-\[\]-_a-~]*)?")
_LEVEL_NAMES = {"critical": "fatal", "warn": "warning", "log": "info", "sample": "debug"}


def rows(value: Any) -> list[Any]:
    """The first MOST_ROWS items of a list; [] if the value is not a list."""
    return value[:MOST_ROWS] if isinstance(value, list) else []


def text(value: Any, longest: int = SHORT) -> str:
    """A text or number as text, cleaned, and cut to `longest` with an ellipsis; "" for other types."""
    if isinstance(value, str) and len(value) <= longest and value.isascii() and "\0" not in value:
        return value  # a short cut for nearly all texts: there is nothing to clean
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return ""
    try:
        dirty = str(value)
    except ValueError:  # an integer of thousands of digits
        return ""
    if len(dirty) > longest:
        dirty = dirty[: longest - 1] + "…"
    return dirty.replace("\0", "").encode("utf-8", "replace").decode("utf-8")


def whole(value: Any) -> int | None:
    """A whole number that fits a database column, or None."""
    if type(value) is int and abs(value) < 2**63:
        return value  # a short cut for nearly all numbers
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
    """A finite number, or None."""
    try:
        number = float(value) if type(value) in (int, float) else math.nan
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def moment(value: Any) -> datetime | None:
    """An aware time in UTC, or None, from ISO 8601 (UTC if it has no zone) or Unix seconds.

    A time that is not between EARLIEST and LATEST is None, because the store could not read it back. Programs in Go
    write year 1 where they have no time.
    """
    try:
        found = _any_moment(value)
        return found if found is not None and EARLIEST < found.timestamp() < LATEST else None
    except (ValueError, OverflowError, OSError):
        return None


def _any_moment(value: Any) -> datetime | None:
    """Python 3.10's `fromisoformat` does not read "Z", and only reads fractions of 3 or 6 digits."""
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


def web_link(value: Any) -> str:
    """An http(s) address that is safe to show as a link, or ""."""
    if isinstance(value, str) and len(value) <= SHORT and _LINK.fullmatch(value):
        return value
    return ""


def line(value: Any, longest: int = SHORT) -> str:
    """Like `text`, on one line: each run of control characters and white space becomes one space.

    It begins with its first visible character, and is "" if it has none.
    """
    if isinstance(value, str):
        if len(value) <= longest and value.isprintable() and (value.isascii() or not _BLANK.match(value)):
            # A short cut for nearly all texts: nothing in them needs cleaning, and " " is their only white space.
            return value.strip() if "  " not in value else " ".join(value.split())
        blank = _BLANK.match(value)
        value = value if blank is None else value[blank.end() :]
    elif value is None:
        return ""
    return text(_BREAKS.sub(" ", text(value, longest * 2 + 100)).strip(), longest)


def first_line(*values: Any) -> str:
    """The first of these values that is not empty as `line` reads it; "" if all are."""
    return next((found for found in map(line, values) if found), "")


def level(value: Any) -> str | None:
    """One of LEVELS, or None. Also understands other names of levels that SDKs use."""
    if value in LEVELS:
        return str(value)
    name = line(value).lower()
    name = _LEVEL_NAMES.get(name, name)
    return name if name in LEVELS else None


def tags(value: Any) -> tuple[tuple[str, str], ...]:
    """Tags as pairs, without those whose key is empty.

    The API has `[{key, value}]`, webhooks have `[[key, value]]`, and SDKs send `{key: value}`.
    """
    pairs: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        pairs = list(value.items())
    for row in rows(value):
        if isinstance(row, dict):
            pairs.append((row.get("key"), row.get("value")))
        elif isinstance(row, list) and len(row) == 2:
            pairs.append((row[0], row[1]))
    cleaned = ((line(key, 200), line(tag_value)) for key, tag_value in pairs[:_MOST_TAGS])
    return tuple((key, tag_value) for key, tag_value in cleaned if key)

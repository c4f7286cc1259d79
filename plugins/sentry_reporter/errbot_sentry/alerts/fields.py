"""Readers of foreign JSON that never raise: what has the wrong type counts as absent, texts come out short and clean.

All texts come from errors and are hostile. Here they lose control characters and length, so that they fit a database
column and one line; escaping is the renderer's business.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from errbot_sentry.model import LEVELS

LONG, SHORT = 500, 200
_MOST_TAGS = 60
_BIGGEST = 2**53
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\s]+")
_LINK = re.compile(r"https?://[^\s<>\"'`\\]+", re.IGNORECASE)
_LEVEL_WORDS = {"critical": "fatal", "warn": "warning", "log": "info", "sample": "debug"}


def text(value: object, limit: int = SHORT) -> str:
    """A text on one line, at most `limit` characters; numbers as written, everything else as ""."""
    if isinstance(value, bool):
        return ""
    if isinstance(value, (int, float)):
        return str(value) if abs(value) < _BIGGEST else ""
    if not isinstance(value, str):
        return ""
    line = _CONTROLS.sub(" ", value[: limit * 2 + 100]).strip()
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def first_text(*values: object, limit: int = SHORT) -> str:
    """The first of these that has any text."""
    return next((found for found in (text(value, limit) for value in values) if found), "")


def mapping(value: object) -> Mapping[str, Any]:
    """An object, or an empty one."""
    return value if isinstance(value, dict) else {}


def items(value: object, limit: int = 100) -> list[Any]:
    """A list, cut at `limit`, or an empty one."""
    return value[:limit] if isinstance(value, list) else []


def number(value: object) -> int | None:
    """A whole number, also one written as text."""
    if isinstance(value, str) and re.fullmatch(r"\d{1,15}", value.strip()):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < _BIGGEST:
        return None
    return int(value)


def level(value: object) -> str | None:
    """One of LEVELS, or None."""
    word = text(value).lower()
    word = _LEVEL_WORDS.get(word, word)
    return word if word in LEVELS else None


def link(*values: object) -> str:
    """The first of these that is a plain web address."""
    return next((v for v in values if isinstance(v, str) and len(v) <= LONG and _LINK.fullmatch(v)), "")


def tags(value: object) -> tuple[tuple[str, str], ...]:
    """Tags from any of their three forms: `[[k, v]]` (webhooks), `[{"key", "value"}]` (the API), `{k: v}`."""
    pairs: list[tuple[object, object]] = []
    if isinstance(value, dict):
        pairs = list(value.items())
    for item in items(value, _MOST_TAGS * 2):
        if isinstance(item, dict):
            pairs.append((item.get("key"), item.get("value")))
        elif isinstance(item, list) and len(item) == 2:
            pairs.append((item[0], item[1]))
    cleaned = ((text(key), text(each)) for key, each in pairs[: _MOST_TAGS * 2])
    return tuple((key, each) for key, each in cleaned if key)[:_MOST_TAGS]


def moment(value: object) -> datetime | None:
    """A time from ISO text or seconds since 1970; without a zone it is UTC."""
    try:
        if isinstance(value, str):
            found = datetime.fromisoformat(value.strip().replace("Z", "+00:00"))
            return (found if found.tzinfo else found.replace(tzinfo=timezone.utc)).astimezone(timezone.utc)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, timezone.utc)
    except (ValueError, OverflowError, OSError):
        return None
    return None

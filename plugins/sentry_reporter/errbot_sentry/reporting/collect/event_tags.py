"""The form of tags that other plugins set: a bad one is not set, and the log says why."""

from __future__ import annotations

import re

_KEY = re.compile(r"[a-zA-Z0-9_.:-]{1,32}")
_LONGEST_VALUE = 200


def fault_of(key: object, value: object) -> str:
    """Why this tag cannot be set, "" if it can (https://docs.sentry.io/platforms/python/enriching-events/tags/)."""
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        return "its key must be 1 to 32 of a-z A-Z 0-9 _ . : -"
    text = str(value)
    if len(text) > _LONGEST_VALUE:
        return f"its value is longer than {_LONGEST_VALUE} characters"
    if "\n" in text or "\r" in text:
        return "its value has more than one line"
    if key.startswith("bot.") or key == "errbot.version":
        return "that key is set by SentryReporter itself"
    return ""

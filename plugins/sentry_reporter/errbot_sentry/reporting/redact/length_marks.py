"""What the SDK notes beside an event about lengths and limits (`_meta`), made anew from the event as it leaves.

The SDK makes its notes before anything is masked, so they repeat every key on the way to what was shortened. The shape:
https://develop.sentry.dev/sdk/data-model/event-payloads/ ("Meta").
"""

from __future__ import annotations

from typing import Any

_DEEPEST = 40
_REMARKS = frozenset({"!limit", "!raw", "!config", "x", "s"})


def marks_for(meta: Any, clean: Any, depth: int = 0) -> dict[str, Any]:
    """The marks of a cleaned event: they have no key but its own, and no text but the protocol's."""
    if not isinstance(meta, dict) or depth > _DEEPEST:
        return {}
    made: dict[str, Any] = {}
    for key, held in meta.items():
        if key == "":
            mark = _mark(held)
        elif isinstance(clean, dict) and key in clean:
            mark = marks_for(held, clean[key], depth + 1)
        elif isinstance(clean, list) and key.isdecimal() and int(key[:9]) < len(clean):
            mark = marks_for(held, clean[int(key[:9])], depth + 1)
        else:
            continue
        if mark:
            made[key] = mark
    return made


def _mark(held: Any) -> dict[str, Any]:
    if not isinstance(held, dict):
        return {}
    made: dict[str, Any] = {}
    if type(held.get("len")) is int:
        made["len"] = held["len"]
    remarks = held.get("rem")
    if isinstance(remarks, list) and all(
        isinstance(remark, list) and all(map(_is_remark, remark)) for remark in remarks
    ):
        made["rem"] = remarks
    return made


def _is_remark(part: Any) -> bool:
    return type(part) is int or (isinstance(part, str) and part in _REMARKS)

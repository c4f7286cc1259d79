"""The shape of events, https://develop.sentry.dev/sdk/data-model/event-payloads/: the protocol's own keys, and `_meta`.

The SDK notes lengths and limits beside an event (`_meta`) before anything is masked, so its notes repeat every key on
the way to what was shortened. They are made anew from the event as it leaves.
"""

from __future__ import annotations

from typing import Any

SOURCE_KEYS = ("pre_context", "context_line", "post_context")
FRAME_NAMES = ("filename", "abs_path", "function", "module")

# The protocol's own keys, which stay whatever was typed: without them the server could not read the event.
SPAN_KEYS = frozenset({"span_id", "trace_id", "parent_span_id", "op", "description", "start_timestamp", "timestamp",
    "status", "tags", "data", "origin", "same_process_as_parent", "measurements", "exclusive_time"})  # fmt: skip
BREADCRUMB_KEYS = frozenset({"type", "category", "message", "level", "timestamp", "data", "origin"})
CONTEXT_NAMES = frozenset({"trace", "runtime", "errbot", "plugin", "log", "repeats", "chat"})
CONTEXT_KEYS = SPAN_KEYS | {"type", "name", "version", "build", "backend", "module", "kind", "sentence", "count",
    "seconds", "message", "dynamic_sampling_context"}  # fmt: skip
MECHANISM_KEYS = frozenset({"type", "handled", "data", "source", "synthetic", "exception_id", "parent_id", "help_link",
    "is_exception_group", "description", "meta"})  # fmt: skip
LOGENTRY_KEYS = frozenset({"message", "formatted", "params"})
USER_KEYS = frozenset({"id", "username", "email", "ip_address", "name", "data", "geo", "segment"})
FRAME_KEYS = frozenset({"lineno", "colno", "in_app", "stack_start", "vars", *SOURCE_KEYS, *FRAME_NAMES})
REQUEST_KEYS = frozenset({"url", "method", "headers", "data", "query_string", "env"})  # cookies: each value is secret
THREAD_KEYS = frozenset({"id", "name", "crashed", "current", "main", "values"})
MEASUREMENT_KEYS = frozenset({"value", "unit"})

_DEEPEST = 40
_REMARKS = frozenset({"!limit", "!raw", "!config", "x", "s"})


def meta_for(meta: Any, clean: Any, depth: int = 0) -> dict[str, Any]:
    """The `_meta` of a redacted event: it has no key but the event's own, and no text but the protocol's."""
    if not isinstance(meta, dict) or depth > _DEEPEST:
        return {}
    made: dict[str, Any] = {}
    for key, value in meta.items():
        if key == "":
            mark = _mark(value)
        elif isinstance(clean, dict) and key in clean:
            mark = meta_for(value, clean[key], depth + 1)
        elif isinstance(clean, list) and key.isdecimal() and int(key[:9]) < len(clean):
            mark = meta_for(value, clean[int(key[:9])], depth + 1)
        else:
            continue
        if mark:
            made[key] = mark
    return made


def _mark(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        return {}
    made: dict[str, Any] = {}
    if type(value.get("len")) is int:
        made["len"] = value["len"]
    remarks = value.get("rem")
    if isinstance(remarks, list) and all(
        isinstance(remark, list) and all(map(_is_remark, remark)) for remark in remarks
    ):
        made["rem"] = remarks
    return made


def _is_remark(part: Any) -> bool:
    return type(part) is int or (isinstance(part, str) and part in _REMARKS)

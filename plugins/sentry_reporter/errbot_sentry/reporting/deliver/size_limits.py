"""Making an event as small as servers take: step by step, and the last step always fits.

Works on events as they leave, https://develop.sentry.dev/sdk/data-model/event-payloads/. The context `left_out`
says how much of what was left out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from errbot_sentry.reporting.redact.redaction import Event

_LONGEST_TEXT, _SHORT_TEXT = 1000, 200
_FIRST, _LAST = 10, 40  # of a list whose both ends matter: the root cause and what was raised, the entry and the error
_MOST_SPANS, _MOST_BREADCRUMBS, _MOST_NAMES, _MOST_FRAMES = 200, 30, 50, 5
_LARGEST_NUMBER = 2.0**63
_HEAVY = ("vars", "extra", "_meta")
_SCALARS = ("event_id", "timestamp", "start_timestamp", "type", "platform", "level", "logger", "release",
    "environment", "server_name", "dist", "transaction", "message")  # fmt: skip
_FRAME = ("filename", "function", "module", "lineno", "in_app")
_TRACE = ("trace_id", "span_id", "parent_span_id", "op", "status", "type")


def shrink(event: Event, most: int, size: Callable[[Event], int]) -> Event:
    """The event, as whole as it can be in `most` bytes; `size` says how many it takes as JSON.

    Without local variables and long texts first; then without the middle of long lists; then the least that says what
    happened, which takes less than 200 KB whatever the event was.
    """
    for step in (_slim, _shortened, _least):
        if size(event) <= most:
            break
        event = step(event)
    return event


def _slim(event: Event) -> Event:
    return {key: _cut(part, _LONGEST_TEXT) for key, part in event.items() if key not in _HEAVY}


def _cut(value: Any, longest: int) -> Any:
    if isinstance(value, str):
        return _text(value, longest)
    if isinstance(value, dict):
        return {_text(str(key), longest): _cut(part, longest) for key, part in value.items() if key not in _HEAVY}
    return [_cut(part, longest) for part in value] if isinstance(value, list) else value


def _text(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[:longest] + "…"


def _shortened(event: Event) -> Event:
    """Without modules, and of every list and mapping that grows with the program only a part."""
    left_out: dict[str, int] = {}
    short: Event = {key: part for key, part in event.items() if key != "modules"}
    for name, several in (("exception", "exceptions"), ("threads", "threads")):
        values = _values(event, name)
        if values:
            kept = [_with_short_stack(value) for value in _ends(values, _FIRST, _LAST)]
            short[name] = {"values": kept}
            left_out[several] = len(values) - len(kept)
    breadcrumbs = _values(event, "breadcrumbs")
    if breadcrumbs:
        short["breadcrumbs"] = {"values": breadcrumbs[-_MOST_BREADCRUMBS:]}
        left_out["breadcrumbs"] = len(breadcrumbs) - len(breadcrumbs[-_MOST_BREADCRUMBS:])
    spans = event.get("spans")
    if isinstance(spans, list):
        short["spans"] = spans[:_MOST_SPANS]
        left_out["spans"] = len(spans) - len(spans[:_MOST_SPANS])
    for name in ("tags", "contexts"):
        named = event.get(name)
        if isinstance(named, dict):
            short[name] = dict(list(named.items())[-_MOST_NAMES:])  # ours come last
            left_out[name] = len(named) - len(short[name])
    shorter: Event = _cut(short, _SHORT_TEXT)
    return _with_counts(shorter, left_out)


def _least(event: Event) -> Event:
    """What happened and where, in pieces that each have a bound."""
    least: Event = {key: _small(event[key]) for key in _SCALARS if key in event}
    for name in ("sdk", "user", "logentry", "transaction_info"):
        if isinstance(event.get(name), dict):
            least[name] = _smalls(event[name])
    tags = event.get("tags")
    if isinstance(tags, dict):
        least["tags"] = _smalls(tags)
    exceptions = [value for value in _values(event, "exception") if isinstance(value, dict)]
    if exceptions:
        least["exception"] = {"values": [_least_exception(value) for value in _ends(exceptions, 1, 1)]}
    part = event.get("contexts")
    contexts = part if isinstance(part, dict) else {}
    trace = contexts.get("trace")
    if isinstance(trace, dict):
        least["contexts"] = {"trace": {key: _small(trace[key]) for key in _TRACE if key in trace}}
    if event.get("type") == "transaction":
        least["spans"] = []
    counts = contexts.get("left_out")
    return _with_counts(least, {**(_smalls(counts) if isinstance(counts, dict) else {}), "everything_else": 1})


def _least_exception(value: Event) -> Event:
    least = {key: _small(value.get(key)) for key in ("type", "value", "module")}
    stack = value.get("stacktrace")
    frames = stack.get("frames") if isinstance(stack, dict) else None
    if isinstance(frames, list):
        kept = [frame for frame in frames if isinstance(frame, dict)][-_MOST_FRAMES:]
        least["stacktrace"] = {
            "frames": [{key: _small(frame[key]) for key in _FRAME if key in frame} for frame in kept]
        }
    return least


def _smalls(part: Event) -> Event:
    return {_text(str(key), _SHORT_TEXT): _small(value) for key, value in list(part.items())[-_MOST_FRAMES * 2 :]}


def _small(value: Any) -> Any:
    """A text, a truth or a number of bounded size; nothing else has one."""
    if isinstance(value, str):
        return _text(value, _SHORT_TEXT)
    if isinstance(value, (int, float)) and abs(value) < _LARGEST_NUMBER:
        return value
    return None


def _with_short_stack(value: Any) -> Any:
    stack = value.get("stacktrace") if isinstance(value, dict) else None
    if not isinstance(stack, dict) or not isinstance(stack.get("frames"), list):
        return value
    frames = stack["frames"]
    return {**value, "stacktrace": {**stack, "frames": _ends(frames, _FIRST, _LAST)}}


def _ends(items: list[Any], first: int, last: int) -> list[Any]:
    return items if len(items) <= first + last else [*items[:first], *items[-last:]]


def _values(event: Event, name: str) -> list[Any]:
    part = event.get(name)
    values = part.get("values") if isinstance(part, dict) else part
    return values if isinstance(values, list) else []


def _with_counts(event: Event, left_out: dict[str, Any]) -> Event:
    counts = {name: count for name, count in left_out.items() if count}
    if counts:
        contexts = event.get("contexts")
        part = contexts if isinstance(contexts, dict) else {}
        event["contexts"] = {**part, "left_out": {"type": "left_out", **counts}}
    return event

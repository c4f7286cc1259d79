"""Reads an event's JSON, both from the API of Sentry and GlitchTip and as an SDK sent it (Bugsink stores that).

The API uses camelCase, puts everything into `entries`, and has tags as `{key, value}` and source as `[line, text]`
pairs. An SDK uses snake_case, and has `exception.values` and source in `pre_context`, `context_line` and
`post_context` (develop.sentry.dev, "Event Payloads"; getsentry/sentry-api-schema, getOrganizationIssueEvent). One
reader accepts both.
"""

from __future__ import annotations

import json
import re
from typing import Any

from errbot_sentry.domain import json_values
from errbot_sentry.domain.issues import Event, EventBreadcrumb, EventRequest, ExceptionInfo, Frame
from errbot_sentry.server.payloads.json_fields import LONG, Fields

_MOST_EXCEPTIONS = 20
_MOST_FRAMES = 200
_MOST_VARIABLES = 50
_MOST_BREADCRUMBS = 100
_MOST_CONTEXTS = 30
_LONGEST_VALUE = 1000
_REPR = re.compile(r"-?\d[\d._]*(?:e[+-]?\d+)?|True|False|None|b?'.*'|b?\".*\"|<.*>|\w+\(.*\)", re.DOTALL)
_CREDENTIALS = re.compile(r"cookie|auth|token|secret|passw|session|csrf|api.?key|signature", re.IGNORECASE)


def read_event(data: Fields) -> Event:
    """The event. Only the id is required; any other field that is missing is None or empty.

    Raises:
        BadAnswer: the JSON has no id.
    """
    tags = json_values.tags(data.raw("tags"))
    tag = dict(tags)
    exceptions = tuple(_exception(Fields(value)) for value in _values(data)[-_MOST_EXCEPTIONS:])
    message = _message(data)
    return Event(
        id=data.text("eventID", "event_id") or data.need("id", "an event"),
        title=data.line("title") or _title(exceptions, message),
        at=data.time("dateCreated", "date_created", "timestamp", "datetime", "dateReceived", "date_received"),
        message=message,
        level=json_values.level(data.text("level") or tag.get("level")),
        environment=data.line("environment") or tag.get("environment") or None,
        release=data.line("release") or data.fields("release").line("version") or tag.get("release") or None,
        user=_user(data) or None,
        transaction=data.line("transaction") or tag.get("transaction", "") or data.line("culprit"),
        tags=tags,
        exceptions=exceptions,
        platform=data.line("platform"),
        breadcrumbs=_breadcrumbs(data),
        request=_request(data.fields("request") or _entry(data, "request")),
        contexts=_contexts(data.fields("contexts")),
    )


def _entry(data: Fields, kind: str) -> Fields:
    entries = (Fields(entry) for entry in data.rows("entries"))
    return next((entry.fields("data") for entry in entries if entry.text("type") == kind), Fields(None))


def _values(data: Fields) -> list[Any]:
    """The exceptions, in the order in which they were raised."""
    chain = data.raw("exception")
    return json_values.rows(chain) or Fields(chain).rows("values") or _entry(data, "exception").rows("values")


def _exception(value: Fields) -> ExceptionInfo:
    stack = value.fields("stacktrace") or value.fields("rawStacktrace", "raw_stacktrace")
    frames = stack.raw("frames")
    newest = frames[-_MOST_FRAMES:] if isinstance(frames, list) else []
    return ExceptionInfo(
        type=value.line("type"),
        value=value.text("value", longest=LONG),
        frames=tuple(_frame(Fields(frame)) for frame in newest if isinstance(frame, dict)),
    )


def _frame(frame: Fields) -> Frame:
    line = frame.whole("lineNo", "lineno", "line_no")
    return Frame(
        function=frame.line("function"),
        filename=frame.line("filename", "absPath", "abs_path", "module"),
        line=line,
        module=frame.line("module"),
        in_app=frame.yes("inApp") or frame.yes("in_app"),
        source=_source(frame, line),
        variables=_printed_pairs(frame.fields("vars")),
    )


def _source(frame: Fields, line: int | None) -> tuple[tuple[int, str], ...]:
    pairs = [pair for pair in frame.rows("context") if isinstance(pair, list) and len(pair) == 2]
    if pairs:
        numbered = ((json_values.whole(number), json_values.text(said, _LONGEST_VALUE)) for number, said in pairs)
        return tuple((number, said) for number, said in numbered if number is not None)
    before, at = frame.rows("pre_context", "preContext"), frame.raw("context_line", "contextLine")
    if line is None or at is None:
        return ()
    lines = [*before, at, *frame.rows("post_context", "postContext")]
    return tuple(
        (line - len(before) + place, json_values.text(said, _LONGEST_VALUE)) for place, said in enumerate(lines)
    )


def printed(value: Any) -> str:
    """A local variable as text. SDKs send most of them as text already."""
    if isinstance(value, str):
        return json_values.text(value, _LONGEST_VALUE)
    try:
        return json_values.text(_written(value), _LONGEST_VALUE)
    except (ValueError, RecursionError):
        return "…"


def _written(value: Any) -> str:
    """The value as JSON, but a text that is already the `repr` of a value stays as it is, without quotes.

    sentry-python sends the list `[1, 2]` as `["1", "2"]` (getsentry/sentry-python, sentry_sdk/serializer.py,
    `_serialize_node_impl`).
    """
    if isinstance(value, list):
        return f"[{', '.join(map(_written, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_written(key)}: {_written(item)}' for key, item in value.items())}}}"
    if isinstance(value, str) and _REPR.fullmatch(value):
        return value
    return json.dumps(value, ensure_ascii=False)


def _printed_pairs(fields: Fields) -> tuple[tuple[str, str], ...]:
    return tuple(
        (json_values.line(name, 200), printed(value)) for name, value in list(fields.pairs())[:_MOST_VARIABLES]
    )


def _breadcrumbs(data: Fields) -> tuple[EventBreadcrumb, ...]:
    """The newest breadcrumbs, oldest first. The API has them in `entries`, an SDK as `{values: […]}` or as a list."""
    sent = data.raw("breadcrumbs")
    rows = json_values.rows(sent) or Fields(sent).rows("values") or _entry(data, "breadcrumbs").rows("values")
    return tuple(
        EventBreadcrumb(
            at=row.time("timestamp"),
            category=row.line("category", "type"),
            level=json_values.level(row.raw("level")),
            message=row.text("message", longest=_LONGEST_VALUE),
            data=_printed_pairs(row.fields("data")),
        )
        for row in map(Fields, rows[-_MOST_BREADCRUMBS:])
        if row
    )


def _request(row: Fields) -> EventRequest | None:
    """The request, without headers that hold credentials. The API has headers as `[name, value]` pairs, an SDK as an
    object."""
    if not row.line("url", "method"):
        return None
    pairs = [(pair[0], pair[1]) for pair in row.rows("headers") if isinstance(pair, list) and len(pair) == 2]
    headers = pairs or list(row.fields("headers").pairs())
    query = row.raw("query", "query_string")
    body = row.raw("data")
    return EventRequest(
        method=row.line("method"),
        url=row.line("url"),
        query=query if isinstance(query, str) else _pairs_as_query(json_values.rows(query)),
        headers=tuple(
            (json_values.line(name, 200), json_values.line(value, _LONGEST_VALUE))
            for name, value in headers[:_MOST_VARIABLES]
            if not _CREDENTIALS.search(str(name))
        ),
        body="" if body in (None, "", {}, []) else printed(body),
    )


def _pairs_as_query(pairs: list[Any]) -> str:
    return "&".join(
        f"{json_values.line(pair[0])}={json_values.line(pair[1])}"
        for pair in pairs[:_MOST_VARIABLES]
        if isinstance(pair, list) and len(pair) == 2
    )


def _contexts(contexts: Fields) -> tuple[tuple[str, tuple[tuple[str, str], ...]], ...]:
    """The contexts, without the `type` of each, which only repeats its name or says "default"."""
    named = [(json_values.line(name, 200), Fields(value)) for name, value in contexts.pairs()]
    return tuple(
        (name, tuple(pair for pair in _printed_pairs(fields) if pair[0] != "type"))
        for name, fields in named[:_MOST_CONTEXTS]
        if fields
    )


def _message(data: Fields) -> str:
    for place in (data.fields("logentry"), data.fields("message"), _entry(data, "message")):
        if found := place.text("formatted", "message", longest=LONG):
            return found
    return data.text("message", longest=LONG)


def _title(exceptions: tuple[ExceptionInfo, ...], message: str) -> str:
    if not exceptions:
        return json_values.line(message.partition("\n")[0], 200)
    last = exceptions[-1]
    return f"{last.type}: {last.value}".partition("\n")[0].strip(": ")[:200]


def _user(data: Fields) -> str:
    user = data.fields("user")
    return user.line("username", "name", "email", "id", "ip_address") or data.line("user")

"""Events: the API's shape and the SDK's shape say the same, and nonsense in them breaks nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timezone
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings

from errbot_sentry.domain import json_values
from errbot_sentry.domain.errors import BadAnswer
from errbot_sentry.domain.issues import EventRequest, Issue, Project
from errbot_sentry.server.http.body import Undecodable, decode
from errbot_sentry.server.payloads.bugsink_json import read_bugsink_event, read_bugsink_issue, title_of
from errbot_sentry.server.payloads.event_json import printed, read_event
from errbot_sentry.server.payloads.issue_json import read_issue, read_list
from errbot_sentry.server.payloads.json_fields import Fields, read_rows
from tests.rules.server.test_reading import ANY_JSON

API_EVENT = {
    "eventID": "9999aaaaca8b46d797c23c6077c6ff01",
    "title": "ValueError: it broke",
    "message": "",
    "platform": "python",
    "dateCreated": "2026-11-21T10:20:30.5Z",
    "culprit": "shop in checkout",
    "user": {"id": "7", "username": "ann", "email": "ann@example.com"},
    "tags": [
        {"key": "environment", "value": "prod"},
        {"key": "level", "value": "error"},
        {"key": "release", "value": "1"},
    ],
    "entries": [
        {
            "type": "request",
            "data": {
                "method": "POST",
                "url": "https://shop.example/checkout",
                "query": [["step", "2"], ["coupon", "A"]],
                "headers": [["User-Agent", "curl"], ["Authorization", "Bearer abc"], ["X-Api-Key", "abc"]],
                "cookies": [["session", "abc"]],
                "data": {"basket": 3},
                "env": {"SERVER_NAME": "web1"},
            },
        },
        {
            "type": "breadcrumbs",
            "data": {
                "values": [
                    {
                        "timestamp": "2026-11-21T10:20:29Z",
                        "category": "query",
                        "level": "info",
                        "message": "SELECT 1",
                        "type": "default",
                        "data": {"rows": 3},
                        "event_id": None,
                    },
                    {"timestamp": None, "type": "http", "category": None, "message": None, "data": None},
                ]
            },
        },
        {
            "type": "exception",
            "data": {
                "values": [
                    {"type": "KeyError", "value": "'x'", "stacktrace": None},
                    {
                        "type": "ValueError",
                        "value": "it broke",
                        "stacktrace": {
                            "frames": [
                                {
                                    "function": "checkout",
                                    "filename": "shop.py",
                                    "lineNo": 12,
                                    "module": "shop",
                                    "inApp": True,
                                    "context": [[11, "def checkout():"], [12, "    raise ValueError"]],
                                    "vars": {"basket": "[]", "count": 3, "nested": {"a": [1]}},
                                }
                            ]
                        },
                    },
                ]
            },
        },
    ],
    "contexts": {"runtime": {"name": "CPython", "version": "3.13", "type": "runtime"}, "empty": {}, "odd": 3},
}
SDK_EVENT = {
    "event_id": "9999aaaaca8b46d797c23c6077c6ff01",
    "timestamp": 1795256430.5,
    "platform": "python",
    "level": "error",
    "environment": "prod",
    "release": "1",
    "transaction": "shop in checkout",
    "request": {
        "method": "POST",
        "url": "https://shop.example/checkout",
        "query_string": "step=2&coupon=A",
        "headers": {"User-Agent": "curl", "Cookie": "session=abc", "Authorization": "Bearer abc"},
        "data": {"basket": 3},
    },
    "breadcrumbs": {
        "values": [
            {
                "timestamp": 1795256429,
                "category": "query",
                "level": "info",
                "message": "SELECT 1",
                "data": {"rows": 3},
            },
            {"type": "http"},
        ]
    },
    "contexts": {"runtime": {"name": "CPython", "version": "3.13"}},
    "user": {"username": "ann"},
    "tags": {"environment": "prod", "level": "error", "release": "1"},
    "exception": {
        "values": [
            {"type": "KeyError", "value": "'x'"},
            {
                "type": "ValueError",
                "value": "it broke",
                "stacktrace": {
                    "frames": [
                        {
                            "function": "checkout",
                            "filename": "shop.py",
                            "lineno": 12,
                            "module": "shop",
                            "in_app": True,
                            "pre_context": ["def checkout():"],
                            "context_line": "    raise ValueError",
                            "vars": {"basket": "[]", "count": 3, "nested": {"a": [1]}},
                        }
                    ]
                },
            },
        ]
    },
}


def test_both_shapes_read_the_same():
    """What the API tells and what the SDK sent."""
    event = read_event(Fields(API_EVENT))
    assert read_event(Fields(SDK_EVENT)) == event
    assert event.at == datetime(2026, 11, 21, 10, 20, 30, 500000, tzinfo=timezone.utc)
    assert (event.level, event.environment, event.release, event.user) == ("error", "prod", "1", "ann")
    assert [each.type for each in event.exceptions] == ["KeyError", "ValueError"]
    frame = event.exceptions[-1].frames[-1]
    assert (frame.function, frame.filename, frame.line, frame.in_app) == ("checkout", "shop.py", 12, True)
    assert frame.source == ((11, "def checkout():"), (12, "    raise ValueError"))
    assert frame.variables == (("basket", "[]"), ("count", "3"), ("nested", '{"a": [1]}'))
    query, request = event.breadcrumbs
    assert (query.category, query.level, query.message, query.data) == ("query", "info", "SELECT 1", (("rows", "3"),))
    assert query.at == datetime(2026, 11, 21, 10, 20, 29, tzinfo=timezone.utc)
    assert (request.category, request.at, request.message) == ("http", None, "")
    assert event.contexts == (("runtime", (("name", "CPython"), ("version", "3.13"))),)
    assert event.request == EventRequest(
        "POST", "https://shop.example/checkout", "step=2&coupon=A", (("User-Agent", "curl"),), '{"basket": 3}'
    )


@pytest.mark.parametrize(
    "message",
    [
        {"logentry": {"message": "%s failed", "formatted": "x failed"}},
        {"message": "x failed"},
        {"message": {"formatted": "x failed"}},
        {"entries": [{"type": "message", "data": {"formatted": "x failed"}}]},
    ],
)
def test_a_message_without_an_exception(message):
    """Its first line is the title where the server gives none."""
    event = read_event(Fields({"id": "1", **message}))
    assert (event.title, event.message, event.exceptions) == ("x failed", "x failed", ())


@pytest.mark.parametrize(
    "tags", [[["a", "1"], ["b", 2]], [{"key": "a", "value": "1"}, {"key": "b", "value": 2}], {"a": "1", "b": 2}]
)
def test_tags_in_three_shapes(tags):
    """Pairs in webhooks, objects in the API, a mapping from SDKs."""
    assert json_values.tags(tags) == (("a", "1"), ("b", "2"))


def test_a_chain_and_a_stack_are_bounded_at_the_old_end():
    """The newest frames are what a person needs."""
    frames = [{"function": f"f{n}"} for n in range(5000)]
    values = [{"type": f"E{n}", "stacktrace": {"frames": frames}} for n in range(50)]
    event = read_event(Fields({"id": "1", "exception": {"values": values}}))
    assert event.exceptions[-1].type == "E49"
    assert event.exceptions[-1].frames[-1].function == "f4999"
    assert len(event.exceptions) <= 20
    assert len(event.exceptions[-1].frames) <= 200


def test_a_variable_that_cannot_be_printed_is_an_ellipsis():
    """Nesting that the parser took may be too much for the printer."""
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    assert printed(deep) == "…"


@pytest.mark.parametrize("field", [*API_EVENT, *SDK_EVENT, "logentry", "contexts"])
@settings(max_examples=25, deadline=None)
@given(nonsense=ANY_JSON)
def test_nonsense_in_any_field_of_an_event(field, nonsense):
    """Only an absent id is an error, and ours."""
    for shape in (API_EVENT, SDK_EVENT):
        try:
            read_event(Fields({**shape, field: nonsense}))
        except BadAnswer:
            assert field in ("eventID", "event_id", "id")


@settings(max_examples=25, deadline=None)
@given(frame=ANY_JSON, entry=ANY_JSON)
def test_nonsense_inside_the_stack(frame, entry):
    """Frames and entries of any type."""
    value = {
        "type": frame,
        "value": entry,
        "stacktrace": {"frames": [frame, {"vars": frame, "context": [[entry, frame]]}]},
    }
    read_event(Fields({"id": "1", "exception": [value, entry], "entries": [entry, {"type": "message", "data": frame}]}))


ISSUE = {
    "id": "12", "shortId": "WEB-C", "title": "t", "status": "ignored", "substatus": "archived_forever",
    "level": "error", "culprit": None, "metadata": {"filename": "shop.py", "function": "checkout"},
    "count": "150", "userCount": 3,
    "firstSeen": "2026-11-20T00:00:00Z", "lastSeen": "2026-11-21T00:00:00Z", "priority": "high",
    "project": {"id": "2", "slug": "web", "name": "Web"}, "assignedTo": {"type": "team", "id": "4", "name": "ops"},
    "stats": {"24h": [[1, 2], [3, 4]]}, "firstRelease": {"version": "1.0"}, "lastRelease": None,
}  # fmt: skip


def test_an_issue_of_the_api():
    """All that a row tells."""
    issue = read_issue(Fields(ISSUE), "https://x/1")
    assert (issue.id, issue.short_id, issue.status, issue.substatus) == ("12", "WEB-C", "archived", "archived_forever")
    assert (issue.events, issue.users, issue.trend) == (150, 3, (2, 4))
    assert issue.culprit == "shop.py in checkout"
    assert issue.assignee is not None
    assert (issue.assignee.kind, issue.assignee.name) == ("team", "ops")
    assert (issue.first_release, issue.last_release) == ("1.0", None)
    assert issue.project == Project("2", "web", "Web")


def test_a_status_that_is_none_of_ours_is_shown():
    """reprocessing, pending_merge."""
    issue = read_issue(Fields({**ISSUE, "status": "reprocessing", "substatus": None}), "")
    assert (issue.status, issue.substatus) == ("unresolved", "reprocessing")


@pytest.mark.parametrize("field", list(ISSUE))
@settings(max_examples=25, deadline=None)
@given(nonsense=ANY_JSON)
def test_nonsense_in_any_field_of_an_issue(field, nonsense):
    """Only an absent id is an error, and ours."""
    try:
        read_issue(Fields({**ISSUE, field: nonsense}), "")
    except BadAnswer:
        assert field == "id"


def _both_ways(body: bytes) -> list[object]:
    """What a list's body becomes: read for its issues, and decoded whole; errors by their text."""

    def outcome(read: Callable[[bytes], Any]) -> object:
        try:
            found = read(body)
            return (found, []) if isinstance(found, tuple) else read_rows(found, "issues", _read_row)
        except (BadAnswer, Undecodable) as error:
            return str(error)

    return [outcome(partial(read_list, read_row=_read_row)), outcome(decode)]


def _read_row(row: Fields) -> Issue:
    return read_issue(row, row.text("permalink"))


@pytest.mark.parametrize("field", [*ISSUE, "permalink", "annotations"])
@settings(max_examples=25, deadline=None)
@given(nonsense=ANY_JSON)
def test_a_list_reads_like_its_issues_whatever_is_in_a_field(field, nonsense):
    """Rows that `read_list` takes, and those that it leaves to `decode`."""
    issues, whole = _both_ways(json.dumps([ISSUE, {**ISSUE, field: nonsense}]).encode())
    assert issues == whole


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"{}",
        b"[] []",
        b"[1, null, []]",
        b'[{"id": "1", "x": NaN}]',
        b'[{"id": "1", "count": -Infinity}]',
        b'[{"id": 1e999}]',
        b'[{"id": "1", "count": 1' + b"0" * 40 + b"}]",
        b'[{"id": "1", "x": ' + b"[" * 50_000 + b"]" * 50_000 + b"}]",
        b'[{"id": "1", "title": "\\ud800"}]',
        b'[{"id": "1", "x": "\xff"}]',
        b"\xef\xbb\xbf[]",
        b'[{"id": "1", "title": "a\tb"}]',
        b'[{"id": "1", "id": "2", "title": "twice"}]',
        b'[{"id": "1", "firstSeen": "2026-11-20T00:00:00", "lastSeen": 1700000000}]',
        b'[{"id": "1", "firstSeen": "2026-11-20T00:00:00+02:00", "lastSeen": "0001-01-01T00:00:00+05:00"}]',
        b'[{"id": "1", "stats": {"24h": [[1, 2], [3, -4]], "14d": 5}}]',
        b'[{"id": "1", "stats": {"24h": [], "14d": [[1, 2], [3, 4]]}}]',
    ],
    ids=lambda body: body[:40].decode("latin-1"),
)
def test_a_hostile_list_is_refused_or_read_the_same_way(body):
    """Not JSON, too deep, too long, half a character, another zone or none."""
    issues, whole = _both_ways(body)
    assert issues == whole


def test_a_list_has_every_field_that_is_read():
    """One that is added to `read_issue` alone would be empty in lists only."""
    asked, listed = set(), []

    class Asked(dict[str, Any]):
        def get(self, name: str, default: object = None) -> Any:
            asked.add(name)
            return super().get(name, default)

    _read_row(Fields(Asked({"id": "1"})))
    body = json.dumps([{**dict.fromkeys([*asked, "annotations"]), "id": "1"}]).encode()
    issues = read_list(body, lambda row: (listed.extend(row.pairs()), _read_row(row))[1])
    assert isinstance(issues, tuple)
    assert {name for name, _value in listed} == asked


def test_a_title_that_shows_nothing_is_none():
    """A list says "(no title)" then."""
    title = "\u2800\u3164"
    (listed,) = read_list(json.dumps([{**ISSUE, "title": title}]).encode(), _read_row)
    event = read_event(Fields({"id": "1", "title": title, "message": title}))
    assert [listed.title, title_of("", title), event.title] == ["", "", ""]


def test_a_list_is_read_up_to_its_bound():
    """Whatever a server sends; all rows of a page are less."""
    body = json.dumps([{"id": str(number)} for number in range(1, 1200)]).encode()
    assert [len(issues) for issues, _causes in _both_ways(body)] == [1000, 1000]


BUGSINK_ISSUE = {
    "id": "0190d1a5-7b3c-7c4e-9d1f-2a3b4c5d6e7f", "friendly_id": "WEB-1", "project": 1, "digest_order": 1,
    "last_seen": "2026-11-21T00:00:00Z", "first_seen": "2026-11-20T00:00:00Z", "digested_event_count": 9,
    "stored_event_count": 3, "calculated_type": "ValueError", "calculated_value": "it broke\nagain",
    "transaction": "shop",
    "is_resolved": True, "is_resolved_unconditionally": False, "is_resolved_by_next_release": True, "is_muted": False,
}  # fmt: skip


def test_an_issue_of_bugsink():
    """Its title is made of two fields, its link is built."""
    issue = read_bugsink_issue(Fields(BUGSINK_ISSUE), Project("1", "web"), "https://b.test")
    assert (issue.title, issue.culprit, issue.events) == ("ValueError: it broke", "shop", 9)
    assert (issue.status, issue.substatus) == ("resolved", "resolved by the next release")
    assert issue.link == f"https://b.test/issues/issue/{issue.id}/event/last/"
    assert (issue.level, issue.users, issue.assignee) == (None, None, None)


@pytest.mark.parametrize(
    ("kind", "value", "title"), [("E", "", "E"), ("", "v", "v"), ("", "", ""), ("E", "\nv", "E: v")]
)
def test_a_title_of_two_parts(kind, value, title):
    """Either may be missing."""
    assert title_of(kind, value) == title


@pytest.mark.parametrize("field", [*BUGSINK_ISSUE, "data"])
@settings(max_examples=25, deadline=None)
@given(nonsense=ANY_JSON)
def test_nonsense_in_any_field_of_bugsink(field, nonsense):
    """Issues and events."""
    row = {**BUGSINK_ISSUE, "event_id": "0" * 32, "data": SDK_EVENT, field: nonsense}
    try:
        read_bugsink_issue(Fields(row), Project("1", "web"), "https://b.test")
        read_bugsink_event(Fields(row), Issue("1", "WEB-1", "t", Project("1", "web")))
    except BadAnswer:
        assert field == "id"


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        (["1", "2"], "[1, 2]"),
        (["'a'", "None", "1.5e-3", "<Cart 7>", "Decimal('1')"], "['a', None, 1.5e-3, <Cart 7>, Decimal('1')]"),
        ({"'a'": {"b": "True"}}, "{'a': {\"b\": True}}"),
        (["a", 1, None], '["a", 1, null]'),
        ("1", "1"),
    ],
)
def test_values_that_python_printed_are_not_shown_as_strings(sent: object, shown: str) -> None:
    assert printed(sent) == shown

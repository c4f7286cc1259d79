"""An issue as Sentry and GlitchTip write it in JSON.

Fields: getsentry/sentry-api-schema (listOrganizationIssues, getOrganizationIssue); GlitchTip as measured, which spells
some in snake_case after a change, and always counts 0 users.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, TypedDict

import msgspec

from errbot_sentry.domain import json_values
from errbot_sentry.domain.errors import BadAnswer
from errbot_sentry.domain.issues import ARCHIVED, RESOLVED, UNRESOLVED, Assignee, Issue, Project
from errbot_sentry.domain.json_values import MOST_ROWS
from errbot_sentry.server.http.body import Undecodable, decode
from errbot_sentry.server.payloads.json_fields import Fields

_STATUS = {
    "unresolved": UNRESOLVED,
    "resolved": RESOLVED,
    "resolvedInNextRelease": RESOLVED,
    "ignored": ARCHIVED,
    "archived": ARCHIVED,
    "muted": ARCHIVED,
}
_TREND_POINTS = 60
_MANY = 10**15

# The fields that `read_list` reads of a row; it skips all others. They are those that `read_issue` and its callers use,
# which a test checks. Only their names matter here, and the types of what takes long to read: any value may come.
_Time = Annotated[datetime, msgspec.Meta(tz=True)] | None
_Point = tuple[Any, Annotated[int, msgspec.Meta(ge=0, lt=_MANY)]]


class _Project(TypedDict, total=False):
    id: Any
    slug: Any
    name: Any


class _Metadata(TypedDict, total=False):
    function: Any
    filename: Any


class _Row(TypedDict, total=False):
    id: Any
    shortId: Any
    short_id: Any
    title: Any
    project: _Project | None
    status: Any
    substatus: Any
    level: Any
    culprit: Any
    metadata: _Metadata | None
    firstSeen: _Time
    first_seen: _Time
    lastSeen: _Time
    last_seen: _Time
    count: Any
    userCount: Any
    user_count: Any
    assignedTo: Any
    assigned_to: Any
    priority: Any
    stats: dict[str, list[_Point]] | None
    firstRelease: Any
    lastRelease: Any
    permalink: Any


_rows = msgspec.json.Decoder(list[msgspec.Raw])
_row = msgspec.json.Decoder(_Row)


def read_list(body: bytes, read_row: Callable[[Fields], Issue]) -> Any:
    """The issues of a list, as a tuple. If some row differs from `_Row`, it is the list of the rows' JSON instead.

    Each row's values are freed before the next row is read. So all rows use the same memory, which is then in the
    processor's cache.

    Raises:
        Undecodable
    """
    try:
        rows = _rows.decode(body.decode("utf-8"))[:MOST_ROWS]
    except (msgspec.MsgspecError, ValueError, RecursionError):  # `decode` says what is wrong, or reads it
        return decode(body)
    try:
        return tuple([read_row(Fields(_row.decode(row))) for row in rows])
    except (msgspec.MsgspecError, ValueError, RecursionError, BadAnswer):
        return [_decoded(bytes(row)) for row in rows]


def _decoded(row: bytes) -> Any:
    """A row's JSON; None if it cannot be read, so that the rows beside it can."""
    try:
        return _row.decode(row)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        pass
    try:
        return decode(row)
    except Undecodable:
        return None


def read_issue(row: Fields, link: str, *, counts_users: bool = True) -> Issue:
    """An issue from a row of a list, or from the answer to a query or a change.

    A status that we do not know (`reprocessing`, …) counts as unresolved, and becomes the substatus.

    Raises:
        BadAnswer: the JSON has no id.
    """
    issue_id = row.need("id", "an issue")
    status = row.line("status")
    return Issue(
        id=issue_id,
        short_id=row.line("shortId", "short_id") or issue_id,
        title=row.line("title"),
        project=read_project(row.fields("project")),
        status=_STATUS.get(status, UNRESOLVED),
        substatus=row.line("substatus") or (status if status not in _STATUS else None) or None,
        level=json_values.level(row.raw("level")),
        culprit=row.line("culprit") or _culprit(row.fields("metadata")),
        first_seen=row.time("firstSeen", "first_seen"),
        last_seen=row.time("lastSeen", "last_seen"),
        events=row.whole("count"),
        users=row.whole("userCount", "user_count") if counts_users else None,
        assignee=read_assignee(row.fields("assignedTo", "assigned_to")),
        priority=row.line("priority") or None,
        trend=_trend(row.fields("stats")),
        first_release=row.fields("firstRelease").line("version") or None,
        last_release=row.fields("lastRelease").line("version") or None,
        link=link,
    )


def read_project(row: Fields) -> Project:
    """A project. If it has no slug, nobody may see it."""
    return Project(row.line("id"), row.line("slug"), row.line("name"))


def read_assignee(row: Fields) -> Assignee | None:
    """A person or a team; None for nobody."""
    if not row:
        return None
    kind = "team" if row.line("type") == "team" else "user"
    name = row.line("name", "slug", "username", "email", "id")
    return Assignee(kind, name, row.line("email"), row.line("id"))


def _culprit(metadata: Fields) -> str:
    function, filename = metadata.line("function"), metadata.line("filename")
    return f"{filename} in {function}" if filename and function else filename or function


def _trend(stats: Fields) -> tuple[int, ...]:
    """The counts of the finest series in the answer: `{"24h": [[time, count], …]}`."""
    series = stats.rows("24h") or stats.rows("14d") or stats.rows("auto") or stats.rows("30d")
    if series and type(series[0]) is tuple:  # checked by `read_list`; JSON decoded whole has no tuples
        return tuple([count for _time, count in series[-_TREND_POINTS:]])
    return tuple(
        [
            count if type(count := point[1]) is int and 0 <= count < _MANY else _count(count)
            for point in series[-_TREND_POINTS:]
            if isinstance(point, list) and len(point) > 1
        ]
    )


def _count(value: Any) -> int:
    return max(json_values.whole(value) or 0, 0)

"""Issues, events, releases and the like, as frozen values without I/O. Times are aware datetimes in UTC.

A value that a server does not send is `None` or empty, never invented: Bugsink has no levels, users or assignees.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from msgspec import Struct

LEVELS = ("debug", "info", "warning", "error", "fatal")

UNRESOLVED, RESOLVED, ARCHIVED = "unresolved", "resolved", "archived"

SORTS = ("date", "new", "freq", "user")

T = TypeVar("T")


class Project(Struct, frozen=True):
    """A project on the server. People type its `slug`, and settings match it; `id` is the server's own."""

    id: str
    slug: str
    name: str = ""


@dataclass(frozen=True)
class Assignee:
    """Who an issue belongs to; `kind` is "user" or "team"."""

    kind: str
    name: str
    email: str = ""
    id: str = ""


class Issue(Struct, frozen=True):
    """An issue on the server, in the same terms for all servers.

    `status` is UNRESOLVED, RESOLVED or ARCHIVED; `substatus` is the server's own finer status, if it has one. `trend`
    has the numbers of events in equal slices of time, oldest first; the server decides how long a slice is.
    """

    id: str
    short_id: str
    title: str
    project: Project
    status: str = UNRESOLVED
    substatus: str | None = None
    level: str | None = None
    culprit: str = ""
    first_seen: datetime | None = None
    last_seen: datetime | None = None
    events: int | None = None
    users: int | None = None
    assignee: Assignee | None = None
    priority: str | None = None
    trend: tuple[int, ...] = ()
    first_release: str | None = None
    last_release: str | None = None
    link: str = ""


@dataclass(frozen=True)
class Frame:
    """One stack frame. `source` is (line number, text) pairs around `line`; `variables` are (name, printed value)."""

    function: str
    filename: str
    line: int | None = None
    module: str = ""
    in_app: bool = False
    source: tuple[tuple[int, str], ...] = ()
    variables: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class ExceptionInfo:
    """One exception of a chain; `frames` are in Python's order, the most recent call last."""

    type: str
    value: str
    frames: tuple[Frame, ...] = ()


@dataclass(frozen=True)
class EventBreadcrumb:
    """Something that the program did before the event; `data` are (name, printed value) pairs."""

    at: datetime | None
    category: str
    level: str | None
    message: str
    data: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class EventRequest:
    """The HTTP request that the program was answering. Cookies and credentials are removed when the event is read."""

    method: str
    url: str
    query: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    body: str = ""


@dataclass(frozen=True)
class Event:
    """One event of an issue.

    `exceptions` are in the order in which Python prints a chain: the one raised last is at the end. `breadcrumbs` are
    oldest first. `contexts` are pairs of a name and its (key, printed value) pairs.
    """

    id: str
    title: str
    at: datetime | None = None
    message: str = ""
    level: str | None = None
    environment: str | None = None
    release: str | None = None
    user: str | None = None
    transaction: str = ""
    tags: tuple[tuple[str, str], ...] = ()
    exceptions: tuple[ExceptionInfo, ...] = ()
    platform: str = ""
    breadcrumbs: tuple[EventBreadcrumb, ...] = ()
    request: EventRequest | None = None
    contexts: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = ()


@dataclass(frozen=True)
class TagSpread:
    """How an issue's events are distributed over the values of one tag, the most frequent first.

    `values` are (value, events) pairs, perhaps only the most frequent ones. `total` is the number of events that have
    the tag. `unique` is the number of different values, if the server sends it.
    """

    key: str
    values: tuple[tuple[str, int], ...]
    total: int
    unique: int | None = None


@dataclass(frozen=True)
class Counts:
    """Numbers of events over time, one for each slice of length `step`, oldest first; the first begins at `start`."""

    start: datetime
    step: timedelta
    counts: tuple[int, ...]


@dataclass(frozen=True)
class Release:
    """A release of a project's software."""

    version: str
    at: datetime | None = None
    new_issues: int | None = None
    projects: tuple[str, ...] = ()


@dataclass(frozen=True)
class Comment:
    """A comment on an issue, and the server's user who wrote it."""

    text: str
    author: str = ""
    email: str = ""
    at: datetime | None = None


@dataclass(frozen=True)
class IssueActivity:
    """Something that happened to an issue; `kind` is the server's own name for it (`set_resolved`, `note`)."""

    kind: str
    at: datetime | None = None
    author: str = ""
    text: str = ""


@dataclass(frozen=True)
class SuspectCommit:
    """A commit that changed a file of the stack trace; `link` is its pull request, "" if it has none."""

    id: str
    message: str
    author: str = ""
    email: str = ""
    at: datetime | None = None
    link: str = ""


@dataclass(frozen=True)
class Monitor:
    """A cron or uptime monitor of the server; `kind` is "cron" or "uptime".

    `up` is None if it was never checked or is paused. `status` is "up" or "down", or a cron monitor's status in the
    server's own word. `last` is when it last ran or was checked, and `since` when its state changed, None if the server
    does not say. `schedule` is a crontab or an interval such as "1 hour"; `url` is what an uptime monitor checks.
    """

    kind: str
    id: str
    name: str
    project: str = ""
    environment: str = ""
    status: str = ""
    up: bool | None = None
    schedule: str = ""
    url: str = ""
    last: datetime | None = None
    next: datetime | None = None
    since: datetime | None = None
    link: str = ""


@dataclass(frozen=True)
class ResolveIn:
    """What resolves an issue: exactly one of these. `commit` is (repository, sha)."""

    release: str = ""
    next_release: bool = False
    latest_release: bool = False
    commit: tuple[str, str] | None = None


@dataclass(frozen=True)
class ArchiveUntil:
    """When an archived issue comes back: without any of these, never.

    Until it escalates, until `span` from now, or after that many more `events` or `users`, within a `window` if given.
    """

    escalating: bool = False
    span: timedelta | None = None
    events: int | None = None
    users: int | None = None
    window: timedelta | None = None


PRIORITIES = ("high", "medium", "low")


@dataclass(frozen=True)
class IssueQuery:
    """Which issues to list. `text` is in the server's search language; `seen_within` is about the last event."""

    text: str = ""
    projects: tuple[Project, ...] = ()
    environments: tuple[str, ...] = ()
    sort: str = "date"
    seen_within: timedelta | None = None
    status: str | None = UNRESOLVED
    limit: int = 10


@dataclass(frozen=True)
class Page(Generic[T]):
    """One page of a list. `next` and `previous` are cursors of the server, None if there is no such page.

    `note` tells the person what the page does not show, such as a search that had to stop early. `skipped` is the
    number of rows in the server's answer that could not be read, and that are not among `items`.
    """

    items: tuple[T, ...]
    next: str | None = None
    previous: str | None = None
    note: str = ""
    skipped: int = 0

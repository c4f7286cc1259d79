"""The nouns that all flows share: frozen, plain, without I/O. Times are aware datetimes in UTC.

What a server does not send is `None` (or empty), never a made-up value: Bugsink knows no level, no users, no assignee.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar

LEVELS = ("debug", "info", "warning", "error", "fatal")

UNRESOLVED, RESOLVED, ARCHIVED = "unresolved", "resolved", "archived"

SORTS = ("date", "new", "freq", "user")

T = TypeVar("T")


@dataclass(frozen=True)
class Project:
    """A project on the server. `slug` is what people type and what settings match; `id` is the server's own."""

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


@dataclass(frozen=True)
class Issue:
    """An issue as the server has it, in one vocabulary for all servers.

    `status` is UNRESOLVED, RESOLVED or ARCHIVED; `substatus` is the server's own finer status, if it has one.
    `trend` is the event count per equal slice of time, oldest first, as fine as the server gives it.
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
    """One exception of a chain; frames in Python's order, the newest last."""

    type: str
    value: str
    frames: tuple[Frame, ...] = ()


@dataclass(frozen=True)
class EventBreadcrumb:
    """What the program did before the event; `data` are (name, printed value) pairs."""

    at: datetime | None
    category: str
    level: str | None
    message: str
    data: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class EventRequest:
    """The HTTP request that the program was answering. Cookies and credentials are left out when it is read."""

    method: str
    url: str
    query: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    body: str = ""


@dataclass(frozen=True)
class Event:
    """One event of an issue; `exceptions` as Python prints a chain, the one that was raised last at the end.

    `breadcrumbs` are oldest first; `contexts` are (name, its (key, printed value) pairs).
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
    """How an issue's events spread over the values of one tag, the most frequent first.

    `values` are (value, events) pairs, perhaps only the top ones; `total` are all events that have the tag, `unique`
    the number of values, where the server sends it.
    """

    key: str
    values: tuple[tuple[str, int], ...]
    total: int
    unique: int | None = None


@dataclass(frozen=True)
class Counts:
    """Events over time: `counts` per slice of `step`, oldest first, the first slice beginning at `start`."""

    start: datetime
    step: timedelta
    counts: tuple[int, ...]


@dataclass(frozen=True)
class Release:
    """A release of the software that a project is about."""

    version: str
    at: datetime | None = None
    new_issues: int | None = None
    projects: tuple[str, ...] = ()


@dataclass(frozen=True)
class Comment:
    """A note on an issue, and who on the server wrote it."""

    text: str
    author: str = ""
    email: str = ""
    at: datetime | None = None


@dataclass(frozen=True)
class IssueActivity:
    """What happened to an issue: `kind` is the server's own word (`set_resolved`, `note`, `assigned`)."""

    kind: str
    at: datetime | None = None
    author: str = ""
    text: str = ""


@dataclass(frozen=True)
class SuspectCommit:
    """A commit that changed a file of the stack trace; `link` is its pull request, or "" without one."""

    id: str
    message: str
    author: str = ""
    email: str = ""
    at: datetime | None = None
    link: str = ""


@dataclass(frozen=True)
class Monitor:
    """A check of the server's own; `kind` is "cron" or "uptime", `up` is None where it was never checked or is paused.

    `status` is "up" or "down", of a cron monitor the server's own word. `last` is when it was checked or run last, and
    `since` when its state changed, None where the server does not say. `schedule` is a crontab or an interval such as
    "1 hour"; `url` is what it checks.
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
    """Resolved by what, exactly one of them; `commit` is (repository, sha)."""

    release: str = ""
    next_release: bool = False
    latest_release: bool = False
    commit: tuple[str, str] | None = None


@dataclass(frozen=True)
class ArchiveUntil:
    """Archived until when: nothing given means for ever.

    `span` from now; or that many more `events` or `users`, inside each `window` where one is given.
    """

    escalating: bool = False
    span: timedelta | None = None
    events: int | None = None
    users: int | None = None
    window: timedelta | None = None


PRIORITIES = ("high", "medium", "low")


@dataclass(frozen=True)
class IssueQuery:
    """What to list. `text` is in the server's own search language; `seen_within` means last seen, on every server."""

    text: str = ""
    projects: tuple[Project, ...] = ()
    environments: tuple[str, ...] = ()
    sort: str = "date"
    seen_within: timedelta | None = None
    status: str | None = UNRESOLVED
    limit: int = 10


@dataclass(frozen=True)
class Page(Generic[T]):
    """One page of a listing. Cursors are opaque and belong to the server that gave them; `None`: there is none.

    `note` is for the person: what the page does not show (a search that had to stop, say).
    """

    items: tuple[T, ...]
    next: str | None = None
    previous: str | None = None
    note: str = ""

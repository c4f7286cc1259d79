"""The nouns that all flows share: frozen, plain, without I/O. Times are aware datetimes in UTC.

What a server does not tell is `None` (or empty), never a made-up value: Bugsink knows no level, no users, no assignee.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from errbot_sentry.domain.typed_text import check_length

LEVELS = ("debug", "info", "warning", "error", "fatal")

UNRESOLVED, RESOLVED, ARCHIVED = "unresolved", "resolved", "archived"

SORTS = ("date", "new", "freq", "user")

T = TypeVar("T")


def level_rank(level: str | None) -> int:
    """The place of a level in LEVELS, -1 for an unknown or absent one, so that `level>=error` is false for it."""
    return LEVELS.index(level) if level in LEVELS else -1


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
    """An issue as the server tells it, in one vocabulary for all servers.

    `status` is UNRESOLVED, RESOLVED or ARCHIVED; `substatus` is the server's own finer word, if it has one.
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
class Event:
    """One event of an issue; `exceptions` as Python prints a chain, the one that was raised last at the end."""

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


@dataclass(frozen=True)
class TagSpread:
    """How an issue's events spread over the values of one tag, the most frequent first.

    `values` are (value, events) pairs, perhaps only the top ones; `total` are all events that have the tag, `unique`
    the number of values, where the server tells it.
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

    `note` tells the person what the page does not show (a search that had to stop, say).
    """

    items: tuple[T, ...]
    next: str | None = None
    previous: str | None = None
    note: str = ""


# The reasons for which a server, or the poller, says something about an issue.
NEW, REGRESSED, ESCALATING, UNMUTED = "new", "regressed", "escalating", "unmuted"
RULE, METRIC, TEST = "rule", "metric", "test"
SEEN_RESOLVED, SEEN_ARCHIVED, ASSIGNED, COMMENTED = "resolved", "archived", "assigned", "comment"
REOPENED, SEEN_EVENT = "reopened", "event"
ALERT_REASONS = (
    NEW,
    REGRESSED,
    ESCALATING,
    UNMUTED,
    RULE,
    METRIC,
    TEST,
    SEEN_RESOLVED,
    SEEN_ARCHIVED,
    ASSIGNED,
    COMMENTED,
    REOPENED,
    SEEN_EVENT,
)


@dataclass(frozen=True)
class Alert:
    """Something that a room may want to know, from a webhook or from the poller.

    `delivery` names this one delivery (Request-ID, body hash, or the poller's own key): the same one twice is a replay.
    `reason` is one of ALERT_REASONS; `source` is "webhook" or "poll". `project_id` and `project_name` are kept because
    some servers do not send the slug; `link` is the issue's page on the server. `assignee_kind` is "user", "team",
    "nobody", or "" where the sender does not tell. All texts are as hostile as any error.
    """

    delivery: str
    reason: str
    source: str
    at: datetime
    issue_id: str = ""
    short_id: str = ""
    title: str = ""
    culprit: str = ""
    level: str | None = None
    project: str = ""
    project_id: str = ""
    project_name: str = ""
    environment: str | None = None
    release: str | None = None
    tags: tuple[tuple[str, str], ...] = ()
    link: str = ""
    events: int | None = None
    users: int | None = None
    actor: str = ""
    assignee: str = ""
    rule: str = ""
    text: str = ""
    assignee_kind: str = ""
    assignee_mail: str = ""


@dataclass(frozen=True)
class Place:
    """Where a conversation happens. `room` is the room's name as the backend writes it, or "" for a direct message.

    `thread` is the backend's id of the thread, "" outside of threads.
    """

    room: str = ""
    thread: str = ""

    @property
    def is_direct(self) -> bool:
        """A direct message between the bot and one person."""
        return not self.room


@dataclass(frozen=True)
class Person:
    """Who typed. `acl` is the text that Errbot's own access rules match; `name` is what people read.

    `mention` is the Markdown that calls this person in the chat network, "" where it has no such thing.
    """

    acl: str
    name: str
    mention: str = ""


@dataclass(frozen=True)
class Ask:
    """One command as typed: by whom, where, and the words after the command's name.

    Raises:
        UsageError: the words are more than anybody types.
    """

    person: Person
    place: Place
    words: str = ""

    def __post_init__(self) -> None:
        check_length(self.words)


@dataclass(frozen=True)
class Upload:
    """A file that goes along with a view. `make` is called only where the backend takes files; it may take a second."""

    name: str
    media_type: str
    make: Callable[[], bytes]


@dataclass(frozen=True)
class Row:
    """One entry of a numbered list; the renderer puts it in columns, or on one line where columns are no use.

    `cells` mean the same at the same place in every row of a list, "" where nothing is known. `mark` is the level,
    `about` and `more` are facts that no other row need have; `link` is the page on the server, or "".
    """

    number: int
    name: str
    title: str = ""
    mark: str = ""
    about: str = ""
    cells: tuple[str, ...] = ()
    more: tuple[str, ...] = ()
    link: str = ""


@dataclass(frozen=True)
class View:
    """What to show: a template's name (without folder and ending) and its values, all of them untrusted text.

    A view with an `upload` has `uploaded=False` among its values; who could send the file renders it with True.
    """

    template: str
    values: dict[str, object] = field(default_factory=dict)
    upload: Upload | None = None

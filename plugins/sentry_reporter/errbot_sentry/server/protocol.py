"""The protocol of a Sentry-compatible server, as commands and alerts use it; each dialect implements it.

All calls block for at most the transport's timeouts. They raise ServerError or one of its subclasses, or Unsupported if
this kind of server cannot do it. A change returns only if the server's answer shows it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from errbot_sentry.domain.issues import (
    ArchiveUntil,
    Assignee,
    Comment,
    Counts,
    Event,
    Issue,
    IssueActivity,
    IssueQuery,
    Monitor,
    Page,
    Project,
    Release,
    ResolveIn,
    SuspectCommit,
    TagSpread,
)

SENTRY, GLITCHTIP, BUGSINK = "sentry", "glitchtip", "bugsink"


@dataclass(frozen=True)
class IssueAddress:
    """The issue in a web address: `issue` is an id or a short id, `org` the organization's slug or ""."""

    issue: str
    org: str = ""


@dataclass(frozen=True)
class Health:
    """The server's health for `!sentry status`: its kind, and the rest of its rate limit if the server sends that.

    `unreadable` counts the rows of lists that were skipped, because they could not be read.
    """

    kind: str
    url: str
    calls: int = 0
    failures: int = 0
    last_error: str = ""
    unreadable: int = 0
    limit: int | None = None
    remaining: int | None = None


class Server(Protocol):
    """One server, one organization, one token."""

    @property
    def kind(self) -> str:
        """SENTRY, GLITCHTIP or BUGSINK."""
        ...

    def refusal(self, method: str) -> str:
        """A sentence that says why this kind of server can never do what this method does; "" if it may.

        Besides methods, "accounts" means people's accounts, and "feedback" people's words about an event.
        """
        ...

    def projects(self) -> tuple[Project, ...]:
        """All projects that the token may see; cached for a short time, so it may be called often."""
        ...

    def issues(self, query: IssueQuery, cursor: str | None = None) -> Page[Issue]:
        """One page of issues; one request for one project or organization."""
        ...

    def issue(self, issue_id: str) -> Issue:
        """One issue by the server's own id (numeric or UUID)."""
        ...

    def issues_by_id(self, ids: tuple[str, ...]) -> tuple[Issue, ...]:
        """The issues with these ids, in this order, without those that are not found; in few requests."""
        ...

    def issue_by_short_id(self, short_id: str) -> Issue:
        """One issue by its short id, ignoring case."""
        ...

    def issue_of_event(self, event_id: str) -> Issue | None:
        """The issue of an event (32 hex digits); None as long as the server does not have the event."""
        ...

    def latest_event(self, issue: Issue) -> Event | None:
        """The newest event of an issue with its stack trace; None if the server has none."""
        ...

    def resolve(self, issue: Issue) -> Issue:
        """Resolve now; returns the issue after the change, as all changes do."""
        ...

    def reopen(self, issue: Issue) -> Issue:
        """Reopen a resolved or archived issue."""
        ...

    def note(self, issue: Issue, text: str) -> None:
        """Leave a note (comment) on the issue."""
        ...

    def comments(self, issue: Issue) -> tuple[Comment, ...]:
        """The notes on an issue with their authors, newest first; a page of them is enough."""
        ...

    def events(self, issue: Issue, limit: int) -> Page[Event]:
        """The newest events of an issue, perhaps without stack traces."""
        ...

    def tags(self, issue: Issue) -> tuple[TagSpread, ...]:
        """The issue's tags, each with its most frequent values."""
        ...

    def tag_values(self, issue: Issue, key: str) -> TagSpread:
        """One tag with a page of its values. Raises NotFound if no event has the tag."""
        ...

    def issue_counts(self, issue: Issue, span: timedelta) -> Counts:
        """The issue's events over the last `span`, in the slices that the server has."""
        ...

    def project_counts(self, project: Project, span: timedelta) -> Counts:
        """All accepted error events of a project over the last `span`."""
        ...

    def releases(self, projects: tuple[Project, ...], limit: int) -> tuple[Release, ...]:
        """The newest releases of these projects; `()` means the whole server."""
        ...

    def read_activity(self, issue_id: str) -> tuple[IssueActivity, ...]:
        """What happened to an issue, newest first, if the server still lists it."""
        ...

    def read_suspect_commits(self, issue: Issue, event: Event) -> tuple[SuspectCommit, ...]:
        """The commits that probably caused an event of this issue, the likeliest first; `()` if none is known."""
        ...

    def read_owners(self, issue: Issue, event: Event) -> tuple[Assignee, ...]:
        """The owners of an event's code by the project's ownership rules; `()` if no rule matches."""
        ...

    def read_teams(self, mail: str) -> tuple[str, ...]:
        """The sorted slugs of the teams of the member with this mail address; `()` if there is no such member."""
        ...

    def read_monitors(self, projects: tuple[Project, ...]) -> tuple[Monitor, ...]:
        """The cron and uptime monitors of these projects, a page of each kind; `()` means the whole server."""
        ...

    def resolve_in(self, issue: Issue, when: ResolveIn) -> Issue:
        """Resolve by a release or commit; Unsupported or BadAnswer where the answer does not show exactly that."""
        ...

    def archive(self, issue: Issue, until: ArchiveUntil) -> Issue:
        """Archive until this. Raises Unsupported if the server cannot do exactly that; it never archives for longer."""
        ...

    def assign(self, issue: Issue, assignee: Assignee | None) -> Issue:
        """Assign to a person by `email` (kind "user"), a team by its slug `name` (kind "team"), or nobody (None)."""
        ...

    def set_priority(self, issue: Issue, priority: str) -> Issue:
        """Set the priority to one of PRIORITIES."""
        ...

    def merge(self, issues: tuple[Issue, ...]) -> Issue:
        """Merge two or more issues of one project; returns the one that is left."""
        ...

    def address_of(self, url: str) -> IssueAddress | None:
        """The issue that a URL of this server names; None for any other URL. Makes no request."""
        ...

    def check(self) -> None:
        """Make a request now, whatever is cached. Raises ServerError if the server does not answer."""
        ...

    def health(self) -> Health:
        """The counters so far; makes no request."""
        ...


FindServer = Callable[[], Server]
"""Returns the server. The first call may have to find out its kind, and raises ServerError if it cannot."""

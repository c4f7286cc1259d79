"""What commands and alerts need of a Sentry-compatible server, in one vocabulary; each dialect implements it.

All calls block for at most the transport's timeouts and raise errors of the ServerError branch, or Unsupported where
this kind of server cannot do it. A change is reported only after the server's answer showed it.
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
    """An issue as its web address names it: `issue` is an id or a short id, `org` the slug or "" without one."""

    issue: str
    org: str = ""


@dataclass(frozen=True)
class Health:
    """What `!sentry status` shows of the server: its kind, and the rate-limit budget where the server sends one."""

    kind: str
    url: str
    calls: int = 0
    failures: int = 0
    last_error: str = ""
    limit: int | None = None
    remaining: int | None = None


class Server(Protocol):
    """One server, one organization, one token."""

    @property
    def kind(self) -> str:
        """SENTRY, GLITCHTIP or BUGSINK."""
        ...

    def refusal(self, method: str) -> str:
        """Why this kind of server can never do what this method of ours asks, in a sentence; "" where it may.

        "accounts" asks for people's accounts on it, "feedback" for people's words about an event.
        """
        ...

    def projects(self) -> tuple[Project, ...]:
        """All projects that the token sees; cached for a short while, so that it may be called often."""
        ...

    def issues(self, query: IssueQuery, cursor: str | None = None) -> Page[Issue]:
        """One page of issues; one request for one project or organization."""
        ...

    def issue(self, issue_id: str) -> Issue:
        """One issue by the server's own id (numeric or UUID)."""
        ...

    def issues_by_id(self, ids: tuple[str, ...]) -> tuple[Issue, ...]:
        """The issues with these ids, in this order and without those that are not found; few requests, if not one."""
        ...

    def issue_by_short_id(self, short_id: str) -> Issue:
        """One issue by its short id, any case."""
        ...

    def issue_of_event(self, event_id: str) -> Issue | None:
        """The issue that an event (32 hex digits) belongs to, or None while the server does not know it yet."""
        ...

    def latest_event(self, issue: Issue) -> Event | None:
        """The newest event of an issue with its stack trace, or None where the server has none."""
        ...

    def resolve(self, issue: Issue) -> Issue:
        """Resolve now; the issue as the server has it afterwards."""
        ...

    def reopen(self, issue: Issue) -> Issue:
        """Unresolved again, from resolved or archived."""
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
        """How the issue's tags are spread, the top values of each."""
        ...

    def tag_values(self, issue: Issue, key: str) -> TagSpread:
        """The same for one tag, with as many values as one page has; NotFound for a tag that no event has."""
        ...

    def issue_counts(self, issue: Issue, span: timedelta) -> Counts:
        """The issue's events over the last `span`, in the slices that the server has."""
        ...

    def project_counts(self, project: Project, span: timedelta) -> Counts:
        """All accepted error events of a project over the last `span`."""
        ...

    def releases(self, projects: tuple[Project, ...], limit: int) -> tuple[Release, ...]:
        """The newest releases of these projects; `()` is the whole server."""
        ...

    def read_activity(self, issue_id: str) -> tuple[IssueActivity, ...]:
        """What happened to an issue, newest first, as far as the server still lists it."""
        ...

    def read_suspect_commits(self, issue: Issue, event: Event) -> tuple[SuspectCommit, ...]:
        """The commits that probably caused an event of this issue, the likeliest first; `()` where none is known."""
        ...

    def read_owners(self, issue: Issue, event: Event) -> tuple[Assignee, ...]:
        """Who owns the code of an event by the project's ownership rules; `()` where no rule fits."""
        ...

    def read_teams(self, mail: str) -> tuple[str, ...]:
        """The slugs of the teams of the member with this mail address, sorted; `()` where there is no such member."""
        ...

    def read_monitors(self, projects: tuple[Project, ...]) -> tuple[Monitor, ...]:
        """The cron and uptime monitors of these projects, a page of each kind; `()` is the whole server."""
        ...

    def resolve_in(self, issue: Issue, when: ResolveIn) -> Issue:
        """Resolve by a release or commit; Unsupported or BadAnswer where the answer does not show exactly that."""
        ...

    def archive(self, issue: Issue, until: ArchiveUntil) -> Issue:
        """Archive; Unsupported where this server cannot do it until just then (never a longer archive instead)."""
        ...

    def assign(self, issue: Issue, assignee: Assignee | None) -> Issue:
        """Assign by `email` (kind "user") or by `name`, a slug (kind "team"); None: to nobody."""
        ...

    def set_priority(self, issue: Issue, priority: str) -> Issue:
        """One of PRIORITIES."""
        ...

    def merge(self, issues: tuple[Issue, ...]) -> Issue:
        """Merge two or more issues of one project; the one that is left."""
        ...

    def address_of(self, url: str) -> IssueAddress | None:
        """What an issue URL of this server names; None for any other URL. Makes no request."""
        ...

    def check(self) -> None:
        """Have the server answer now, whatever is cached; raises ServerError where it does not."""
        ...

    def health(self) -> Health:
        """The counters so far; makes no request."""
        ...


FindServer = Callable[[], Server]
"""How flows get the server: the first call may have to find out its kind, and raises ServerError if it can't."""

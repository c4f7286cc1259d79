"""A Sentry-compatible server in memory, obeying the Server protocol; for tests of flows, not of dialects.

It answers from plain lists, counts what it is asked, and fails on demand:

    server = MemoryServer(issues=[...])
    server.fail("resolve", TimedOut("no answer"), times=1)
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta, timezone

from msgspec.structs import replace

from errbot_sentry.domain.errors import NotFound, Unsupported
from errbot_sentry.domain.issues import (
    ARCHIVED,
    RESOLVED,
    UNRESOLVED,
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
from errbot_sentry.server.protocol import SENTRY, Health, IssueAddress

URL = "https://sentry.example.com"
_EPOCH = datetime(2000, 1, 1, tzinfo=timezone.utc)


class MemoryServer:
    """State is public: tests set it up and look at it.

    Args:
        now: the present, for `seen_within`.
        changes_hold: False makes every change answer 200 and do nothing, as GlitchTip does with what it does not know.
        unsupported: names of calls that this kind of server cannot do.
    """

    def __init__(
        self,
        issues: Iterable[Issue] = (),
        *,
        projects: Iterable[Project] = (),
        events: dict[str, Event] | None = None,
        kind: str = SENTRY,
        now: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
        unsupported: Iterable[str] = (),
    ) -> None:
        self._kind = kind
        self._now = now
        self.stored = {issue.id: issue for issue in issues}
        known = [*projects, *(issue.project for issue in self.stored.values())]
        self.known_projects = tuple({project.id: project for project in known}.values())
        self.events_by_issue = dict(events or {})
        self.issue_of_events: dict[str, str] = {}
        self.notes: list[tuple[str, str]] = []
        self.comments_by_issue: dict[str, list[Comment]] = {}
        self.spreads: tuple[TagSpread, ...] = ()
        self.counts = Counts(_EPOCH, timedelta(hours=1), ())
        self.activity: tuple[IssueActivity, ...] = ()
        self.suspect_commits: tuple[SuspectCommit, ...] = ()
        self.owners: tuple[Assignee, ...] = ()
        self.monitors: tuple[Monitor, ...] = ()
        self.teams: dict[str, tuple[str, ...]] = {}
        self.known_releases: tuple[Release, ...] = ()
        self.calls: list[tuple[str, object]] = []
        self.changes_hold = True
        self.unsupported = set(unsupported)
        self._failures: dict[str, list[Exception]] = defaultdict(list)

    @property
    def kind(self) -> str:
        return self._kind

    def refusal(self, method: str) -> str:
        return f"This server has no {method}." if method in self.unsupported else ""

    def read_teams(self, mail: str) -> tuple[str, ...]:
        return self.teams.get(mail, ())

    def read_activity(self, issue_id: str) -> tuple[IssueActivity, ...]:
        self._note_call("read_activity", issue_id)
        return self.activity

    def read_suspect_commits(self, issue: Issue, event: Event) -> tuple[SuspectCommit, ...]:
        self._note_call("read_suspect_commits", (issue.id, event.id))
        return self.suspect_commits

    def read_owners(self, issue: Issue, event: Event) -> tuple[Assignee, ...]:
        self._note_call("read_owners", (issue.id, event.id))
        return self.owners

    def read_monitors(self, projects: tuple[Project, ...]) -> tuple[Monitor, ...]:
        self._note_call("read_monitors", tuple(project.slug for project in projects))
        slugs = {project.slug for project in projects}
        return tuple(monitor for monitor in self.monitors if not slugs or monitor.project in slugs)

    def fail(self, call: str, error: Exception, times: int = 1) -> None:
        """The next `times` calls of this name raise this error."""
        self._failures[call] += [error] * times

    def asked(self, call: str) -> list[object]:
        """What was asked of one call, in order."""
        return [what for name, what in self.calls if name == call]

    def projects(self) -> tuple[Project, ...]:
        self._note_call("projects", None)
        return self.known_projects

    def issues(self, query: IssueQuery, cursor: str | None = None) -> Page[Issue]:
        self._note_call("issues", query)
        found = [issue for issue in self.stored.values() if self._fits(issue, query)]
        found.sort(key=lambda issue: _order(issue, query.sort), reverse=True)
        start = int(cursor) if cursor else 0
        end = start + query.limit
        return Page(
            tuple(found[start:end]),
            next=str(end) if end < len(found) else None,
            previous=str(max(start - query.limit, 0)) if start else None,
        )

    def issue(self, issue_id: str) -> Issue:
        self._note_call("issue", issue_id)
        return self._stored(issue_id)

    def issues_by_id(self, ids: tuple[str, ...]) -> tuple[Issue, ...]:
        self._note_call("issues_by_id", ids)
        return tuple(self.stored[each] for each in ids if each in self.stored)

    def issue_by_short_id(self, short_id: str) -> Issue:
        self._note_call("issue_by_short_id", short_id)
        for issue in self.stored.values():
            if issue.short_id.upper() == short_id.upper():
                return issue
        raise NotFound("The server knows no such issue.")

    def issue_of_event(self, event_id: str) -> Issue | None:
        self._note_call("issue_of_event", event_id)
        issue_id = self.issue_of_events.get(event_id)
        return None if issue_id is None else self._stored(issue_id)

    def latest_event(self, issue: Issue) -> Event | None:
        self._note_call("latest_event", issue.id)
        return self.events_by_issue.get(issue.id)

    def resolve(self, issue: Issue) -> Issue:
        self._note_call("resolve", issue.id)
        return self._change(issue, status=RESOLVED)

    def reopen(self, issue: Issue) -> Issue:
        self._note_call("reopen", issue.id)
        return self._change(issue, status=UNRESOLVED)

    def note(self, issue: Issue, text: str) -> None:
        self._note_call("note", issue.id)
        self._stored(issue.id)
        self.notes.append((issue.id, text))

    def comments(self, issue: Issue) -> tuple[Comment, ...]:
        self._note_call("comments", issue.id)
        return tuple(self.comments_by_issue.get(issue.id, ()))

    def events(self, issue: Issue, limit: int) -> Page[Event]:
        self._note_call("events", issue.id)
        newest = self.events_by_issue.get(issue.id)
        return Page((newest,) * min(limit, 3) if newest else ())

    def tags(self, issue: Issue) -> tuple[TagSpread, ...]:
        self._note_call("tags", issue.id)
        return self.spreads

    def tag_values(self, issue: Issue, key: str) -> TagSpread:
        self._note_call("tag_values", (issue.id, key))
        for spread in self.spreads:
            if spread.key == key:
                return spread
        raise NotFound("The server knows no such tag.")

    def issue_counts(self, issue: Issue, span: timedelta) -> Counts:
        self._note_call("issue_counts", (issue.id, span))
        return self.counts

    def project_counts(self, project: Project, span: timedelta) -> Counts:
        self._note_call("project_counts", (project.id, span))
        return self.counts

    def releases(self, projects: tuple[Project, ...], limit: int) -> tuple[Release, ...]:
        self._note_call("releases", projects)
        return self.known_releases[:limit]

    def resolve_in(self, issue: Issue, when: ResolveIn) -> Issue:
        self._note_call("resolve_in", (issue.id, when))
        return self._change(issue, status=RESOLVED)

    def archive(self, issue: Issue, until: ArchiveUntil) -> Issue:
        self._note_call("archive", (issue.id, until))
        substatus = "archived_forever" if until == ArchiveUntil() else "archived_until_condition_met"
        return self._change(issue, status=ARCHIVED, substatus=substatus)

    def assign(self, issue: Issue, assignee: Assignee | None) -> Issue:
        self._note_call("assign", (issue.id, assignee))
        return self._change(issue, assignee=assignee)

    def set_priority(self, issue: Issue, priority: str) -> Issue:
        self._note_call("set_priority", (issue.id, priority))
        return self._change(issue, priority=priority)

    def merge(self, issues: tuple[Issue, ...]) -> Issue:
        self._note_call("merge", tuple(issue.id for issue in issues))
        for gone in issues[1:]:
            self._stored(gone.id)
            del self.stored[gone.id]
        return self._stored(issues[0].id)

    def address_of(self, url: str) -> IssueAddress | None:
        url = url.partition("?")[0]
        parts = url.removeprefix(URL + "/").strip("/").split("/")
        if not url.startswith(URL + "/") or len(parts) != 4 or parts[::2] != ["organizations", "issues"]:
            return None
        return IssueAddress(parts[3], parts[1])

    def check(self) -> None:
        self._note_call("check", None)

    def health(self) -> Health:
        return Health(self._kind, URL, calls=len(self.calls))

    def _fits(self, issue: Issue, query: IssueQuery) -> bool:
        if query.projects and issue.project.id not in {project.id for project in query.projects}:
            return False
        if query.status is not None and issue.status != query.status:
            return False
        if query.seen_within and (issue.last_seen or _EPOCH) < self._now() - query.seen_within:
            return False
        return query.text.strip('"').casefold() in issue.title.casefold()

    def _change(self, issue: Issue, **changes: object) -> Issue:
        current = self._stored(issue.id)
        if self.changes_hold:
            self.stored[issue.id] = replace(current, **changes)
        return self.stored[issue.id]

    def _stored(self, issue_id: str) -> Issue:
        if issue_id not in self.stored:
            raise NotFound("The server knows no such issue.")
        return self.stored[issue_id]

    def _note_call(self, name: str, what: object) -> None:
        self.calls.append((name, what))
        if name in self.unsupported:
            raise Unsupported(f"This server has no {name}.")
        if self._failures[name]:
            raise self._failures[name].pop(0)


def _order(issue: Issue, sort: str) -> tuple[object, ...]:
    keys: dict[str, object] = {
        "date": issue.last_seen or _EPOCH,
        "new": issue.first_seen or _EPOCH,
        "freq": issue.events or 0,
        "user": issue.users or 0,
    }
    return (keys[sort], issue.id)

"""The dialect of Bugsink: its own API, without organizations, search, users, levels or links.

Measured on 2.6.1 (server facts, part 4) and read in its `issues/`, `events/`, `projects/` `api_views.py` and
`serializers.py`. Lists are per project, 250 rows a page, and cannot be filtered: that is done here, with a bound.
"""

from __future__ import annotations

from errbot_sentry.clock import Clock
from errbot_sentry.errors import BadQuery
from errbot_sentry.model import ARCHIVED, RESOLVED, UNRESOLVED, Event, Issue, IssueQuery, Page, Project
from errbot_sentry.server import identifiers
from errbot_sentry.server.addresses import bugsink_address
from errbot_sentry.server.api import BUGSINK, Health, IssueAddress
from errbot_sentry.server.bugsink_json import read_bugsink_event, read_bugsink_issue
from errbot_sentry.server.bugsink_listing import Listing
from errbot_sentry.server.calls import Query
from errbot_sentry.server.catalog import Catalog
from errbot_sentry.server.changes import confirm
from errbot_sentry.server.health import health_of
from errbot_sentry.server.pages import body_cursor
from errbot_sentry.server.reading import Fields, an_object, objects
from errbot_sentry.server.transport import Transport

_API = "/api/canonical/0"
_PROJECTS = f"{_API}/projects/"
_ISSUES = f"{_API}/issues/"
_ISSUE = f"{_API}/issues/{{issue}}/"
_ACTION = f"{_API}/issues/{{issue}}/{{action}}/"
_EVENTS = f"{_API}/events/"
_EVENT = f"{_API}/events/{{event}}/"
_COMMENTS = f"{_API}/issue-comments/"

_MOST_PROJECT_PAGES = 8
_ISSUES_SEARCHED_FOR_EVENT = 5


class Bugsink:
    """See `server.api.Server`."""

    kind = BUGSINK

    def __init__(self, transport: Transport, url: str, clock: Clock) -> None:
        self._transport = transport
        self._url = url
        self._clock = clock
        self._catalog = Catalog(self._fetch_projects, clock)

    def projects(self) -> tuple[Project, ...]:
        return self._catalog.all()

    def issues(self, query: IssueQuery, cursor: str | None = None) -> Page[Issue]:
        projects = tuple(self._with_id(project) for project in query.projects) or self.projects()
        return Listing(self._issue_page, self._clock).page(query, projects, cursor)

    def issue(self, issue_id: str) -> Issue:
        return self._read(identifiers.uuid(issue_id))

    def issue_by_short_id(self, short_id: str) -> Issue:
        return self._read(identifiers.short_id(short_id))

    def issue_of_event(self, event_id: str) -> Issue | None:
        """Looks through the newest events of the issues seen last: there is no look-up by the SDK's event id."""
        wanted = identifiers.event_id(event_id)
        if wanted is None:
            return None
        newest = self.issues(IssueQuery(status=None, limit=_ISSUES_SEARCHED_FOR_EVENT))
        for issue in newest.items:
            if any(identifiers.event_id(row.text("event_id")) == wanted for row in self._event_rows(issue)):
                return issue
        return None

    def latest_event(self, issue: Issue) -> Event | None:
        rows = self._event_rows(issue)
        if not rows:
            return None
        found = self._transport.get(_EVENT, what="such event", event=rows[0].need("id", "an event"))
        return read_bugsink_event(an_object(found.json, "an event"), issue)

    def resolve(self, issue: Issue) -> Issue:
        return self._act(issue, "resolve", RESOLVED)

    def reopen(self, issue: Issue) -> Issue:
        """A muted issue is unmuted, a resolved one reopened; where the issue has moved on, by what it is now."""
        actions = {ARCHIVED: "unmute", RESOLVED: "reopen"}
        if issue.status in actions:
            try:
                return self._act(issue, actions[issue.status], UNRESOLVED)
            except BadQuery:
                pass
        now = self.issue(issue.id)
        return now if now.status == UNRESOLVED else self._act(now, actions[now.status], UNRESOLVED)

    def note(self, issue: Issue, text: str) -> None:
        body = {"issue": identifiers.uuid(issue.id), "comment": text}
        answer = self._transport.send("POST", _COMMENTS, body, what=f"issue {issue.short_id}")
        an_object(answer.json, "a comment").need("id", "a comment")

    def address_of(self, url: str) -> IssueAddress | None:
        return bugsink_address(url, self._url)

    def health(self) -> Health:
        return health_of(self.kind, self._url, self._transport)

    def _fetch_projects(self) -> tuple[Project, ...]:
        found: list[Project] = []
        cursor: str | None = None
        for _ in range(_MOST_PROJECT_PAGES):
            page = self._transport.get(_PROJECTS, [("cursor", cursor)] if cursor else [], what="list of projects")
            body = an_object(page.json, "a list of projects")
            rows = objects(body.raw("results"), "projects")
            found += [Project(row.text("id"), row.text("slug"), row.text("name")) for row in rows]
            cursor = body_cursor(body.raw("next"), self._url)
            if cursor is None:
                break
        return tuple(project for project in found if project.id and project.slug)

    def _issue_page(self, project: Project, query: Query) -> tuple[list[Issue], str | None]:
        """One page of a project's issues and the cursor of the next."""
        parameters = [("project", project.id), *query]
        answer = self._transport.get(_ISSUES, parameters, what=f"project {project.slug}")
        body = an_object(answer.json, "a list of issues")
        issues = [read_bugsink_issue(row, project, self._url) for row in objects(body.raw("results"), "issues")]
        return issues, body_cursor(body.raw("next"), self._url)

    def _event_rows(self, issue: Issue) -> list[Fields]:
        """The newest events of an issue, without their contents, newest first."""
        query = [("issue", identifiers.uuid(issue.id))]
        answer = self._transport.get(_EVENTS, query, what=f"issue {issue.short_id}")
        return objects(an_object(answer.json, "a list of events").raw("results"), "events")

    def _with_id(self, project: Project) -> Project:
        if identifiers.is_number(project.id):
            return project
        found = self._catalog.by_slug(project.slug)
        if found is None:
            raise BadQuery("Bugsink has no such project that SENTRY_AUTH_TOKEN may see.")
        return found

    def _read(self, issue: str) -> Issue:
        answer = self._transport.get(_ISSUE, what=f"issue {issue}", issue=issue)
        return self._issue(an_object(answer.json, "an issue"))

    def _issue(self, row: Fields) -> Issue:
        project_id = row.text("project")
        project = self._catalog.by_id(project_id) or Project(project_id, "")
        return read_bugsink_issue(row, project, self._url)

    def _act(self, issue: Issue, action: str, wanted: str) -> Issue:
        """POST an action. A 400 is fine where the issue is already what was wanted: Bugsink does nothing twice."""
        issue_id = identifiers.uuid(issue.id)
        try:
            answer = self._transport.send(
                "POST", _ACTION, what=f"issue {issue.short_id}", issue=issue_id, action=action
            )
        except BadQuery:
            now = self.issue(issue_id)
            if now.status != wanted:
                raise
            return now
        changed = self._issue(an_object(answer.json, "an issue"))
        return confirm(self._transport.host, issue, changed, wanted)

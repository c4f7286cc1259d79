"""The dialect of GlitchTip: Sentry's paths, its own habits.

All of it as measured (server facts, part 3): the issue list takes `id`, so that reading one issue stays inside the
organization (the path `/issues/{id}/` does not); changes go to the organization's path; a permalink is built, because
GlitchTip's own is wrong; there is no look-up of short ids.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from threading import Lock

from errbot_sentry.clock import Clock
from errbot_sentry.errors import BadReference, NotFound, Unsupported
from errbot_sentry.model import RESOLVED, UNRESOLVED, Event, Issue, IssueQuery, Page, Project
from errbot_sentry.server import identifiers
from errbot_sentry.server.addresses import glitchtip_address
from errbot_sentry.server.api import GLITCHTIP, Health, IssueAddress
from errbot_sentry.server.calls import Answer, Query
from errbot_sentry.server.catalog import Catalog
from errbot_sentry.server.changes import confirm
from errbot_sentry.server.event_json import read_event
from errbot_sentry.server.glitchtip_search import glitchtip_query
from errbot_sentry.server.health import health_of
from errbot_sentry.server.issue_json import read_issue, read_project
from errbot_sentry.server.pages import link_cursors
from errbot_sentry.server.reading import Fields, an_object, objects
from errbot_sentry.server.transport import Transport

_PROJECTS = "/api/0/organizations/{org}/projects/"
_ISSUES = "/api/0/organizations/{org}/issues/"
_ISSUE = "/api/0/organizations/{org}/issues/{issue}/"
_LATEST = "/api/0/issues/{issue}/events/latest/"
_COMMENTS = "/api/0/issues/{issue}/comments/"

_MOST_ROWS = 100
_MOST_PAGES = 5
_MOST_KNOWN = 10_000
_SORTS = {"date": "-last_seen", "new": "-first_seen", "freq": "-count"}


class GlitchTip:
    """See `server.api.Server`."""

    kind = GLITCHTIP

    def __init__(self, transport: Transport, url: str, org: str, clock: Clock) -> None:
        self._transport = transport
        self._url = url
        self._org = org
        self._clock = clock
        self._catalog = Catalog(self._fetch_projects, clock)
        self._lock = Lock()
        self._numbers: OrderedDict[str, str] = OrderedDict()  # short id to number, of the issues seen so far

    def projects(self) -> tuple[Project, ...]:
        return self._catalog.all()

    def issues(self, query: IssueQuery, cursor: str | None = None) -> Page[Issue]:
        wanted = self._list_query(query)
        if query.seen_within is None:
            return self._page(wanted, query.limit, cursor)
        return self._recent(query, wanted, cursor, oldest=self._clock.now() - query.seen_within)

    def issue(self, issue_id: str) -> Issue:
        number = identifiers.number(issue_id)
        found = self._page([("id", number)], 1)
        if not found.items or found.items[0].id != number:
            raise NotFound(f"{self._transport.host} has no issue {number} that SENTRY_AUTH_TOKEN may see.")
        return found.items[0]

    def issue_by_short_id(self, short_id: str) -> Issue:
        wanted = identifiers.short_id(short_id)
        with self._lock:
            number = self._numbers.get(wanted)
        if number is not None:
            return self.issue(number)
        slug = wanted.rpartition("-")[0]
        project = self._catalog.by_slug(slug)
        if project is None:
            raise BadReference(f"There is no issue {wanted}: no project is called {slug.lower()}.")
        query = [("sort", "-last_seen"), ("project", project.id)]
        for page in self._walk(query, _MOST_ROWS):
            for issue in page.items:
                if issue.short_id.upper() == wanted:
                    return issue
        raise BadReference(
            f"GlitchTip cannot look up short ids, and {wanted} is not among the {_MOST_PAGES * _MOST_ROWS} issues of "
            f"{project.slug} seen last: use its number or its URL."
        )

    def issue_of_event(self, event_id: str) -> Issue | None:
        wanted = identifiers.event_id(event_id)
        if wanted is None:
            return None
        found = self._page([("query", wanted)], 1)
        return found.items[0] if found.items else None

    def latest_event(self, issue: Issue) -> Event | None:
        try:
            found = self._transport.get(_LATEST, what=f"issue {issue.short_id}", issue=identifiers.number(issue.id))
        except NotFound:
            return None
        event = read_event(an_object(found.json, "an event"))
        return replace(event, level=event.level or issue.level)

    def resolve(self, issue: Issue) -> Issue:
        return self._set_status(issue, "resolved", RESOLVED)

    def reopen(self, issue: Issue) -> Issue:
        return self._set_status(issue, "unresolved", UNRESOLVED)

    def note(self, issue: Issue, text: str) -> None:
        answer = self._transport.send(
            "POST",
            _COMMENTS,
            {"data": {"text": text}},
            what=f"issue {issue.short_id}",
            issue=identifiers.number(issue.id),
        )
        an_object(answer.json, "a comment").need("id", "a comment")

    def address_of(self, url: str) -> IssueAddress | None:
        return glitchtip_address(url, self._url, self._org)

    def health(self) -> Health:
        return health_of(self.kind, self._url, self._transport)

    def _list_query(self, query: IssueQuery) -> Query:
        if query.sort not in _SORTS:
            raise Unsupported("GlitchTip does not count users: sort by date, new or freq.")
        parameters = [("query", glitchtip_query(query.text, query.status)), ("sort", _SORTS[query.sort])]
        parameters += [("project", self._project_id(project)) for project in query.projects]
        parameters += [("environment", name) for name in query.environments]
        return [(name, value) for name, value in parameters if value]

    def _project_id(self, project: Project) -> str:
        if identifiers.is_number(project.id):  # anything else is a 422
            return project.id
        found = self._catalog.by_slug(project.slug)
        if found is None:
            raise NotFound(f"{self._transport.host} has no such project that SENTRY_AUTH_TOKEN may see.")
        return found.id

    def _recent(self, query: IssueQuery, wanted: Query, cursor: str | None, oldest: datetime) -> Page[Issue]:
        """Only what was last seen since `oldest`: GlitchTip's own time filter looks at when it was seen first.

        Sorted by last seen this is one request: older rows end the list. Sorted otherwise, pages without any such row
        are skipped, a bounded number of them.
        """
        by_date = query.sort == "date"
        previous = None
        for place, page in enumerate(self._walk(wanted, query.limit, cursor)):
            fresh = tuple(issue for issue in page.items if issue.last_seen is not None and issue.last_seen >= oldest)
            previous = page.previous if place == 0 else previous
            following = None if by_date and len(fresh) < len(page.items) else page.next
            if fresh or by_date or following is None:
                return Page(fresh, following, previous)
        return Page(
            (), None, previous, "The search for issues seen lately stopped here: sort by date to see them first."
        )

    def _walk(self, query: Query, limit: int, cursor: str | None = None) -> Iterator[Page[Issue]]:
        """Page after page, a bounded number of them; its cursors have been seen to stick, so a repeated one ends it."""
        for _ in range(_MOST_PAGES):
            page = self._page(query, limit, cursor)
            yield page
            if page.next is None:
                return
            cursor = page.next

    def _page(self, query: Query, limit: int, cursor: str | None = None) -> Page[Issue]:
        parameters = [*query, ("limit", str(min(max(limit, 1), _MOST_ROWS)))]
        if cursor:
            parameters.append(("cursor", cursor))
        answer = self._transport.get(_ISSUES, parameters, what=f"organization {self._org}", org=self._org)
        issues = tuple(self._issue(row) for row in objects(answer.json, "issues"))
        self._remember(issues)
        following, previous = _cursors(answer)
        return Page(issues, following if following != cursor else None, previous)

    def _issue(self, row: Fields) -> Issue:
        return read_issue(row, f"{self._url}/{self._org}/issues/{row.text('id')}", counts_users=False)

    def _remember(self, issues: tuple[Issue, ...]) -> None:
        with self._lock:
            for issue in issues:
                self._numbers[issue.short_id.upper()] = issue.id
                self._numbers.move_to_end(issue.short_id.upper())
            while len(self._numbers) > _MOST_KNOWN:
                self._numbers.popitem(last=False)

    def _fetch_projects(self) -> tuple[Project, ...]:
        found: list[Project] = []
        cursor: str | None = None
        for _ in range(_MOST_PAGES * 4):
            query = [("limit", str(_MOST_ROWS)), *([("cursor", cursor)] if cursor else [])]
            answer = self._transport.get(_PROJECTS, query, what=f"organization {self._org}", org=self._org)
            found += [read_project(row) for row in objects(answer.json, "projects")]
            following, _previous = _cursors(answer)
            if following is None or following == cursor:
                break
            cursor = following
        return tuple(project for project in found if project.id and project.slug)

    def _set_status(self, issue: Issue, word: str, wanted: str) -> Issue:
        answer = self._transport.send(
            "PUT",
            _ISSUE,
            {"status": word},
            what=f"issue {issue.short_id}",
            org=self._org,
            issue=identifiers.number(issue.id),
        )
        changed = self._issue(an_object(answer.json, "an issue"))
        return confirm(self._transport.host, issue, changed, wanted)


def _cursors(answer: Answer) -> tuple[str | None, str | None]:
    return link_cursors(answer.headers.get("link", ""))

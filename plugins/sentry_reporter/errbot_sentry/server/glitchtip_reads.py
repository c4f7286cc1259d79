"""What GlitchTip is asked; glitchtip.py is built on it and makes the changes.

All of it as measured (server facts, part 3): the issue list takes `id`, so that reading one issue stays inside the
organization (the path `/issues/{id}/` does not); a permalink is built, because GlitchTip's own is wrong; there is no
look-up of short ids. Releases and statistics as in its source, `apps/{releases,stats}/api.py`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from errbot_sentry.domain import identifiers
from errbot_sentry.domain.clock import Clock
from errbot_sentry.domain.errors import BadReference, NotFound, Unsupported
from errbot_sentry.domain.issues import Comment, Counts, Event, Issue, IssueQuery, Page, Project, Release, TagSpread
from errbot_sentry.domain.locks import Lock
from errbot_sentry.server.glitchtip_search import glitchtip_query
from errbot_sentry.server.http.client import Transport
from errbot_sentry.server.http.limits import Answer, Query
from errbot_sentry.server.http.paging import link_cursors
from errbot_sentry.server.issue_urls import glitchtip_address
from errbot_sentry.server.payloads.event_json import read_event
from errbot_sentry.server.payloads.insight_json import (
    newest_first,
    read_comments,
    read_events,
    read_releases,
    read_stats,
    read_tags,
)
from errbot_sentry.server.payloads.issue_json import read_issue, read_project
from errbot_sentry.server.payloads.json_fields import Fields, an_object, objects
from errbot_sentry.server.project_cache import Catalog
from errbot_sentry.server.protocol import GLITCHTIP, Health, IssueAddress
from errbot_sentry.server.server_health import health_of
from errbot_sentry.server.time_series import DAY, HOUR, pairs_of, spread, step_of

_PROJECTS = "/api/0/organizations/{org}/projects/"
_ISSUES = "/api/0/organizations/{org}/issues/"
_ISSUE_STATS = "/api/0/organizations/{org}/issues-stats/"
_STATS = "/api/0/organizations/{org}/stats_v2/"
_RELEASES = "/api/0/organizations/{org}/releases/"
_PROJECT_RELEASES = "/api/0/projects/{org}/{project}/releases/"
_EVENTS = "/api/0/issues/{issue}/events/"
_TAGS = "/api/0/issues/{issue}/tags/"
_LATEST = "/api/0/issues/{issue}/events/latest/"
_COMMENTS = "/api/0/issues/{issue}/comments/"

_MOST_ROWS = 100
_MOST_PAGES = 5
_MOST_KNOWN = 10_000
_MOST_RELEASE_PROJECTS = 20
_LONGEST_STATS = timedelta(days=14)
_LONGEST_HOURLY = timedelta(days=40)  # it gives a thousand hours at most
_SORTS = {"date": "-last_seen", "new": "-first_seen", "freq": "-count"}


class GlitchTipReads:
    """The questions of `server.api.Server`."""

    kind = GLITCHTIP

    def __init__(self, transport: Transport, url: str, org: str, clock: Clock) -> None:
        self.transport = transport
        self.url = url
        self.org = org
        self.clock = clock
        self.catalog = Catalog(self._fetch_projects, clock)
        self._lock = Lock()
        self._numbers: OrderedDict[str, str] = OrderedDict()  # short id to number, of the issues seen so far

    def projects(self) -> tuple[Project, ...]:
        return self.catalog.all()

    def issues(self, query: IssueQuery, cursor: str | None = None) -> Page[Issue]:
        wanted = self._list_query(query)
        if query.seen_within is None:
            return self._page(wanted, query.limit, cursor)
        return self._recent(query, wanted, cursor, oldest=self.clock.now() - query.seen_within)

    def issue(self, issue_id: str) -> Issue:
        number = identifiers.number(issue_id)
        found = self._page([("id", number)], 1)
        if not found.items or found.items[0].id != number:
            raise NotFound(f"{self.transport.host} has no issue {number} that SENTRY_AUTH_TOKEN may see.")
        return found.items[0]

    def list_by_ids(self, ids: list[str]) -> tuple[Issue, ...]:
        """Those of these issues that the organization still has."""
        return self._page([("id", number) for number in ids], len(ids)).items

    def issue_by_short_id(self, short_id: str) -> Issue:
        wanted = identifiers.short_id(short_id)
        with self._lock:
            number = self._numbers.get(wanted)
        if number is not None:
            return self.issue(number)
        slug = wanted.rpartition("-")[0]
        project = self.catalog.by_slug(slug)
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
            found = self._get(_LATEST, issue)
        except NotFound:
            return None
        event = read_event(an_object(found.json, "an event"))
        return replace(event, level=event.level or issue.level)

    def comments(self, issue: Issue) -> tuple[Comment, ...]:
        return read_comments(self._get(_COMMENTS, issue).json)

    def events(self, issue: Issue, limit: int) -> Page[Event]:
        found = self._get(_EVENTS, issue, [("limit", str(min(max(limit, 1), _MOST_ROWS)))])
        following, previous = _cursors(found)
        return Page(read_events(found.json, limit), following, previous)

    def tags(self, issue: Issue) -> tuple[TagSpread, ...]:
        return read_tags(self._get(_TAGS, issue).json)

    def tag_values(self, issue: Issue, key: str) -> TagSpread:
        for tag in read_tags(self._get(_TAGS, issue, [("key", key)]).json):
            if tag.key == key:
                return tag
        raise NotFound(f"No event of {issue.short_id} has such a tag.")

    def issue_counts(self, issue: Issue, span: timedelta) -> Counts:
        """From issues-stats: hours of the last day, days of the last fourteen, and nothing else."""
        if span > _LONGEST_STATS:
            raise Unsupported(
                f"GlitchTip tells an issue's events of the last {_LONGEST_STATS.days} days: ask for less."
            )
        name = "24h" if span <= DAY else "14d"
        query = [("groups", identifiers.number(issue.id)), ("statsPeriod", name)]
        found = self.transport.get(_ISSUE_STATS, query, what=f"organization {self.org}", org=self.org)
        rows = [row for row in objects(found.json, "statistics") if row.line("id") == issue.id]
        points = pairs_of(rows[0].fields("stats").raw(name)) if rows else []
        return spread(points, self.clock.now(), span, HOUR if span <= DAY else DAY)

    def project_counts(self, project: Project, span: timedelta) -> Counts:
        """In hours always, and summed up here: with longer slices GlitchTip counts only the first hour of each."""
        if span > _LONGEST_HOURLY:
            raise Unsupported(
                f"GlitchTip tells a project's events of the last {_LONGEST_HOURLY.days} days: ask for less."
            )
        now = self.clock.now()
        query = [
            ("category", "error"),
            ("field", "sum(quantity)"),
            ("interval", "1h"),
            ("start", (now - span).isoformat()),
            ("end", now.isoformat()),
            ("project", self._project_id(project)),
        ]
        found = self.transport.get(_STATS, query, what=f"organization {self.org}", org=self.org)
        return spread(read_stats(an_object(found.json, "statistics")), now, span, step_of(span))

    def releases(self, projects: tuple[Project, ...], limit: int) -> tuple[Release, ...]:
        """All pages, up to a bound, and sorted here: GlitchTip gives them in no order."""
        found: dict[str, Release] = {}
        if projects:
            if len(projects) > _MOST_RELEASE_PROJECTS:
                raise Unsupported(f"GlitchTip tells releases by project, and these are {len(projects)}: name fewer.")
            for project in projects:
                found.update(self._releases(_PROJECT_RELEASES, project=project.slug))
        else:
            found.update(self._releases(_RELEASES))
        return newest_first(found.values())[:limit]

    def address_of(self, url: str) -> IssueAddress | None:
        return glitchtip_address(url, self.url, self.org)

    def health(self) -> Health:
        return health_of(self.kind, self.url, self.transport)

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
        found = self.catalog.by_slug(project.slug)
        if found is None:
            raise NotFound(f"{self.transport.host} has no such project that SENTRY_AUTH_TOKEN may see.")
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
        answer = self.transport.get(_ISSUES, parameters, what=f"organization {self.org}", org=self.org)
        issues = tuple(self.read_row(row) for row in objects(answer.json, "issues"))
        self._remember(issues)
        following, previous = _cursors(answer)
        return Page(issues, following if following != cursor else None, previous)

    def _get(self, path: str, issue: Issue, query: Query = ()) -> Answer:
        return self.transport.get(path, query, what=f"issue {issue.short_id}", issue=identifiers.number(issue.id))

    def _releases(self, path: str, **parts: str) -> dict[str, Release]:
        found: dict[str, Release] = {}
        cursor: str | None = None
        for _ in range(_MOST_PAGES):
            query = [("limit", str(_MOST_ROWS)), *([("cursor", cursor)] if cursor else [])]
            answer = self.transport.get(path, query, what="such project", org=self.org, **parts)
            found.update((release.version, release) for release in read_releases(answer.json))
            following, _previous = _cursors(answer)
            if following is None or following == cursor:
                break
            cursor = following
        return found

    def read_row(self, row: Fields) -> Issue:
        return read_issue(row, f"{self.url}/{self.org}/issues/{row.text('id')}", counts_users=False)

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
            answer = self.transport.get(_PROJECTS, query, what=f"organization {self.org}", org=self.org)
            found += [read_project(row) for row in objects(answer.json, "projects")]
            following, _previous = _cursors(answer)
            if following is None or following == cursor:
                break
            cursor = following
        return tuple(project for project in found if project.id and project.slug)


def _cursors(answer: Answer) -> tuple[str | None, str | None]:
    return link_cursors(answer.headers.get("link", ""))

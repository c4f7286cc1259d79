"""What Sentry is asked, SaaS and self-hosted; sentry.py is built on it and makes the changes.

Paths and parameters: `sentry-openapi.json`. Not in it, but in getsentry/sentry `src/sentry/issues/endpoints/`: an
issue's notes (`group_notes.py`), all of its tags (`group_tags.py`), and short ids in place of an issue's number
(`bases/group.py`: every issue endpoint below an organization takes both).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from errbot_sentry.domain import identifiers, json_values
from errbot_sentry.domain.clock import Clock
from errbot_sentry.domain.errors import NotFound, Unsupported
from errbot_sentry.domain.issues import (
    ARCHIVED,
    RESOLVED,
    UNRESOLVED,
    Comment,
    Counts,
    Event,
    Issue,
    IssueQuery,
    Page,
    Project,
    Release,
    TagSpread,
)
from errbot_sentry.server.http.client import Transport
from errbot_sentry.server.http.limits import Answer, Query
from errbot_sentry.server.http.paging import link_cursors
from errbot_sentry.server.issue_urls import sentry_address
from errbot_sentry.server.payloads.event_json import read_event
from errbot_sentry.server.payloads.insight_json import (
    read_comments,
    read_events,
    read_releases,
    read_stats,
    read_tag,
    read_tags,
)
from errbot_sentry.server.payloads.issue_json import read_issue, read_project
from errbot_sentry.server.payloads.json_fields import Fields, an_object, objects
from errbot_sentry.server.project_cache import Catalog
from errbot_sentry.server.protocol import SENTRY, Health, IssueAddress
from errbot_sentry.server.search import names_a_status
from errbot_sentry.server.server_health import health_of
from errbot_sentry.server.time_series import DAY, HOUR, pairs_of, spread, step_of

_PROJECTS = "/api/0/organizations/{org}/projects/"
_ISSUES = "/api/0/organizations/{org}/issues/"
_ISSUE = "/api/0/organizations/{org}/issues/{issue}/"
_SHORT_ID = "/api/0/organizations/{org}/shortids/{issue}/"
_EVENT_ID = "/api/0/organizations/{org}/eventids/{event}/"
_LATEST = "/api/0/organizations/{org}/issues/{issue}/events/latest/"
_EVENTS = "/api/0/organizations/{org}/issues/{issue}/events/"
_TAGS = "/api/0/organizations/{org}/issues/{issue}/tags/"
_TAG = "/api/0/organizations/{org}/issues/{issue}/tags/{key}/"
_STATS = "/api/0/organizations/{org}/stats_v2/"
_RELEASES = "/api/0/organizations/{org}/releases/"
_NOTES = "/api/0/organizations/{org}/issues/{issue}/notes/"

_MOST_ROWS = 100
_MOST_PROJECT_PAGES = 20
_LONGEST_PERIOD = timedelta(days=90)
_LONGEST_STATS = timedelta(days=30)
_STATUS_WORDS = {UNRESOLVED: "is:unresolved", RESOLVED: "is:resolved", ARCHIVED: "is:ignored"}
_PERIOD_UNITS = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))


class SentryReads:
    """The questions of `server.api.Server`."""

    kind = SENTRY

    def __init__(self, transport: Transport, url: str, org: str, clock: Clock) -> None:
        self.transport = transport
        self.url = url
        self.org = org
        self.clock = clock
        self.catalog = Catalog(self._fetch_projects, clock)

    def projects(self) -> tuple[Project, ...]:
        return self.catalog.all()

    def issues(self, query: IssueQuery, cursor: str | None = None) -> Page[Issue]:
        answer = self.transport.get(_ISSUES, list_query(query, cursor), what=self._organization, org=self.org)
        issues = tuple(self.read_row(row) for row in objects(answer.json, "issues"))
        following, previous = link_cursors(answer.headers.get("link", ""))
        too_long = query.seen_within is not None and query.seen_within > _LONGEST_PERIOD
        note = f"Sentry looks back {_LONGEST_PERIOD.days} days at most." if too_long else ""
        return Page(issues, following, previous, note)

    def issue(self, issue_id: str) -> Issue:
        return self._read(_ISSUE, identifiers.number(issue_id))

    def issue_by_short_id(self, short_id: str) -> Issue:
        wanted = identifiers.short_id(short_id)
        try:
            return self._read(_ISSUE, wanted)
        except NotFound:  # a server that takes only numbers there; else this is not found either
            found = self._get(_SHORT_ID, wanted)
            return self.read_row(an_object(found.json, "an issue").fields("group"))

    def issue_of_event(self, event_id: str) -> Issue | None:
        wanted = identifiers.event_id(event_id)
        if wanted is None:
            return None
        try:
            found = self.transport.get(_EVENT_ID, what="such event", org=self.org, event=wanted)
            return self.issue(an_object(found.json, "an event").need("groupId", "an event"))
        except NotFound:
            return None

    def latest_event(self, issue: Issue) -> Event | None:
        try:
            found = self._get(_LATEST, identifiers.number(issue.id), issue.short_id)
        except NotFound:
            return None
        event = read_event(an_object(found.json, "an event"))
        return replace(event, level=event.level or issue.level)

    def comments(self, issue: Issue) -> tuple[Comment, ...]:
        return read_comments(self._get(_NOTES, identifiers.number(issue.id), issue.short_id).json)

    def events(self, issue: Issue, limit: int) -> Page[Event]:
        number = str(min(max(limit, 1), _MOST_ROWS))
        found = self._get(_EVENTS, identifiers.number(issue.id), issue.short_id, [("per_page", number)])
        following, previous = link_cursors(found.headers.get("link", ""))
        return Page(read_events(found.json, limit), following, previous)

    def tags(self, issue: Issue) -> tuple[TagSpread, ...]:
        return read_tags(self._get(_TAGS, identifiers.number(issue.id), issue.short_id).json)

    def tag_values(self, issue: Issue, key: str) -> TagSpread:
        found = self.transport.get(
            _TAG, what="such tag on this issue", org=self.org, issue=identifiers.number(issue.id), key=key
        )
        return read_tag(an_object(found.json, "a tag"))

    def issue_counts(self, issue: Issue, span: timedelta) -> Counts:
        """From the issue's own statistics: hours of the last day, days of the last thirty."""
        if span > _LONGEST_STATS:
            raise Unsupported(f"Sentry tells an issue's events of the last {_LONGEST_STATS.days} days: ask for less.")
        found = self._get(_ISSUE, identifiers.number(issue.id), issue.short_id)
        stats = an_object(found.json, "an issue").fields("stats")
        fine = span <= DAY
        points = pairs_of(stats.raw("24h" if fine else "30d"))
        return spread(points, self.clock.now(), span, HOUR if fine else DAY)

    def project_counts(self, project: Project, span: timedelta) -> Counts:
        step = step_of(span)
        query = [
            ("project", project.id),
            ("category", "error"),
            ("outcome", "accepted"),
            ("groupBy", "outcome"),
            ("field", "sum(quantity)"),
            ("statsPeriod", period(span)),
            ("interval", "1h" if step == HOUR else "1d"),
        ]
        found = self.transport.get(_STATS, query, what=self._organization, org=self.org)
        return spread(read_stats(an_object(found.json, "statistics")), self.clock.now(), span, step)

    def releases(self, projects: tuple[Project, ...], limit: int) -> tuple[Release, ...]:
        query = [("per_page", str(min(max(limit, 1), _MOST_ROWS)))]
        query += [("project", project.id or project.slug) for project in projects]
        found = self.transport.get(_RELEASES, query, what=self._organization, org=self.org)
        return read_releases(found.json)[:limit]

    def address_of(self, url: str) -> IssueAddress | None:
        return sentry_address(url, self.url, self.org)

    def health(self) -> Health:
        return health_of(self.kind, self.url, self.transport)

    @property
    def _organization(self) -> str:
        return f"organization {self.org}"

    def _fetch_projects(self) -> tuple[Project, ...]:
        found: list[Project] = []
        cursor: str | None = None
        for _ in range(_MOST_PROJECT_PAGES):
            query = [("per_page", str(_MOST_ROWS)), *([("cursor", cursor)] if cursor else [])]
            answer = self.transport.get(_PROJECTS, query, what=self._organization, org=self.org)
            found += [read_project(row) for row in objects(answer.json, "projects")]
            following, _previous = link_cursors(answer.headers.get("link", ""))
            if following is None or following == cursor:
                break
            cursor = following
        return tuple(project for project in found if project.id and project.slug)

    def _get(self, path: str, issue: str, short_id: str = "", query: Query = ()) -> Answer:
        return self.transport.get(path, query, what=f"issue {short_id or issue}", org=self.org, issue=issue)

    def _read(self, path: str, issue: str) -> Issue:
        return self.read_row(an_object(self._get(path, issue).json, "an issue"))

    def read_row(self, row: Fields) -> Issue:
        link = json_values.web_link(row.raw("permalink"))
        return read_issue(row, link or f"{self.url}/organizations/{self.org}/issues/{row.text('id')}/")


def list_query(query: IssueQuery, cursor: str | None) -> Query:
    """The parameters of listOrganizationIssues. `query` is sent even when empty: without it Sentry adds its own."""
    text = query.text.strip()
    if query.status is not None and not names_a_status(text):
        text = f"{_STATUS_WORDS[query.status]} {text}".strip()
    fine = query.seen_within is None or query.seen_within <= timedelta(hours=24)
    parameters = [
        ("query", text),
        ("sort", query.sort),
        ("limit", str(min(max(query.limit, 1), _MOST_ROWS))),
        ("groupStatsPeriod", "24h" if fine else "14d"),
    ]
    parameters += [("project", project.id or project.slug) for project in query.projects]
    parameters += [("environment", name) for name in query.environments]
    if query.seen_within is not None:
        parameters.append(("statsPeriod", period(min(query.seen_within, _LONGEST_PERIOD))))
    if cursor:
        parameters.append(("cursor", cursor))
    return parameters


def period(span: timedelta) -> str:
    """A span as `statsPeriod` writes it: one number and one unit."""
    seconds = max(int(span.total_seconds()), 1)
    size, unit = next((size, unit) for size, unit in _PERIOD_UNITS if seconds % size == 0)
    return f"{seconds // size}{unit}"

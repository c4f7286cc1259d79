"""The dialect of Sentry, SaaS and self-hosted.

Paths, parameters and bodies: `sentry-openapi.json`. Not in it: POST `…/issues/{issue}/notes/`, a private endpoint
(getsentry/sentry `src/sentry/issues/endpoints/group_notes.py`), and short ids in place of an issue's number (the same
repository, `src/sentry/issues/endpoints/bases/group.py`: every issue endpoint below an organization takes both).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from errbot_sentry import wire
from errbot_sentry.clock import Clock
from errbot_sentry.errors import BadQuery, NotFound
from errbot_sentry.model import ARCHIVED, RESOLVED, UNRESOLVED, Event, Issue, IssueQuery, Page, Project
from errbot_sentry.server import identifiers
from errbot_sentry.server.addresses import sentry_address
from errbot_sentry.server.api import SENTRY, Health, IssueAddress
from errbot_sentry.server.calls import Answer, Query
from errbot_sentry.server.catalog import Catalog
from errbot_sentry.server.changes import confirm
from errbot_sentry.server.event_json import read_event
from errbot_sentry.server.health import health_of
from errbot_sentry.server.issue_json import read_issue, read_project
from errbot_sentry.server.pages import link_cursors
from errbot_sentry.server.reading import Fields, an_object, objects
from errbot_sentry.server.search import names_a_status
from errbot_sentry.server.transport import Transport

_PROJECTS = "/api/0/organizations/{org}/projects/"
_ISSUES = "/api/0/organizations/{org}/issues/"
_ISSUE = "/api/0/organizations/{org}/issues/{issue}/"
_SHORT_ID = "/api/0/organizations/{org}/shortids/{issue}/"
_EVENT_ID = "/api/0/organizations/{org}/eventids/{event}/"
_LATEST = "/api/0/organizations/{org}/issues/{issue}/events/latest/"
_NOTES = "/api/0/organizations/{org}/issues/{issue}/notes/"

_MOST_ROWS = 100
_MOST_PROJECT_PAGES = 20
_LONGEST_PERIOD = timedelta(days=90)
_STATUS_WORDS = {UNRESOLVED: "is:unresolved", RESOLVED: "is:resolved", ARCHIVED: "is:ignored"}
_PERIOD_UNITS = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))


class Sentry:
    """See `server.api.Server`."""

    kind = SENTRY

    def __init__(self, transport: Transport, url: str, org: str, clock: Clock) -> None:
        self._transport = transport
        self._url = url
        self._org = org
        self._catalog = Catalog(self._fetch_projects, clock)

    def projects(self) -> tuple[Project, ...]:
        return self._catalog.all()

    def issues(self, query: IssueQuery, cursor: str | None = None) -> Page[Issue]:
        answer = self._transport.get(_ISSUES, list_query(query, cursor), what=self._organization, org=self._org)
        issues = tuple(self._issue(row) for row in objects(answer.json, "issues"))
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
            return self._issue(an_object(found.json, "an issue").fields("group"))

    def issue_of_event(self, event_id: str) -> Issue | None:
        wanted = identifiers.event_id(event_id)
        if wanted is None:
            return None
        try:
            found = self._transport.get(_EVENT_ID, what="such event", org=self._org, event=wanted)
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

    def resolve(self, issue: Issue) -> Issue:
        return self._set_status(issue, "resolved", RESOLVED)

    def reopen(self, issue: Issue) -> Issue:
        return self._set_status(issue, "unresolved", UNRESOLVED)

    def note(self, issue: Issue, text: str) -> None:
        issue_id = identifiers.number(issue.id)
        try:
            self._transport.send(
                "POST", _NOTES, {"text": text}, what=f"issue {issue.short_id}", org=self._org, issue=issue_id
            )
        except BadQuery as error:
            if "already posted" not in error.detail:  # the same words within an hour: the note is there
                raise

    def address_of(self, url: str) -> IssueAddress | None:
        return sentry_address(url, self._url, self._org)

    def health(self) -> Health:
        return health_of(self.kind, self._url, self._transport)

    @property
    def _organization(self) -> str:
        return f"organization {self._org}"

    def _fetch_projects(self) -> tuple[Project, ...]:
        found: list[Project] = []
        cursor: str | None = None
        for _ in range(_MOST_PROJECT_PAGES):
            query = [("per_page", str(_MOST_ROWS)), *([("cursor", cursor)] if cursor else [])]
            answer = self._transport.get(_PROJECTS, query, what=self._organization, org=self._org)
            found += [read_project(row) for row in objects(answer.json, "projects")]
            following, _previous = link_cursors(answer.headers.get("link", ""))
            if following is None or following == cursor:
                break
            cursor = following
        return tuple(project for project in found if project.id and project.slug)

    def _get(self, path: str, issue: str, short_id: str = "") -> Answer:
        return self._transport.get(path, what=f"issue {short_id or issue}", org=self._org, issue=issue)

    def _read(self, path: str, issue: str) -> Issue:
        return self._issue(an_object(self._get(path, issue).json, "an issue"))

    def _issue(self, row: Fields) -> Issue:
        link = wire.web_link(row.raw("permalink"))
        return read_issue(row, link or f"{self._url}/organizations/{self._org}/issues/{row.text('id')}/")

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

"""The dialect of Bugsink: its own API, without organizations, search, users, levels or links.

Measured on release 2.6.1, and read in `api_views.py` and `serializers.py` of its `issues/`, `events/` and `projects/`.
Its lists are per project, with 250 rows a page, and cannot be filtered, so we filter them, with a bound.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from types import MappingProxyType

from errbot_sentry.domain import identifiers
from errbot_sentry.domain.errors import BadQuery, NotFound, Unsupported
from errbot_sentry.domain.issues import (
    ARCHIVED,
    RESOLVED,
    UNRESOLVED,
    ArchiveUntil,
    Counts,
    Event,
    Issue,
    IssueQuery,
    Page,
    Project,
    Release,
    ResolveIn,
)
from errbot_sentry.server.bugsink_listing import BugsinkListing
from errbot_sentry.server.dialect import Dialect
from errbot_sentry.server.http.calls import Query, body_cursor
from errbot_sentry.server.issue_urls import bugsink_address
from errbot_sentry.server.payloads.bugsink_json import (
    mute_action,
    read_bugsink_event,
    read_bugsink_issue,
    read_event_row,
)
from errbot_sentry.server.payloads.insight_json import newest_first
from errbot_sentry.server.payloads.json_fields import Fields, an_object, objects
from errbot_sentry.server.protocol import BUGSINK, IssueAddress
from errbot_sentry.server.time_series import Point, spread, step_of

_API = "/api/canonical/0"
_PROJECTS = f"{_API}/projects/"
_ISSUES = f"{_API}/issues/"
_ISSUE = f"{_API}/issues/{{issue}}/"
_ACTION = f"{_API}/issues/{{issue}}/{{action}}/"
_EVENTS = f"{_API}/events/"
_EVENT = f"{_API}/events/{{event}}/"
_COMMENTS = f"{_API}/issue-comments/"
_RELEASES = f"{_API}/releases/"

_MOST_PROJECT_PAGES = 8
_ISSUES_SEARCHED_FOR_EVENT = 5
_MOST_EVENT_PAGES = 8
_MOST_RELEASE_PROJECTS = 20


# Bugsink's sentences for a change that does not fit the issue's state (`issues/api_views.py`), and ours.
_REFUSALS = {
    "already resolved": "it is resolved already; reopen it first.",
    "already muted": "it is archived already; reopen it first.",
    "no releases": "This project has no releases on Bugsink.",
}


class Bugsink(Dialect):
    """See `server.protocol.Server`."""

    kind = BUGSINK
    refusals = MappingProxyType(
        {
            "comments": "Bugsink's API takes notes, but does not list them.",
            "tags": "Bugsink's API does not count tags: the tags of the newest event are with the issue.",
            "tag_values": "Bugsink's API does not count tags: the tags of the newest event are with the issue.",
            "project_counts": "Bugsink's API does not count a project's events over time: name one issue.",
            "accounts": "Bugsink has no user accounts to link.",
            "feedback": "Bugsink takes no feedback from a bot. Use `!sentry note` on the issue.",
            "assign": "Bugsink has no assignee.",
            "set_priority": "Bugsink has no priority.",
            "merge": "Bugsink cannot merge issues.",
            "read_activity": "Bugsink's API does not list what happened to an issue: look at its page.",
            "read_suspect_commits": "Bugsink does not know the commits of a release.",
            "read_owners": "Bugsink has no ownership rules.",
            "read_teams": "Bugsink has no assignee.",
            "read_monitors": "Bugsink has no monitors.",
        }
    )

    def issues(self, query: IssueQuery, cursor: str | None = None) -> Page[Issue]:
        projects = tuple(self._with_id(project) for project in query.projects) or self.projects()
        return BugsinkListing(self._issue_page, self._clock).page(query, projects, cursor)

    def issue(self, issue_id: str) -> Issue:
        return self._read(identifiers.uuid(issue_id))

    def issues_by_id(self, ids: tuple[str, ...]) -> tuple[Issue, ...]:
        """The issues with these ids, one request for each, because the list cannot be filtered by id."""
        found: list[Issue] = []
        for each in ids:
            with suppress(NotFound):
                found.append(self.issue(each))
        return tuple(found)

    def issue_by_short_id(self, short_id: str) -> Issue:
        return self._read(identifiers.short_id(short_id))

    def issue_of_event(self, event_id: str) -> Issue | None:
        """Search the newest events of the issues seen last, because Bugsink has no look-up by the SDK's event id."""
        wanted = identifiers.event_id(event_id)
        if wanted is None:
            return None
        newest = self.issues(IssueQuery(status=None, limit=_ISSUES_SEARCHED_FOR_EVENT))
        for issue in newest.items:
            rows, _cursor = self._event_rows(issue)
            if any(identifiers.event_id(row.text("event_id")) == wanted for row in rows):
                return issue
        return None

    def latest_event(self, issue: Issue) -> Event | None:
        rows, _cursor = self._event_rows(issue)
        if not rows:
            return None
        found = self._transport.get(_EVENT, what="such event", event=rows[0].need("id", "an event"))
        return read_bugsink_event(an_object(found.json, "an event"), issue)

    def resolve(self, issue: Issue) -> Issue:
        return self._act(issue, "resolve", RESOLVED)

    def reopen(self, issue: Issue) -> Issue:
        """Unmute or reopen an issue by its status; if the status has changed since, by the present one."""
        actions = {ARCHIVED: "unmute", RESOLVED: "reopen"}
        if issue.status in actions:
            try:
                return self._act(issue, actions[issue.status], UNRESOLVED)
            except BadQuery:
                pass
        now = self.issue(issue.id)
        if now.status != UNRESOLVED:
            now = self._act(now, actions[now.status], UNRESOLVED)
        return self._confirm(issue, now, UNRESOLVED)

    def note(self, issue: Issue, text: str) -> None:
        body = {"issue": identifiers.uuid(issue.id), "comment": text}
        answer = self._transport.send("POST", _COMMENTS, body, what=f"issue {issue.short_id}")
        an_object(answer.json, "a comment").need("id", "a comment")

    def events(self, issue: Issue, limit: int) -> Page[Event]:
        """The newest events without their contents; each has the title of the issue."""
        return self._page_of(
            self._event_list(issue).raw("results"), "events", lambda row: read_event_row(row, issue), limit
        )

    def issue_counts(self, issue: Issue, span: timedelta) -> Counts:
        """The counts from the list of events, if it is complete: Bugsink keeps a limited number for each project."""
        answer = self._transport.get(_ISSUE, what=f"issue {issue.short_id}", issue=identifiers.uuid(issue.id))
        row = an_object(answer.json, "an issue")
        now = self._clock.now()
        points: list[Point] = []
        cursor: str | None = None
        for _ in range(_MOST_EVENT_PAGES):
            rows, cursor = self._event_rows(issue, cursor)
            points += [(at, 1) for event in rows if (at := event.time("ingested_at", "timestamp")) is not None]
            if cursor is None or (points and points[-1][0] < now - span):
                break
        else:
            raise Unsupported("This issue has too many events for Bugsink's API to count them: try a shorter time.")
        if row.whole("stored_event_count") != row.whole("digested_event_count"):
            raise Unsupported("Bugsink has deleted some events of this issue, so it cannot count them over time.")
        return spread(points, now, span, step_of(span))

    def releases(self, projects: tuple[Project, ...], limit: int) -> tuple[Release, ...]:
        wanted = projects or self.projects()
        if len(wanted) > _MOST_RELEASE_PROJECTS:
            raise Unsupported(f"Bugsink lists releases by project, and there are {len(wanted)}: name some with -p.")
        found: list[Release] = []
        for project in wanted:
            known = self._with_id(project)
            query = [("project", known.id)]
            answer = self._transport.get(_RELEASES, query, what=f"project {known.slug}")
            rows = objects(an_object(answer.json, "a list of releases").raw("results"), "releases")
            found += [
                Release(row.line("version"), row.time("date_released"), None, (known.slug,))
                for row in rows
                if row.line("version")
            ]
        return newest_first(found)[:limit]

    def resolve_in(self, issue: Issue, when: ResolveIn) -> Issue:
        if not (when.next_release or when.latest_release):
            raise Unsupported("Bugsink can resolve in @next or @latest, but not in a named release or commit.")
        row = self._post(issue, "resolve-next" if when.next_release else "resolve-latest")
        changed = self._confirm(issue, self._issue(row), RESOLVED)
        by_next = row.yes("is_resolved_by_next_release")
        if row.yes("is_resolved_unconditionally") or by_next != when.next_release:
            raise self._not_shown(issue, "resolved as asked")
        return changed

    def archive(self, issue: Issue, until: ArchiveUntil) -> Issue:
        action, body = mute_action(until)
        return self._confirm(issue, self._issue(self._post(issue, action, body)), ARCHIVED)

    def address_of(self, url: str) -> IssueAddress | None:
        return bugsink_address(url, self._url)

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

    def _issue_page(self, project: Project, query: Query) -> Page[Issue]:
        """One page of a project's issues."""
        parameters = [("project", project.id), *query]
        answer = self._transport.get(_ISSUES, parameters, what=f"project {project.slug}")
        body = an_object(answer.json, "a list of issues")
        page = self._page_of(body.raw("results"), "issues", lambda row: read_bugsink_issue(row, project, self._url))
        return replace(page, next=body_cursor(body.raw("next"), self._url))

    def _event_rows(self, issue: Issue, cursor: str | None = None) -> tuple[list[Fields], str | None]:
        """A page of an issue's events without their contents, newest first, and the cursor of the next page."""
        body = self._event_list(issue, cursor)
        return objects(body.raw("results"), "events"), body_cursor(body.raw("next"), self._url)

    def _event_list(self, issue: Issue, cursor: str | None = None) -> Fields:
        query = [("issue", identifiers.uuid(issue.id)), *([("cursor", cursor)] if cursor else [])]
        answer = self._transport.get(_EVENTS, query, what=f"issue {issue.short_id}")
        return an_object(answer.json, "a list of events")

    def _with_id(self, project: Project) -> Project:
        if identifiers.is_number(project.id):
            return project
        found = self._project_cache.by_slug(project.slug)
        if found is None:
            raise BadQuery("Bugsink has no such project that SENTRY_AUTH_TOKEN may see.")
        return found

    def _read(self, issue: str) -> Issue:
        answer = self._transport.get(_ISSUE, what=f"issue {issue}", issue=issue)
        return self._issue(an_object(answer.json, "an issue"))

    def _issue(self, row: Fields) -> Issue:
        project_id = row.text("project")
        project = self._project_cache.by_id(project_id) or Project(project_id, "")
        return read_bugsink_issue(row, project, self._url)

    def _act(self, issue: Issue, action: str, wanted: str) -> Issue:
        """POST an action. A 400 is no failure if the issue has the wanted status already."""
        try:
            row = self._post(issue, action)
        except BadQuery:
            now = self.issue(issue.id)
            if now.status != wanted:
                raise
            return now
        return self._confirm(issue, self._issue(row), wanted)

    def _post(self, issue: Issue, action: str, body: object = None) -> Fields:
        try:
            answer = self._transport.send(
                "POST",
                _ACTION,
                body,
                what=f"issue {issue.short_id}",
                issue=identifiers.uuid(issue.id),
                action=action,
            )
        except BadQuery as error:
            sentence = next((said for words, said in _REFUSALS.items() if words in error.detail), str(error))
            raise BadQuery(sentence, status=error.status, detail=error.detail) from error
        return an_object(answer.json, "an issue")

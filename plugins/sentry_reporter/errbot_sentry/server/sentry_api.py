"""What Sentry and GlitchTip have in common: organizations, numbered issues, changes by PUT, pages by a `Link` header.

GlitchTip copies Sentry's API. Paths and bodies: `openapi-derefed.json` of getsentry/sentry-api-schema, and the sources
of both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from errbot_sentry.domain import identifiers
from errbot_sentry.domain.clock import Clock
from errbot_sentry.domain.errors import BadQuery, MissingScope, NotFound, ServerError, UsageError
from errbot_sentry.domain.issues import (
    ARCHIVED,
    RESOLVED,
    UNRESOLVED,
    Comment,
    Event,
    Issue,
    IssueQuery,
    Monitor,
    Page,
    Project,
    TagSpread,
)
from errbot_sentry.domain.typed_text import echo, probably_meant
from errbot_sentry.server.dialect import Dialect
from errbot_sentry.server.http.calls import ApiAnswer, Query, link_cursors
from errbot_sentry.server.http.client import Transport
from errbot_sentry.server.payloads.event_json import read_event
from errbot_sentry.server.payloads.insight_json import read_comments, read_tags
from errbot_sentry.server.payloads.issue_json import read_list, read_project
from errbot_sentry.server.payloads.json_fields import Fields, an_object, objects

PROJECTS = "/api/0/organizations/{org}/projects/"
ISSUES = "/api/0/organizations/{org}/issues/"
ISSUE = "/api/0/organizations/{org}/issues/{issue}/"
STATS = "/api/0/organizations/{org}/stats_v2/"
MONITORS = "/api/0/organizations/{org}/monitors/"
ENVIRONMENTS = "/api/0/organizations/{org}/environments/"
PROJECT_ENVIRONMENTS = "/api/0/projects/{org}/{project}/environments/"
RELEASES = "/api/0/organizations/{org}/releases/"

MOST_ROWS = 100  # of one page; both give no more
STATUS_WORDS = {UNRESOLVED: "unresolved", RESOLVED: "resolved", ARCHIVED: "ignored"}
_MOST_PROJECT_PAGES = 20
_MOST_ENVIRONMENT_PROJECTS = 10


class SentryApi(Dialect):
    """The base of `Sentry` and `GlitchTip`: one organization of such a server."""

    _page_size = ""
    """The parameter that bounds a page."""
    _latest = _events = _tags = _comments = ""
    """The paths below an issue."""

    def __init__(self, transport: Transport, url: str, org: str, clock: Clock) -> None:
        super().__init__(transport, url, clock)
        self._org = org

    def latest_event(self, issue: Issue) -> Event | None:
        try:
            found = self._get_of(issue, self._latest)
        except NotFound:
            return None
        event = read_event(an_object(found.json, "an event"))
        return replace(event, level=event.level or issue.level)

    def comments(self, issue: Issue) -> tuple[Comment, ...]:
        return read_comments(self._get_of(issue, self._comments).json)

    def events(self, issue: Issue, limit: int) -> Page[Event]:
        found = self._get_of(issue, self._events, [self._limit(limit)])
        following, previous = cursors_of(found)
        return replace(self._page_of(found.json, "events", read_event, limit), next=following, previous=previous)

    def tags(self, issue: Issue) -> tuple[TagSpread, ...]:
        return read_tags(self._get_of(issue, self._tags).json)

    def resolve(self, issue: Issue) -> Issue:
        return self._change(issue, {"status": STATUS_WORDS[RESOLVED]}, RESOLVED)

    def reopen(self, issue: Issue) -> Issue:
        return self._change(issue, {"status": STATUS_WORDS[UNRESOLVED]}, UNRESOLVED)

    def _read_row(self, row: Fields) -> Issue:
        """An issue as this server writes it."""
        raise NotImplementedError

    def _get_issues(self, query: Query) -> Page[Issue]:
        """A page of the organization's issues."""
        reader = partial(read_list, read_row=self._read_row)
        answer = self._transport.get(ISSUES, query, reader, what=f"organization {self._org}", org=self._org)
        following, previous = cursors_of(answer)
        if isinstance(answer.json, tuple):
            return Page(answer.json, following, previous)
        return replace(self._page_of(answer.json, "issues", self._read_row), next=following, previous=previous)

    def _get(self, path: str, query: Query = (), *, what: str = "", scope: str = "", **parts: str) -> ApiAnswer:
        """Read below the organization; `what` is for the sentence of a 404, `scope` (what the token needs) of a 403."""
        try:
            return self._transport.get(path, query, what=what or f"organization {self._org}", org=self._org, **parts)
        except MissingScope as error:
            if not scope:
                raise
            sentence = f"{self._transport.host} does not allow SENTRY_AUTH_TOKEN to do this (403): give it {scope}."
            raise MissingScope(sentence, status=error.status, detail=error.detail) from error

    def _check_environments(self, query: IssueQuery) -> None:
        """Refuse a name that no environment has, as of these projects.

        Sentry answers 404 to one, with the text for an unknown organization (getsentry/sentry
        `src/sentry/api/helpers/environments.py`); GlitchTip finds nothing.

        Raises:
            UsageError: naming the environment that is probably meant.
        """
        paths = [(PROJECT_ENVIRONMENTS, project.slug) for project in query.projects[:_MOST_ENVIRONMENT_PROJECTS]]
        answers = [self._get(path, project=slug) for path, slug in paths] or [self._get(ENVIRONMENTS)]
        known = [row.line("name") for answer in answers for row in objects(answer.json, "environments")]
        for name in query.environments:
            if name not in known:
                meant = probably_meant(name, known)
                hint = f"did you mean {echo(meant)}?" if meant else "leave out -e to see all."
                raise UsageError(f"There is no environment {echo(name)} here: {hint}")

    def _get_of(self, issue: Issue, path: str, query: Query = (), **parts: str) -> ApiAnswer:
        """Read below an issue."""
        number = identifiers.number(issue.id)
        return self._get(path, query, what=f"issue {issue.short_id}", issue=number, **parts)

    def _limit(self, wanted: int) -> tuple[str, str]:
        return self._page_size, str(min(max(wanted, 1), MOST_ROWS))

    def _pages(self, path: str, most: int, *, what: str = "", scope: str = "", **parts: str) -> Iterator[ApiAnswer]:
        """Page after page of a whole list, at most so many; a cursor that does not move ends it."""
        cursor: str | None = None
        for _ in range(most):
            query = [self._limit(MOST_ROWS), *([("cursor", cursor)] if cursor else [])]
            answer = self._get(path, query, what=what, scope=scope, **parts)
            yield answer
            following, _previous = cursors_of(answer)
            if following is None or following == cursor:
                return
            cursor = following

    def _fetch_projects(self) -> tuple[Project, ...]:
        pages = self._pages(PROJECTS, _MOST_PROJECT_PAGES)
        found = [read_project(row) for page in pages for row in objects(page.json, "projects")]
        return tuple(project for project in found if project.id and project.slug)

    def _change(
        self,
        issue: Issue,
        body: dict[str, Any],
        status: str | None,
        shows: Callable[[Fields], bool] = lambda _row: True,
        what: str = "",
    ) -> Issue:
        """PUT to one issue, and its answer if that shows the change; `status` None: as it was."""
        answer = self._transport.send(
            "PUT", ISSUE, body, what=f"issue {issue.short_id}", org=self._org, issue=identifiers.number(issue.id)
        )
        row = an_object(answer.json, "an issue")
        changed = self._read_row(row)
        self._confirm(issue, changed, changed.status if status is None else status)
        if not shows(row):
            raise self._not_shown(issue, what)
        return changed

    def _unknown_assignee(self, error: ServerError) -> BadQuery:
        """For a refusal to assign an issue that exists: so the person or the team does not."""
        return BadQuery(
            f"{self._transport.host} has no such person or team for this project: give the mail address used there, "
            "or team:slug.",
            status=error.status,
            detail=error.detail,
        )


def to_merge(issues: tuple[Issue, ...]) -> list[str]:
    """The numbers of issues to merge, in order.

    Raises:
        BadQuery: there are not two. Without any, both servers would merge whatever a search finds.
    """
    numbers = sorted({identifiers.number(issue.id) for issue in issues}, key=int)
    if len(numbers) < 2:
        raise BadQuery("There is nothing to merge: name two different issues.")
    return numbers


def cursors_of(answer: ApiAnswer) -> tuple[str | None, str | None]:
    """The cursors of the next and the previous page."""
    return link_cursors(answer.headers.get("link", ""))


def of_projects(monitors: Iterable[Monitor], projects: tuple[Project, ...]) -> tuple[Monitor, ...]:
    """The monitors of these projects, all for `()`: those that are down first, then by name."""
    slugs = {project.slug for project in projects}
    found = [monitor for monitor in monitors if not slugs or monitor.project in slugs]
    return tuple(sorted(found, key=lambda monitor: (monitor.up is not False, monitor.kind, monitor.name.casefold())))

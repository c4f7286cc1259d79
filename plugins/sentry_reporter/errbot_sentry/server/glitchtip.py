"""The dialect of GlitchTip, as measured on its releases 4 and 5 and read in its source.

One issue is read from the list, with the parameter `id`, to stay inside the organization; the path `/issues/{id}/` does
not. Links to issues are made here, because GlitchTip's own are wrong. It has no look-up of short ids. Releases and
statistics: `apps/releases/api.py` and `apps/stats/api.py`.

Every release can change a status. It answers 200 to unknown keys, and 500 to a body without a status. So changes that
no release can make are refused before any request. Changes that only newer releases can make (assigning) are sent with
the present status, and count if the answer shows them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from types import MappingProxyType

from cachetools import LRUCache

from errbot_sentry.domain import identifiers, json_values
from errbot_sentry.domain.clock import Clock
from errbot_sentry.domain.errors import BadQuery, BadReference, NotFound, Unsupported
from errbot_sentry.domain.issues import (
    ARCHIVED,
    RESOLVED,
    ArchiveUntil,
    Assignee,
    Counts,
    Issue,
    IssueQuery,
    Monitor,
    Page,
    Project,
    Release,
    ResolveIn,
    TagSpread,
)
from errbot_sentry.domain.locks import Lock
from errbot_sentry.server.glitchtip_search import glitchtip_query
from errbot_sentry.server.http.calls import Query
from errbot_sentry.server.http.client import Transport
from errbot_sentry.server.issue_urls import glitchtip_address
from errbot_sentry.server.payloads import triage_json
from errbot_sentry.server.payloads.insight_json import newest_first, read_releases, read_stats, read_tags
from errbot_sentry.server.payloads.issue_json import read_issue
from errbot_sentry.server.payloads.json_fields import Fields, an_object, objects
from errbot_sentry.server.payloads.monitor_json import read_glitchtip_monitors
from errbot_sentry.server.protocol import GLITCHTIP, IssueAddress
from errbot_sentry.server.sentry_api import (
    ISSUES,
    MONITORS,
    MOST_ROWS,
    RELEASES,
    STATS,
    STATUS_WORDS,
    SentryApi,
    of_projects,
    to_merge,
)
from errbot_sentry.server.time_series import DAY, HOUR, pairs_of, spread, step_of

_ISSUE_STATS = "/api/0/organizations/{org}/issues-stats/"
_PROJECT_RELEASES = "/api/0/projects/{org}/{project}/releases/"
_EVENTS = "/api/0/issues/{issue}/events/"
_TAGS = "/api/0/issues/{issue}/tags/"
_LATEST = "/api/0/issues/{issue}/events/latest/"
_COMMENTS = "/api/0/issues/{issue}/comments/"

_MOST_PAGES = 5
_MOST_KNOWN = 10_000
_MOST_RELEASE_PROJECTS = 20
_LONGEST_STATS = timedelta(days=14)
_LONGEST_HOURLY = timedelta(days=40)  # it gives a thousand hours at most
_SORTS = {"date": "-last_seen", "new": "-first_seen", "freq": "-count"}

_TOO_OLD = "This GlitchTip is too old to assign issues."


class GlitchTip(SentryApi):
    """See `server.protocol.Server`."""

    kind = GLITCHTIP
    refusals = MappingProxyType(
        {
            "feedback": "GlitchTip takes no feedback from a bot. Use `!sentry note` on the issue.",
            "set_priority": "GlitchTip has no priority.",
            "read_activity": "GlitchTip does not record what happened to an issue: it has notes only.",
            "read_suspect_commits": "GlitchTip does not know the commits of a release.",
            "read_owners": "GlitchTip has no ownership rules.",
            "read_teams": "The bot can read a person's teams from Sentry only.",
        }
    )
    _page_size = "limit"
    _latest, _events, _tags, _comments = _LATEST, _EVENTS, _TAGS, _COMMENTS

    def __init__(self, transport: Transport, url: str, org: str, clock: Clock) -> None:
        super().__init__(transport, url, org, clock)
        self._lock = Lock()
        self._numbers: LRUCache[str, str] = LRUCache(_MOST_KNOWN)  # short id to number, of the issues seen so far
        self._has_assignees: bool | None = None  # since 2026 an issue has its assignee; None: no issue was read yet

    def refusal(self, method: str) -> str:
        """See `Server.refusal`. Whether this server has assignees is known after the first issue was read."""
        return _TOO_OLD if method == "assign" and self._has_assignees is False else super().refusal(method)

    def issues(self, query: IssueQuery, cursor: str | None = None) -> Page[Issue]:
        wanted, note = self._list_query(query)
        oldest = self._clock.now() - query.seen_within if query.seen_within is not None else None
        if query.sort == "freq":
            page = self._by_events(query, wanted, cursor, oldest)
        elif oldest is None:
            page = self._page(wanted, query.limit, cursor)
        else:
            page = self._recent(query, wanted, cursor, oldest)
        if not page.items and not cursor and query.environments:
            self._check_environments(query)
        return replace(page, note=" ".join(filter(None, (page.note, note))))

    def issue(self, issue_id: str) -> Issue:
        number = identifiers.number(issue_id)
        found = self._page([("id", number)], 1)
        if not found.items or found.items[0].id != number:
            raise NotFound(f"{self._transport.host} has no issue {number} that SENTRY_AUTH_TOKEN may see.")
        return found.items[0]

    def issues_by_id(self, ids: tuple[str, ...]) -> tuple[Issue, ...]:
        found: dict[str, Issue] = {}
        for start in range(0, len(ids), MOST_ROWS):
            part = [("id", identifiers.number(each)) for each in ids[start : start + MOST_ROWS]]
            found.update((issue.id, issue) for issue in self._page(part, MOST_ROWS).items)
        return tuple(found[each] for each in ids if each in found)

    def issue_by_short_id(self, short_id: str) -> Issue:
        wanted = identifiers.short_id(short_id)
        with self._lock:
            number = self._numbers.get(wanted)
        if number is not None:
            return self.issue(number)
        slug = wanted.rpartition("-")[0]
        project = self._project_cache.by_slug(slug)
        if project is None:
            raise BadReference(f"There is no issue {wanted}: no project is called {slug.lower()}.")
        query = [("sort", "-last_seen"), ("project", project.id)]
        for page in self._walk(query, MOST_ROWS):
            for issue in page.items:
                if issue.short_id.upper() == wanted:
                    return issue
        raise BadReference(
            f"GlitchTip cannot look up short ids, and {wanted} is not among the {_MOST_PAGES * MOST_ROWS} issues of "
            f"{project.slug} seen last: use its number or its URL."
        )

    def issue_of_event(self, event_id: str) -> Issue | None:
        wanted = identifiers.event_id(event_id)
        if wanted is None:
            return None
        found = self._page([("query", wanted)], 1)
        return found.items[0] if found.items else None

    def tag_values(self, issue: Issue, key: str) -> TagSpread:
        for tag in read_tags(self._get_of(issue, _TAGS, [("key", key)]).json):
            if tag.key == key:
                return tag
        raise NotFound(f"No event of {issue.short_id} has that tag.")

    def issue_counts(self, issue: Issue, span: timedelta) -> Counts:
        """The counts from `issues-stats`, which has the hours of the last day and the days of the last fourteen."""
        if span > _LONGEST_STATS:
            raise Unsupported(
                f"GlitchTip lists an issue's events of the last {_LONGEST_STATS.days} days: ask for less."
            )
        name = "24h" if span <= DAY else "14d"
        query = [("groups", identifiers.number(issue.id)), ("statsPeriod", name)]
        found = self._get(_ISSUE_STATS, query)
        rows = [row for row in objects(found.json, "statistics") if row.line("id") == issue.id]
        points = pairs_of(rows[0].fields("stats").raw(name)) if rows else []
        return spread(points, self._clock.now(), span, HOUR if span <= DAY else DAY)

    def project_counts(self, project: Project, span: timedelta) -> Counts:
        """The counts by hours, summed up here: of longer slices GlitchTip counts only the first hour."""
        if span > _LONGEST_HOURLY:
            raise Unsupported(
                f"GlitchTip lists a project's events of the last {_LONGEST_HOURLY.days} days: ask for less."
            )
        now = self._clock.now()
        query = [
            ("category", "error"),
            ("field", "sum(quantity)"),
            ("interval", "1h"),
            ("start", (now - span).isoformat()),
            ("end", now.isoformat()),
            ("project", self._project_id(project)),
        ]
        found = self._get(STATS, query, scope="org:read")
        return spread(read_stats(an_object(found.json, "statistics")), now, span, step_of(span))

    def releases(self, projects: tuple[Project, ...], limit: int) -> tuple[Release, ...]:
        """The newest releases, from all pages up to a bound: GlitchTip does not sort them."""
        found: dict[str, Release] = {}
        if projects:
            if len(projects) > _MOST_RELEASE_PROJECTS:
                raise Unsupported(f"GlitchTip lists releases by project, and there are {len(projects)}: name fewer.")
            for project in projects:
                found.update(self._releases(_PROJECT_RELEASES, project=project.slug))
        else:
            found.update(self._releases(RELEASES))
        return newest_first(found.values())[:limit]

    def read_monitors(self, projects: tuple[Project, ...]) -> tuple[Monitor, ...]:
        found = self._get(MONITORS, [self._limit(MOST_ROWS)])
        shown = read_glitchtip_monitors(found.json, self.projects(), f"{self._url}/{self._org}")
        return of_projects(shown, projects)

    def address_of(self, url: str) -> IssueAddress | None:
        return glitchtip_address(url, self._url, self._org)

    def note(self, issue: Issue, text: str) -> None:
        body = {"data": {"text": text}}
        answer = self._transport.send(
            "POST", _COMMENTS, body, what=f"issue {issue.short_id}", issue=identifiers.number(issue.id)
        )
        an_object(answer.json, "a comment").need("id", "a comment")

    def resolve_in(self, issue: Issue, when: ResolveIn) -> Issue:
        """Resolve by the latest or a named release, which must exist: else GlitchTip resolves at once.

        Older releases always resolve at once. A server whose issues have an assignee is new enough, because that came
        later (GlitchTip `apps/issue_events/api/issues.py`, whose `inNextRelease` means the latest known release).
        """
        if when.commit is not None or when.next_release:
            raise Unsupported("GlitchTip can resolve in @latest or in a named release, but not in @next or a commit.")
        self._need_assignees(issue, "This GlitchTip is too old to resolve in a release: it would resolve at once.")
        known = {release.version for release in self.releases((issue.project,), MOST_ROWS * _MOST_PAGES)}
        if not known or (when.release and when.release not in known):
            raise BadQuery(f"{self._transport.host} does not know that release; `!sentry releases` lists them.")
        details = {"inNextRelease": True} if when.latest_release else {"inRelease": when.release}
        return self._change(issue, {"status": "resolved", "statusDetails": details}, RESOLVED)

    def archive(self, issue: Issue, until: ArchiveUntil) -> Issue:
        if until != ArchiveUntil():
            raise Unsupported("GlitchTip can only archive forever: leave out --until.")
        return self._change(issue, {"status": "ignored"}, ARCHIVED)

    def assign(self, issue: Issue, assignee: Assignee | None) -> Issue:
        if self._has_assignees is False:
            raise Unsupported(_TOO_OLD)
        now = self.issue(issue.id)  # its status has to be sent along, and must not be changed by that
        self._need_assignees(issue, _TOO_OLD)
        body = {"status": STATUS_WORDS[now.status], "assignedTo": triage_json.assignee_value(assignee)}
        try:
            return self._change(
                issue, body, now.status, lambda row: triage_json.shows_assignee(row, assignee), "assigned like that"
            )
        except (BadQuery, NotFound) as error:
            raise self._unknown_assignee(error) from error

    def merge(self, issues: tuple[Issue, ...]) -> Issue:
        """Merge into the newest issue. The answer only repeats the request, so the list is read to check the result."""
        ids = to_merge(issues)
        query = [("id", number) for number in ids]
        self._transport.send("PUT", ISSUES, {"merge": 1}, query, what="such issues", org=self._org)
        left = self._page([("id", number) for number in ids], len(ids))
        if left.skipped or [issue.id for issue in left.items] != [ids[-1]]:
            raise self._not_shown(issues[0], "merged with the others")
        return left.items[0]

    def _need_assignees(self, issue: Issue, sentence: str) -> None:
        """Raise Unsupported with this sentence if this server has no assignees; an issue shows whether it has."""
        if self._has_assignees is None:
            self.issue(issue.id)
        if not self._has_assignees:
            raise Unsupported(sentence)

    def _list_query(self, query: IssueQuery) -> tuple[Query, str]:
        """The parameters of the request, and a note about them for the person."""
        if query.sort not in _SORTS:
            raise Unsupported("GlitchTip does not count users: sort by date, new or freq.")
        text, note = glitchtip_query(query.text, query.status)
        parameters = [("query", text), ("sort", _SORTS[query.sort])]
        parameters += [("project", self._project_id(project)) for project in query.projects]
        parameters += [("environment", name) for name in query.environments]
        return [(name, value) for name, value in parameters if value], note

    def _project_id(self, project: Project) -> str:
        if identifiers.is_number(project.id):  # anything else is a 422
            return project.id
        found = self._project_cache.by_slug(project.slug)
        if found is None:
            raise NotFound(f"{self._transport.host} has no such project that SENTRY_AUTH_TOKEN may see.")
        return found.id

    def _by_events(self, query: IssueQuery, wanted: Query, cursor: str | None, oldest: datetime | None) -> Page[Issue]:
        """A page of the issues with the most events. The cursor is the number of rows on earlier pages.

        The pages are made here: GlitchTip has no stable order for equal numbers, so its own pages repeat and skip rows.
        """
        start = int(cursor) if cursor and cursor.isdecimal() and len(cursor) < 6 else 0
        found: dict[str, Issue] = {}
        note, skipped = "", 0
        for page in self._walk(wanted, MOST_ROWS):
            found.update((issue.id, issue) for issue in page.items)
            skipped += page.skipped
            note = f"Only the {len(found)} issues with the most events were sorted." if page.next else ""
        fresh = [issue for issue in found.values() if oldest is None or (issue.last_seen and issue.last_seen >= oldest)]
        fresh.sort(key=lambda issue: (-(issue.events or 0), -(json_values.whole(issue.id) or 0)))
        shown = tuple(fresh[start : start + query.limit])
        following = str(start + query.limit) if start + query.limit < len(fresh) else None
        return Page(shown, following, str(max(start - query.limit, 0)) if start else None, note, skipped)

    def _recent(self, query: IssueQuery, wanted: Query, cursor: str | None, oldest: datetime) -> Page[Issue]:
        """A page of the issues last seen since `oldest`. GlitchTip's own filter is by the time when first seen.

        If they are sorted by that time, this is one request, and older rows end the list. In another order, a bounded
        number of pages without such a row are skipped.
        """
        by_date = query.sort == "date"
        previous, skipped = None, 0
        for place, page in enumerate(self._walk(wanted, query.limit, cursor)):
            fresh = tuple(issue for issue in page.items if issue.last_seen is not None and issue.last_seen >= oldest)
            previous = page.previous if place == 0 else previous
            skipped += page.skipped
            following = None if by_date and len(fresh) < len(page.items) else page.next
            if fresh or by_date or following is None:
                return Page(fresh, following, previous, skipped=skipped)
        note = "The search for issues seen lately stopped here: sort by date to see them first."
        return Page((), None, previous, note, skipped)

    def _walk(self, query: Query, limit: int, cursor: str | None = None) -> Iterator[Page[Issue]]:
        """A bounded number of pages, one after the other. A repeated cursor, as GlitchTip sometimes has, ends them."""
        for _ in range(_MOST_PAGES):
            page = self._page(query, limit, cursor)
            yield page
            if page.next is None:
                return
            cursor = page.next

    def _page(self, query: Query, limit: int, cursor: str | None = None) -> Page[Issue]:
        parameters = [*query, self._limit(limit)]
        if cursor:
            parameters.append(("cursor", cursor))
        page = self._get_issues(parameters)
        self._remember(page.items)
        return replace(page, next=page.next if page.next != cursor else None)

    def _releases(self, path: str, **parts: str) -> dict[str, Release]:
        pages = self._pages(path, _MOST_PAGES, what="such project", scope="project:releases", **parts)
        return {release.version: release for page in pages for release in read_releases(page.json)}

    def _read_row(self, row: Fields) -> Issue:
        issue = read_issue(row, f"{self._url}/{self._org}/issues/{row.text('id')}", counts_users=False)
        self._has_assignees = "assignedTo" in row or "assigned_to" in row
        return issue

    def _remember(self, issues: tuple[Issue, ...]) -> None:
        with self._lock:
            self._numbers.update((issue.short_id.upper(), issue.id) for issue in issues)

"""The dialect of Sentry, SaaS and self-hosted.

Paths, parameters and bodies: `openapi-derefed.json` of getsentry/sentry-api-schema. Not in it, but in getsentry/sentry
`src/sentry/issues/endpoints/`: an issue's notes (`group_notes.py`), all of its tags (`group_tags.py`), the owners and
committers of an event (`event_owners.py`, `event_file_committers.py`), and short ids in place of an issue's number
(`bases/group.py`: every issue endpoint below an organization takes both); and in `src/sentry/uptime/endpoints/` the
uptime monitors.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

from errbot_sentry.domain import identifiers, json_values
from errbot_sentry.domain.errors import BadAnswer, BadQuery, NotFound, Unsupported
from errbot_sentry.domain.issues import (
    ARCHIVED,
    RESOLVED,
    ArchiveUntil,
    Assignee,
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
from errbot_sentry.server.http.calls import Query
from errbot_sentry.server.issue_urls import sentry_address, sentry_issue_page
from errbot_sentry.server.payloads import triage_json
from errbot_sentry.server.payloads.insight_json import (
    read_activity,
    read_owners,
    read_releases,
    read_stats,
    read_suspect_commits,
    read_tag,
)
from errbot_sentry.server.payloads.issue_json import read_issue
from errbot_sentry.server.payloads.json_fields import Fields, an_object, objects
from errbot_sentry.server.payloads.monitor_json import read_cron_monitors, read_uptime_monitors
from errbot_sentry.server.protocol import SENTRY, IssueAddress
from errbot_sentry.server.search import names_a_status
from errbot_sentry.server.sentry_api import (
    ISSUE,
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

SHORT_ID = "/api/0/organizations/{org}/shortids/{issue}/"
EVENT_ID = "/api/0/organizations/{org}/eventids/{event}/"
LATEST = "/api/0/organizations/{org}/issues/{issue}/events/latest/"
EVENTS = "/api/0/organizations/{org}/issues/{issue}/events/"
TAGS = "/api/0/organizations/{org}/issues/{issue}/tags/"
TAG = "/api/0/organizations/{org}/issues/{issue}/tags/{key}/"
NOTES = "/api/0/organizations/{org}/issues/{issue}/notes/"
OWNERS = "/api/0/projects/{org}/{project}/events/{event}/owners/"
COMMITTERS = "/api/0/projects/{org}/{project}/events/{event}/committers/"
UPTIME = "/api/0/organizations/{org}/uptime/"
TEAMS = "/api/0/organizations/{org}/teams/"
MEMBERS = "/api/0/organizations/{org}/members/"
MEMBER = "/api/0/organizations/{org}/members/{member}/"

ALL_PROJECTS = "-1"
_LONGEST_PERIOD = timedelta(days=90)
_LONGEST_STATS = timedelta(days=30)
_PERIOD_UNITS = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))


class Sentry(SentryApi):
    """See `server.protocol.Server`."""

    kind = SENTRY
    _page_size = "per_page"
    _latest, _events, _tags, _comments = LATEST, EVENTS, TAGS, NOTES

    def issues(self, query: IssueQuery, cursor: str | None = None) -> Page[Issue]:
        try:
            page = self._get_issues(list_query(query, cursor))
        except NotFound:
            if query.environments:
                self._check_environments(query)
            raise
        too_long = query.seen_within is not None and query.seen_within > _LONGEST_PERIOD
        note = f"Sentry looks back {_LONGEST_PERIOD.days} days at most." if too_long else ""
        return replace(page, note=note)

    def issue(self, issue_id: str) -> Issue:
        return self._read(identifiers.number(issue_id))

    def issues_by_id(self, ids: tuple[str, ...]) -> tuple[Issue, ...]:
        """With `group`, Sentry gives just these, whatever their status and age (getsentry/sentry
        `src/sentry/issues/endpoints/organization_group_index.py`)."""
        query = [("project", ALL_PROJECTS), *(("group", identifiers.number(each)) for each in ids)]
        found = {issue.id: issue for issue in self._get_issues(query).items}
        for each in (each for each in ids if each not in found):  # a merged issue is found only by a request of its own
            with suppress(NotFound):
                found[each] = self.issue(each)
        return tuple(found[each] for each in ids if each in found)

    def issue_by_short_id(self, short_id: str) -> Issue:
        wanted = identifiers.short_id(short_id)
        try:
            return self._read(wanted)
        except NotFound:  # a server that takes only numbers there; else this is not found either
            found = self._get(SHORT_ID, what=f"issue {wanted}", issue=wanted)
            return self._read_row(an_object(found.json, "an issue").fields("group"))

    def issue_of_event(self, event_id: str) -> Issue | None:
        wanted = identifiers.event_id(event_id)
        if wanted is None:
            return None
        try:
            found = self._get(EVENT_ID, what="such event", event=wanted)
            return self.issue(an_object(found.json, "an event").need("groupId", "an event"))
        except NotFound:
            return None

    def tag_values(self, issue: Issue, key: str) -> TagSpread:
        found = self._get(TAG, what="such tag on this issue", issue=identifiers.number(issue.id), key=key)
        return read_tag(an_object(found.json, "a tag"))

    def issue_counts(self, issue: Issue, span: timedelta) -> Counts:
        """From the issue's own statistics: hours of the last day, days of the last thirty."""
        if span > _LONGEST_STATS:
            raise Unsupported(f"Sentry lists an issue's events of the last {_LONGEST_STATS.days} days: ask for less.")
        found = self._get_of(issue, ISSUE)
        stats = an_object(found.json, "an issue").fields("stats")
        fine = span <= DAY
        points = pairs_of(stats.raw("24h" if fine else "30d"))
        return spread(points, self._clock.now(), span, HOUR if fine else DAY)

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
        found = self._get(STATS, query, scope="org:read")
        return spread(read_stats(an_object(found.json, "statistics")), self._clock.now(), span, step)

    def releases(self, projects: tuple[Project, ...], limit: int) -> tuple[Release, ...]:
        found = self._get(RELEASES, [self._limit(limit), *of_all(projects)])
        return read_releases(found.json)[:limit]

    def read_activity(self, issue_id: str) -> tuple[IssueActivity, ...]:
        found = self._get(ISSUE, what=f"issue {issue_id}", issue=identifiers.number(issue_id))
        return read_activity(an_object(found.json, "an issue"))

    def read_suspect_commits(self, issue: Issue, event: Event) -> tuple[SuspectCommit, ...]:
        return read_suspect_commits(self._of_event(COMMITTERS, issue, event))

    def read_owners(self, issue: Issue, event: Event) -> tuple[Assignee, ...]:
        return read_owners(self._of_event(OWNERS, issue, event))

    def read_monitors(self, projects: tuple[Project, ...]) -> tuple[Monitor, ...]:
        query = of_all(projects)
        found = [*read_cron_monitors(self._get(MONITORS, query, scope="org:read").json)]
        with suppress(NotFound, BadAnswer):  # a server from before 2025
            found += read_uptime_monitors(self._get(UPTIME, query).json)
        return of_projects(found, projects)

    def address_of(self, url: str) -> IssueAddress | None:
        return sentry_address(url, self._url, self._org)

    def note(self, issue: Issue, text: str) -> None:
        number = identifiers.number(issue.id)
        try:
            self._transport.send(
                "POST", NOTES, {"text": text}, what=f"issue {issue.short_id}", org=self._org, issue=number
            )
        except BadQuery as error:
            if "already posted" not in error.detail:  # the same words within an hour: the note is there
                raise

    def resolve_in(self, issue: Issue, when: ResolveIn) -> Issue:
        try:
            return self._change(
                issue,
                triage_json.resolve_body(when),
                RESOLVED,
                lambda row: triage_json.shows_resolution(row, when),
                "resolved as asked",
            )
        except BadQuery as error:
            raise BadQuery(
                f"{self._transport.host} does not know that release or commit; `!sentry releases` lists releases.",
                status=error.status,
                detail=error.detail,
            ) from error

    def archive(self, issue: Issue, until: ArchiveUntil) -> Issue:
        return self._change(
            issue,
            triage_json.archive_body(until),
            ARCHIVED,
            lambda row: triage_json.shows_archive(row, until),
            "archived as asked (if it was archived before, reopen it first)",
        )

    def assign(self, issue: Issue, assignee: Assignee | None) -> Issue:
        wanted = self._with_team_id(assignee)
        try:
            return self._change(
                issue,
                {"assignedTo": triage_json.assignee_value(wanted)},
                None,
                lambda row: triage_json.shows_assignee(row, wanted),
                "assigned like that",
            )
        except BadQuery as error:
            raise self._unknown_assignee(error) from error

    def set_priority(self, issue: Issue, priority: str) -> Issue:
        return self._change(
            issue,
            {"priority": priority},
            None,
            lambda row: row.line("priority") == priority,
            f"of {priority} priority",
        )

    def merge(self, issues: tuple[Issue, ...]) -> Issue:
        ids = to_merge(issues)
        projects = {issue.project.id for issue in issues}
        # A newer server that finds none of the ids merges what the search finds, up to a thousand issues: so the search
        # names just these (getsentry/sentry `src/sentry/api/helpers/group_index/update.py`).
        query = [
            ("query", f"issue.id:[{','.join(ids)}]"),
            *(("id", number) for number in ids),
            *(("project", project) for project in sorted(projects) if project),
        ]
        answer = self._transport.send("PUT", ISSUES, {"merge": True}, query, what="such issues", org=self._org)
        if answer.json is None:
            raise NotFound(f"{self._transport.host} found none of these issues.")
        parent, merged = triage_json.merged_ids(an_object(answer.json, "a merge"))
        if merged != frozenset(ids):
            raise self._not_shown(issues[0], "merged with the others")
        return self.issue(parent)

    def read_teams(self, mail: str) -> tuple[str, ...]:
        """Members are found by `email:` (getsentry/sentry `src/sentry/core/endpoints/organization_member_index.py`); a
        member's teams are on their own page alone (sentry-api-schema, `getOrganizationMember`)."""
        found = self._get(MEMBERS, [("query", f"email:{mail}")], scope="member:read")
        rows = objects(found.json, "members")
        member = next((row for row in rows if row.line("email").casefold() == mail.casefold()), None)
        if member is None:
            return ()
        page = self._get(MEMBER, what="such member", scope="member:read", member=member.need("id", "a member"))
        teams = an_object(page.json, "a member").rows("teams")
        return tuple(sorted(team for team in teams if isinstance(team, str)))

    def _of_event(self, path: str, issue: Issue, event: Event) -> Fields:
        """What Sentry knows of an event's causes; it answers 404 where it knows none (no release, no commits)."""
        try:
            found = self._get(path, project=issue.project.slug or issue.project.id, event=event.id)
        except NotFound:
            return Fields(None)
        return an_object(found.json, "an answer")

    def _with_team_id(self, assignee: Assignee | None) -> Assignee | None:
        """Sentry names a team by its number."""
        if assignee is None or assignee.kind != "team" or assignee.id:
            return assignee
        query = [("query", assignee.name), ("detailed", "0"), ("per_page", "100")]
        found = self._get(TEAMS, query)
        for row in objects(found.json, "teams"):
            if row.line("slug").casefold() == assignee.name.casefold():
                return replace(assignee, id=row.need("id", "a team"))
        raise NotFound(
            f"{self._transport.host} has no such team: the slug is the last part of the team's address there."
        )

    def _read(self, issue: str) -> Issue:
        found = self._get(ISSUE, what=f"issue {issue}", issue=issue)
        return self._read_row(an_object(found.json, "an issue"))

    def _read_row(self, row: Fields) -> Issue:
        link = json_values.web_link(row.raw("permalink"))
        return read_issue(row, link or sentry_issue_page(self._url, self._org, row.text("id")))


def of_all(projects: tuple[Project, ...]) -> list[tuple[str, str]]:
    """The `project` parameters. Without one, a personal token gets only the projects that its owner is a member of
    (getsentry/sentry `src/sentry/api/bases/organization.py`, ALL_ACCESS_PROJECTS)."""
    return [("project", project.id or project.slug) for project in projects] or [("project", ALL_PROJECTS)]


def list_query(query: IssueQuery, cursor: str | None) -> Query:
    """The parameters of listOrganizationIssues. `query` is sent even when empty: without it Sentry adds its own."""
    text = query.text.strip()
    if event := identifiers.event_id(text):  # alone, an event's id finds its issue (same source as above)
        text = event
    elif query.status is not None and not names_a_status(text):
        text = f"is:{STATUS_WORDS[query.status]} {text}".strip()
    fine = query.seen_within is None or query.seen_within <= timedelta(hours=24)
    parameters = [
        ("query", text),
        ("sort", query.sort),
        ("limit", str(min(max(query.limit, 1), MOST_ROWS))),
        ("groupStatsPeriod", "24h" if fine else "14d"),
    ]
    parameters += of_all(query.projects)
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

"""The dialect of Sentry, SaaS and self-hosted: its changes, on top of what it is asked (sentry_reads.py).

Paths and bodies: `sentry-openapi.json`; notes as in getsentry/sentry `src/sentry/issues/endpoints/group_notes.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from errbot_sentry.domain import identifiers
from errbot_sentry.domain.errors import BadQuery, NotFound
from errbot_sentry.domain.issues import ARCHIVED, RESOLVED, UNRESOLVED, ArchiveUntil, Assignee, Issue, ResolveIn
from errbot_sentry.server.change_check import confirm, nobody_there, not_shown
from errbot_sentry.server.payloads import triage_json
from errbot_sentry.server.payloads.json_fields import Fields, an_object, objects
from errbot_sentry.server.sentry_reads import SentryReads

_ISSUES = "/api/0/organizations/{org}/issues/"
_ISSUE = "/api/0/organizations/{org}/issues/{issue}/"
_NOTES = "/api/0/organizations/{org}/issues/{issue}/notes/"
_TEAMS = "/api/0/organizations/{org}/teams/"


class Sentry(SentryReads):
    """See `server.api.Server`."""

    def resolve(self, issue: Issue) -> Issue:
        return self._change(issue, {"status": "resolved"}, RESOLVED)

    def reopen(self, issue: Issue) -> Issue:
        return self._change(issue, {"status": "unresolved"}, UNRESOLVED)

    def note(self, issue: Issue, text: str) -> None:
        number = identifiers.number(issue.id)
        try:
            self.transport.send(
                "POST", _NOTES, {"text": text}, what=f"issue {issue.short_id}", org=self.org, issue=number
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
                "resolved by just that",
            )
        except BadQuery as error:
            raise BadQuery(
                f"{self.transport.host} does not know that release or commit: see the command releases.",
                status=error.status,
                detail=error.detail,
            ) from error

    def archive(self, issue: Issue, until: ArchiveUntil) -> Issue:
        return self._change(
            issue,
            triage_json.archive_body(until),
            ARCHIVED,
            lambda row: triage_json.shows_archive(row, until),
            "archived until just then (if it was archived before, reopen it first)",
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
            raise nobody_there(self.transport.host, error) from error

    def set_priority(self, issue: Issue, priority: str) -> Issue:
        return self._change(
            issue,
            {"priority": priority},
            None,
            lambda row: row.line("priority") == priority,
            f"of {priority} priority",
        )

    def merge(self, issues: tuple[Issue, ...]) -> Issue:
        """Only ever with at least two ids: without any, Sentry would merge whatever a search finds."""
        ids = sorted({identifiers.number(issue.id) for issue in issues})
        if len(ids) < 2:
            raise BadQuery("There is nothing to merge: name two different issues.")
        projects = {issue.project.id for issue in issues}
        query = [
            *(("id", number) for number in ids),
            *(("project", project) for project in sorted(projects) if project),
        ]
        answer = self.transport.send("PUT", _ISSUES, {"merge": True}, query, what="such issues", org=self.org)
        if answer.json is None:
            raise NotFound(f"{self.transport.host} found none of these issues.")
        parent, merged = triage_json.merged_ids(an_object(answer.json, "a merge"))
        if merged != frozenset(ids):
            raise not_shown(self.transport.host, issues[0], "merged with the others")
        return self.issue(parent)

    def _with_team_id(self, assignee: Assignee | None) -> Assignee | None:
        """Sentry names a team by its number."""
        if assignee is None or assignee.kind != "team" or assignee.id:
            return assignee
        query = [("query", assignee.name), ("detailed", "0"), ("per_page", "100")]
        found = self.transport.get(_TEAMS, query, what=f"organization {self.org}", org=self.org)
        for row in objects(found.json, "teams"):
            if row.line("slug").casefold() == assignee.name.casefold():
                return replace(assignee, id=row.need("id", "a team"))
        raise NotFound(
            f"{self.transport.host} has no such team: the slug is the last part of the team's address there."
        )

    def _change(
        self,
        issue: Issue,
        body: dict[str, Any],
        status: str | None,
        shows: Callable[[Fields], bool] = lambda _row: True,
        what: str = "",
    ) -> Issue:
        """PUT to one issue, and its answer if that shows what was asked for; `status` None: as it was."""
        answer = self.transport.send(
            "PUT", _ISSUE, body, what=f"issue {issue.short_id}", org=self.org, issue=identifiers.number(issue.id)
        )
        row = an_object(answer.json, "an issue")
        changed = self.read_row(row)
        confirm(self.transport.host, issue, changed, changed.status if status is None else status)
        if not shows(row):
            raise not_shown(self.transport.host, issue, what)
        return changed

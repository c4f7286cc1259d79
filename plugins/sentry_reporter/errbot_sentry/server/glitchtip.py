"""The dialect of GlitchTip: its changes, on top of what it is asked (glitchtip_reads.py).

As measured (server facts, part 3): a status is the only thing that it changes for certain. It answers 200 to keys that
it does not know, and 500 to a body without a status; so what it cannot do is refused before it is asked, and what only
newer ones can (assigning) is sent with the status as it is, and believed when the answer shows it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from errbot_sentry.domain import identifiers
from errbot_sentry.domain.errors import BadQuery, NotFound, Unsupported
from errbot_sentry.domain.issues import ARCHIVED, RESOLVED, UNRESOLVED, ArchiveUntil, Assignee, Issue, ResolveIn
from errbot_sentry.server.change_check import confirm, nobody_there, not_shown
from errbot_sentry.server.glitchtip_reads import GlitchTipReads
from errbot_sentry.server.payloads import triage_json
from errbot_sentry.server.payloads.json_fields import Fields, an_object

_ISSUES = "/api/0/organizations/{org}/issues/"
_ISSUE = "/api/0/organizations/{org}/issues/{issue}/"
_COMMENTS = "/api/0/issues/{issue}/comments/"
_STATUS_WORDS = {UNRESOLVED: "unresolved", RESOLVED: "resolved", ARCHIVED: "ignored"}


class GlitchTip(GlitchTipReads):
    """See `server.api.Server`."""

    def resolve(self, issue: Issue) -> Issue:
        return self._change(issue, {"status": "resolved"}, RESOLVED)

    def reopen(self, issue: Issue) -> Issue:
        return self._change(issue, {"status": "unresolved"}, UNRESOLVED)

    def note(self, issue: Issue, text: str) -> None:
        body = {"data": {"text": text}}
        answer = self.transport.send(
            "POST", _COMMENTS, body, what=f"issue {issue.short_id}", issue=identifiers.number(issue.id)
        )
        an_object(answer.json, "a comment").need("id", "a comment")

    def resolve_in(self, issue: Issue, when: ResolveIn) -> Issue:
        raise Unsupported("GlitchTip cannot resolve by release or commit, it would resolve at once: leave out --in.")

    def archive(self, issue: Issue, until: ArchiveUntil) -> Issue:
        if until != ArchiveUntil():
            raise Unsupported("GlitchTip can archive for ever only: leave out --until.")
        return self._change(issue, {"status": "ignored"}, ARCHIVED)

    def assign(self, issue: Issue, assignee: Assignee | None) -> Issue:
        now = self.issue(issue.id)  # its status has to be sent along, and must not be changed by that
        body = {"status": _STATUS_WORDS[now.status], "assignedTo": triage_json.assignee_value(assignee)}

        def shows(row: Fields) -> bool:
            if "assignedTo" not in row and "assigned_to" not in row:
                raise Unsupported("This GlitchTip is too old to have an assignee.")
            return triage_json.shows_assignee(row, assignee)

        try:
            return self._change(issue, body, now.status, shows, "assigned like that")
        except (BadQuery, NotFound) as error:
            raise nobody_there(self.transport.host, error) from error

    def set_priority(self, issue: Issue, priority: str) -> Issue:
        raise Unsupported("GlitchTip has no priority.")

    def merge(self, issues: tuple[Issue, ...]) -> Issue:
        """The newest is left. The answer only repeats the question, so the list is asked what is still there.

        Only ever with at least two ids: without any, GlitchTip would merge all issues of the organization.
        """
        ids = sorted({identifiers.number(issue.id) for issue in issues}, key=int)
        if len(ids) < 2:
            raise BadQuery("There is nothing to merge: name two different issues.")
        query = [("id", number) for number in ids]
        self.transport.send("PUT", _ISSUES, {"merge": 1}, query, what="such issues", org=self.org)
        left = self.list_by_ids(ids)
        if [issue.id for issue in left] != [ids[-1]]:
            raise not_shown(self.transport.host, issues[0], "merged with the others")
        return left[0]

    def _change(
        self,
        issue: Issue,
        body: dict[str, Any],
        status: str,
        shows: Callable[[Fields], bool] = lambda _row: True,
        what: str = "",
    ) -> Issue:
        """PUT to one issue, and its answer if that shows what was asked for."""
        answer = self.transport.send(
            "PUT", _ISSUE, body, what=f"issue {issue.short_id}", org=self.org, issue=identifiers.number(issue.id)
        )
        row = an_object(answer.json, "an issue")
        changed = confirm(self.transport.host, issue, self.read_row(row), status)
        if not shows(row):
            raise not_shown(self.transport.host, issue, what)
        return changed

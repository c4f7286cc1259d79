"""Writes the bodies of changes for Sentry, and checks whether its answer shows exactly the wanted change. Pure.

Bodies: `openapi-derefed.json` of getsentry/sentry-api-schema (updateOrganizationIssue). The answer has the new state.
Its `statusDetails` has the release or commit of a resolution, and what remains of an archive's condition
(getsentry/sentry `src/sentry/api/{helpers/group_index/update,serializers/models/group}.py`).
"""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

from errbot_sentry.domain.errors import Unsupported
from errbot_sentry.domain.identifiers import small
from errbot_sentry.domain.issues import ArchiveUntil, Assignee, ResolveIn
from errbot_sentry.server.payloads.issue_json import read_assignee
from errbot_sentry.server.payloads.json_fields import Fields

LONGEST_WINDOW = timedelta(days=7)


def minutes(span: timedelta) -> int:
    """The span in whole minutes, rounded up, at least one."""
    return max(math.ceil(span.total_seconds() / 60), 1)


def resolve_body(when: ResolveIn) -> dict[str, Any]:
    """The body that resolves an issue by a release or a commit."""
    if when.next_release:
        details: dict[str, Any] = {"inNextRelease": True}
    elif when.latest_release:
        details = {"inRelease": "latest"}
    elif when.commit is not None:
        repository, sha = when.commit
        details = {"inCommit": {"repository": repository, "commit": sha}}
    else:
        details = {"inRelease": when.release}
    return {"status": "resolved", "statusDetails": details}


def shows_resolution(answer: Fields, when: ResolveIn) -> bool:
    """Whether the answer shows exactly this resolution.

    If the next release is known by now, or the commit is in a release, the answer has that release.
    """
    details = answer.fields("statusDetails")
    release = details.line("inRelease")
    if when.next_release:
        shown = details.yes("inNextRelease") or bool(release)
    elif when.latest_release:
        shown = bool(release)
    elif when.commit is not None:
        shown = bool(details.raw("inCommit")) or bool(release)
    else:
        shown = release == when.release
    return answer.line("status") in ("resolved", "resolvedInNextRelease") and shown


def archive_body(until: ArchiveUntil) -> dict[str, Any]:
    """The body that archives an issue for ever, until it escalates, or until a condition is met.

    Raises:
        Unsupported: a window that is longer than Sentry counts.
    """
    if until.window is not None and until.window > LONGEST_WINDOW:
        raise Unsupported(f"Sentry counts within {LONGEST_WINDOW.days} days at most: choose a shorter window.")
    details = archive_details(until)
    substatus = (
        "archived_until_condition_met" if details else "archived_until_escalating" if until.escalating else
        "archived_forever"
    )  # fmt: skip
    return {"status": "ignored", "statusDetails": details, "substatus": substatus}


def archive_details(until: ArchiveUntil) -> dict[str, int]:
    """The condition in minutes and counts; empty if there is none."""
    if until.span is not None:
        return {"ignoreDuration": minutes(until.span)}
    window = minutes(until.window) if until.window is not None else None
    if until.events is not None:
        return {"ignoreCount": until.events, **({"ignoreWindow": window} if window else {})}
    if until.users is not None:
        return {"ignoreUserCount": until.users, **({"ignoreUserWindow": window} if window else {})}
    return {}


def shows_archive(answer: Fields, until: ArchiveUntil) -> bool:
    """Whether the answer shows exactly this archive. An old server without substatus can at least archive for ever."""
    details, substatus = answer.fields("statusDetails"), answer.line("substatus")
    if answer.line("status") != "ignored":
        return False
    if until.span is not None:
        return details.time("ignoreUntil") is not None
    wanted = archive_details(until)
    if wanted:
        return all(_counts_down(details.whole(name), count) for name, count in wanted.items())
    if until.escalating:
        return substatus == "archived_until_escalating"
    bounded = any(details.raw(name) for name in ("ignoreUntil", "ignoreCount", "ignoreUserCount"))
    return not bounded and substatus in ("archived_forever", "")


def _counts_down(left: int | None, wanted: int) -> bool:
    """Whether the rest of a condition fits what was wanted: events may have arrived since the change."""
    return left is not None and 0 < left <= wanted


def assignee_value(assignee: Assignee | None) -> str:
    """The `assignedTo` of a body: "" for nobody, else an id; without an id a person's mail address or a team's slug."""
    if assignee is None:
        return ""
    if assignee.id:
        return f"{assignee.kind}:{assignee.id}"
    return f"team:{assignee.name}" if assignee.kind == "team" else assignee.email or assignee.name


def shows_assignee(answer: Fields, assignee: Assignee | None) -> bool:
    """Whether the answer has exactly this assignee."""
    found = read_assignee(answer.fields("assignedTo", "assigned_to"))
    if assignee is None or found is None:
        return found is assignee
    if found.kind != assignee.kind:
        return False
    if assignee.kind == "user" and assignee.email and found.email:
        return small(found.email) == small(assignee.email)
    return not assignee.id or found.id in (assignee.id, f"{assignee.kind}:{assignee.id}")


def merged_ids(answer: Fields) -> tuple[str, frozenset[str]]:
    """The id of the issue that remains, and the ids of all merged issues, including that one."""
    merge = answer.fields("merge")
    parent = merge.line("parent")
    children = [str(child) for child in merge.rows("children") if isinstance(child, (str, int))]
    return parent, frozenset([parent, *children])

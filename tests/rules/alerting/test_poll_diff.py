"""The poller's comparison as a table: what is known, what the page says, and the reason that is expected ("": none)."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

from errbot_sentry.alerting.receive.poll_diff import compare
from errbot_sentry.domain.issues import ARCHIVED, RESOLVED, UNRESOLVED, Assignee, Issue, Project
from errbot_sentry.store.records import KnownIssue, PollMark
from tests.tables import table

ASKED = 10_000.0
PART = PollMark("*", baseline=5000.0, complete=False, newest=9000.0, next_at=0.0, answered_at=9000.0)
WHOLE = replace(PART, complete=True)
OPEN = KnownIssue("1", UNRESOLVED, "ongoing", "WEB-1", last_seen=9000.0, notified_at=1.0)
SOLVED, MUTED = replace(OPEN, status=RESOLVED), replace(OPEN, status=ARCHIVED)
NOT_NOTIFIED = replace(OPEN, notified_at=None)
ANN = Assignee("user", "Ann", "ann@example.org")


def page(
    status: str = UNRESOLVED, substatus: str = "", first: float = 1000.0, last: float = 9000.0, **more: Any
) -> Issue:
    moments = [datetime.fromtimestamp(at, timezone.utc) for at in (first, last)]
    project = Project("7", "web", "Web")
    return Issue("1", "WEB-1", "T", project, status=status, substatus=substatus, first_seen=moments[0],
                 last_seen=moments[1], **more)  # fmt: skip


ROWS: tuple[tuple[str, KnownIssue | None, Issue, PollMark, str], ...] = (
    ("unknown, from before the first poll", None, page(first=4000), PART, ""),
    ("unknown, since the first poll", None, page(first=5001), PART, "new"),
    ("unknown, the first poll saw all that there was", None, page(first=4000), WHOLE, "new"),
    ("unknown and resolved", None, page(RESOLVED, first=5001), PART, ""),
    ("unknown, old, regressed", None, page(substatus="regressed"), PART, "regressed"),
    ("unknown, old, escalating", None, page(substatus="escalating"), PART, "escalating"),
    ("nothing has changed", OPEN, page(), PART, ""),
    ("one more event", OPEN, page(last=9500), PART, ""),
    ("it begins to escalate", OPEN, page(substatus="escalating"), PART, "escalating"),
    ("it escalates already", replace(OPEN, substatus="escalating"), page(substatus="escalating"), PART, ""),
    ("how it was is not known", replace(OPEN, substatus=""), page(substatus="escalating"), PART, ""),
    ("resolved", OPEN, page(RESOLVED), PART, "resolved"),
    ("archived", OPEN, page(ARCHIVED), PART, "archived"),
    ("resolved, and no room was notified", NOT_NOTIFIED, page(RESOLVED), PART, ""),
    ("open again after an event", SOLVED, page(last=9001), PART, "regressed"),
    ("open again, the server says regressed", SOLVED, page(substatus="regressed"), PART, "regressed"),
    ("open again without an event", SOLVED, page(), PART, "reopened"),
    ("open again and escalating", SOLVED, page(substatus="escalating"), PART, "escalating"),
    ("no longer archived", MUTED, page(), PART, "unmuted"),
    ("no longer archived: escalating", MUTED, page(substatus="escalating"), PART, "escalating"),
    ("assigned", OPEN, page(assignee=ANN), PART, "assigned"),
    ("assigned as before", replace(OPEN, assignee="Ann"), page(assignee=ANN), PART, ""),
    ("assigned, and no room was notified", NOT_NOTIFIED, page(assignee=ANN), PART, ""),
    ("no longer assigned", replace(OPEN, assignee="Ann"), page(), PART, ""),
    ("a webhook came after the page was asked for", replace(OPEN, changed=ASKED + 1), page(RESOLVED), PART, ""),
    ("a webhook came before", replace(OPEN, changed=ASKED - 1), page(RESOLVED), PART, "resolved"),
)


@table(("known", "issue", "mark", "expected"), ROWS)
def test_reason(known: KnownIssue | None, issue: Issue, mark: PollMark, expected: str) -> None:
    assert compare(issue, known, mark, ASKED).reason == expected


def test_an_older_page_changes_neither_status_nor_assignee() -> None:
    known = replace(OPEN, status=RESOLVED, assignee="Ann", assignee_kind="user", changed=ASKED + 1)
    now_known = compare(page(events=7), known, PART, ASKED).known
    assert (now_known.status, now_known.assignee, now_known.assignee_kind, now_known.events) == (
        RESOLVED,
        "Ann",
        "user",
        7,
    )

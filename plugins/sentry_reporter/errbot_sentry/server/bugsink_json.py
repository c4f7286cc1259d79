"""Issues and events as Bugsink writes them (`issues/serializers.py`, `events/serializers.py`, measured on 2.6.1)."""

from __future__ import annotations

from dataclasses import replace

from errbot_sentry import wire
from errbot_sentry.model import ARCHIVED, RESOLVED, UNRESOLVED, Event, Issue, Project
from errbot_sentry.server.event_json import read_event
from errbot_sentry.server.reading import LONG, SHORT, Fields


def read_bugsink_issue(row: Fields, project: Project, base_url: str) -> Issue:
    """An issue; its title is what Bugsink shows, type and value. No level, users, assignee or releases are told.

    Raises:
        BadAnswer: it has no id.
    """
    issue_id = row.need("id", "an issue")
    status = RESOLVED if row.yes("is_resolved") else ARCHIVED if row.yes("is_muted") else UNRESOLVED
    by_next = status == RESOLVED and row.yes("is_resolved_by_next_release")
    return Issue(
        id=issue_id,
        short_id=row.line("friendly_id") or issue_id,
        title=title_of(row.line("calculated_type"), row.text("calculated_value", longest=LONG)),
        project=project,
        status=status,
        substatus="resolved by the next release" if by_next else None,
        culprit=row.line("transaction"),
        first_seen=row.time("first_seen"),
        last_seen=row.time("last_seen"),
        events=row.whole("digested_event_count"),
        link=f"{base_url}/issues/issue/{issue_id}/event/last/",
    )


def title_of(kind: str, value: str) -> str:
    """`ValueError: it broke`, the first line of the value only."""
    first = value.strip().partition("\n")[0].strip()
    return wire.line(f"{kind}: {first}" if kind and first else kind or first, SHORT)


def read_bugsink_event(row: Fields, issue: Issue) -> Event:
    """An event whose `data` is what the SDK sent; what that lacks is taken from the row around it.

    Raises:
        BadAnswer: it has no id.
    """
    event = read_event(Fields({"id": row.text("event_id", "id"), **dict(row.fields("data").pairs())}))
    return replace(
        event,
        title=event.title or issue.title,
        at=event.at or row.time("timestamp", "ingested_at"),
        transaction=event.transaction or issue.culprit,
    )

"""Issues and events as Bugsink writes them (`issues/serializers.py`, `events/serializers.py`, measured on 2.6.1)."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta

from errbot_sentry.domain import identifiers, json_values
from errbot_sentry.domain.errors import Unsupported
from errbot_sentry.domain.issues import ARCHIVED, RESOLVED, UNRESOLVED, ArchiveUntil, Event, Issue, Project
from errbot_sentry.server.payloads.event_json import read_event
from errbot_sentry.server.payloads.json_fields import LONG, SHORT, Fields


def read_bugsink_issue(row: Fields, project: Project, base_url: str) -> Issue:
    """An issue. Its title is the one that Bugsink shows: type and value. Bugsink sends no level, users or assignee.

    Raises:
        BadAnswer: the JSON has no id.
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
    """`ValueError: it broke`, with only the first line of the value."""
    first = value.strip().partition("\n")[0].strip()
    return json_values.line(f"{kind}: {first}" if kind and first else kind or first, SHORT)


def read_bugsink_event(row: Fields, issue: Issue) -> Event:
    """An event whose `data` is what the SDK sent. Fields that `data` lacks come from the row.

    Raises:
        BadAnswer: the JSON has no id.
    """
    event = read_event(Fields({"id": row.text("event_id", "id"), **dict(row.fields("data").pairs())}))
    return replace(
        event,
        title=event.title or issue.title,
        at=event.at or row.time("timestamp", "ingested_at"),
        transaction=event.transaction or issue.culprit,
    )


def read_event_row(row: Fields, issue: Issue) -> Event:
    """An event from a list, without its contents.

    Raises:
        BadAnswer: the JSON has no id.
    """
    event_id = row.text("event_id") or row.need("id", "an event")
    return Event(
        id=identifiers.event_id(event_id) or event_id, title=issue.title, at=row.time("timestamp", "ingested_at")
    )


_PERIODS = ((10080, "week"), (1440, "day"), (60, "hour"), (1, "minute"))  # minutes and names


def period_of(span: timedelta) -> dict[str, str | int]:
    """A span as a whole number of the largest possible unit (`bugsink/period_utils.py`). Minutes are rounded up."""
    minutes = max(math.ceil(span.total_seconds() / 60), 1)
    size, name = next((size, name) for size, name in _PERIODS if minutes % size == 0)
    return {"period_name": name, "nr_of_periods": minutes // size}


def mute_action(until: ArchiveUntil) -> tuple[str, dict[str, str | int] | None]:
    """The action and the body that archive an issue until this condition.

    Raises:
        Unsupported: Bugsink has no such condition.
    """
    if until.escalating:
        raise Unsupported("Bugsink does not know escalating issues: archive for a time, or until 10x/1h.")
    if until.users is not None:
        raise Unsupported("Bugsink does not count users: archive for a time, or until 10x/1h.")
    if until.events is not None and until.window is None:
        raise Unsupported("Bugsink only counts events within a time: use, for example, 10x/1h.")
    if until.events is not None and until.window is not None:
        return "mute-until", {**period_of(until.window), "gte_threshold": until.events}
    if until.span is not None:
        return "mute-for", period_of(until.span)
    return "mute", None

"""The state behind the stand-ins for Sentry and GlitchTip: projects, issues, events, people; in memory, no HTTP."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUV"


@dataclass
class TrackedProject:
    id: str
    slug: str
    name: str
    counter: int = 0
    member: bool = True  # whether the owner of a personal token is in one of its teams


@dataclass
class TrackedEvent:
    id: str
    at: datetime
    tags: dict[str, str]
    user: dict[str, str] | None = None
    breadcrumbs: list[dict[str, Any]] = field(default_factory=list)
    request: dict[str, Any] | None = None
    contexts: dict[str, Any] = field(default_factory=dict)


@dataclass
class TrackedIssue:
    """`details` are Sentry's `statusDetails`, `assigned` its `assignedTo`."""

    id: str
    short_id: str
    project: TrackedProject
    kind: str
    value: str
    level: str
    events: list[TrackedEvent] = field(default_factory=list)
    status: str = "unresolved"
    substatus: str | None = "new"
    details: dict[str, Any] = field(default_factory=dict)
    assigned: dict[str, str] | None = None
    priority: str = "medium"
    notes: list[tuple[str, datetime]] = field(default_factory=list)
    deleted: bool = False
    merged_into: TrackedIssue | None = None
    activity: list[tuple[str, datetime, dict[str, Any]]] = field(default_factory=list)

    @property
    def title(self) -> str:
        return f"{self.kind}: {self.value}"

    @property
    def first_seen(self) -> datetime:
        return min(event.at for event in self.events)

    @property
    def last_seen(self) -> datetime:
        return max(event.at for event in self.events)


class Tracker:
    """One organization with one token. Tests look at all of it and change it as people elsewhere would."""

    org = "acme"

    def __init__(self, token: str, now: datetime) -> None:
        self.token = token
        self.now = now
        self.projects: list[TrackedProject] = []
        self.issues: list[TrackedIssue] = []
        self.releases: list[tuple[str, datetime, str]] = []
        self.teams = {"ops": "41", "web-team": "42"}
        self.scopes = {"event:read", "event:write", "project:read", "project:releases", "org:read"}
        self.members = {"ann@example.com": "7", "bob@example.com": "8"}
        self.memberships = {"ann@example.com": ["web-team", "ops"]}
        self.commits = {("acme/shop", "abc123")}
        self.suspects: dict[str, list[tuple[str, str, str]]] = {}  # issue id: (sha, message, mail address)
        self.owners: dict[str, list[dict[str, str]]] = {}  # issue id: actors
        self.monitors: list[dict[str, Any]] = []  # in the shape of the server that serves it
        self.uptime: list[dict[str, Any]] = []

    def add_project(self, slug: str) -> TrackedProject:
        project = TrackedProject(str(len(self.projects) + 2), slug, slug.title())
        self.projects.append(project)
        return project

    def add_issue(
        self, slug: str, kind: str, value: str, ago: timedelta = timedelta(0), level: str = "error", **tags: str
    ) -> TrackedIssue:
        project = next(project for project in self.projects if project.slug == slug)
        project.counter += 1
        issue = TrackedIssue(
            str(len(self.issues) + 11), f"{slug.upper()}-{base32(project.counter)}", project, kind, value, level
        )
        self.issues.append(issue)
        self.add_event(issue, ago, **tags)
        return issue

    def add_event(self, issue: TrackedIssue, ago: timedelta = timedelta(0), **tags: str) -> TrackedEvent:
        event = TrackedEvent(
            uuid.uuid4().hex, self.now - ago, {"level": issue.level, **tags}, {"id": "7", "username": "ann"}
        )
        issue.events.append(event)
        return event

    def add_release(self, version: str, slug: str, ago: timedelta) -> None:
        self.releases.append((version, self.now - ago, slug))

    def issue(self, name: str) -> TrackedIssue | None:
        """By number or short id."""
        return next(
            (issue for issue in self.issues if name.upper() in (issue.id, issue.short_id) and not issue.deleted), None
        )

    def environments(self, slug: str = "") -> list[str]:
        """The names that events of a project, or of all, have come with."""
        issues = [issue for issue in self.issues if slug in ("", issue.project.slug)]
        found = {event.tags.get("environment", "") for issue in issues for event in issue.events}
        return sorted(found - {""})

    def issue_of_event(self, event_id: str) -> TrackedIssue | None:
        return next((issue for issue in self.issues for event in issue.events if event.id == event_id), None)

    def listed(self) -> list[TrackedIssue]:
        return [issue for issue in self.issues if not issue.deleted]

    def merge(self, issues: list[TrackedIssue], into: TrackedIssue) -> None:
        for issue in issues:
            if issue is not into:
                into.events += issue.events
                issue.deleted, issue.merged_into = True, into


def base32(number: int) -> str:
    """Both servers write the counter of a short id like this."""
    text = ""
    while number:
        number, digit = divmod(number, 32)
        text = _DIGITS[digit] + text
    return text


def iso(at: datetime) -> str:
    return at.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def entries(event: TrackedEvent, values: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The `entries` of an event in the API (getsentry/sentry-api-schema, getOrganizationIssueEvent)."""
    found: list[dict[str, Any]] = [{"type": "exception", "data": {"values": values}}]
    if event.breadcrumbs:
        found.append({"type": "breadcrumbs", "data": {"values": event.breadcrumbs}})
    if event.request is not None:
        found.append({"type": "request", "data": event.request})
    return found


def frames() -> list[dict[str, Any]]:
    """A stack of two frames as the API tells it, the newest last."""
    return [
        {"filename": "errbot/core.py", "absPath": "/x/errbot/core.py", "module": "errbot.core", "function": "run",
         "lineNo": 526, "inApp": False, "context": [], "vars": None},
        {"filename": "shop.py", "absPath": "/x/shop.py", "module": "shop", "function": "checkout", "lineNo": 12,
         "inApp": True, "context": [[11, "def checkout(basket):"], [12, "    return total(basket) / len(basket)"]],
         "vars": {"basket": "[]"}},
    ]  # fmt: skip

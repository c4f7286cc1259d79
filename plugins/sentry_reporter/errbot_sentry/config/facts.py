"""The facts that matchers and `"show"` of a route need, which kind of server has each, and in which of its answers.

Sources: getsentry/sentry-api-schema (listOrganizationIssues, getOrganizationIssueEvent); glitchtip-backend
`apps/issue_events/schema.py` (it always counts 0 users and has no priority; assignees since 2026-04); bugsink
`issues/serializers.py` and `events/serializers.py` (an issue has no level; the event is as the SDK sent it).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from errbot_sentry.config.matchers import AMOUNTS, Matcher, values_of
from errbot_sentry.domain.alerts import NEW, Alert

# The answers of a server. FRAMES are part of an event from the API, but an event in a webhook may lack them.
ISSUE, EVENT, FRAMES = "issue", "event", "frames"
_OF_EVENTS = {"environment": EVENT, "release": EVENT, "platform": EVENT, "tag": EVENT, "frame": FRAMES, "trace": FRAMES}
_OF_ISSUES = {"level": ISSUE, "events": ISSUE, "age": ISSUE}
SAYS: dict[str, dict[str, str]] = {
    "sentry": {**_OF_EVENTS, **_OF_ISSUES, "users": ISSUE, "priority": ISSUE, "assignee": ISSUE},
    "glitchtip": {**_OF_EVENTS, **_OF_ISSUES, "assignee": ISSUE},
    "bugsink": {**_OF_EVENTS, **_OF_ISSUES, "level": EVENT},
}
NAMES = {"sentry": "Sentry", "glitchtip": "GlitchTip", "bugsink": "Bugsink"}
SHOWN = ("level", "events", "users", "environment", "release", "priority", "platform", "assignee", "age", "frame")
_ALL = frozenset(SAYS["sentry"])


def fact_of(name: str) -> str:
    """The fact that a matcher's name needs; "" if every alert has it."""
    fact = "tag" if name.startswith("tag.") else name
    return fact if fact in _ALL else ""


def source_of(name: str, kind: str) -> str:
    """The answer with this fact on this kind of server: ISSUE, EVENT or FRAMES; "" if none, or of an unknown kind."""
    return SAYS.get(kind, {}).get(fact_of(name), "")


def can_be_known(name: str, kind: str) -> bool:
    """Whether a server of this kind ever sends this fact; True while the kind is unknown."""
    return not fact_of(name) or kind not in SAYS or bool(source_of(name, kind))


def lacks(alert: Alert, name: str, kind: str) -> bool:
    """Whether the alert lacks this fact, and the answer of the server that has it was not read yet."""
    if name == "project":
        return not alert.project
    if not fact_of(name):
        return False
    if name == "age":
        return alert.first_seen is None and alert.reason != NEW
    if name in AMOUNTS:  # amounts grow, so an older answer does not count
        return getattr(alert, name) is None
    if name == "assignee":
        absent = not alert.assignee_kind
    elif name.startswith("tag."):
        absent = values_of(alert, name) == ("",)
    else:
        absent = not getattr(alert, name)
    return absent and source_of(name, kind or "sentry") not in alert.asked.split()


def never_known(matchers: Iterable[Matcher], kind: str) -> Iterator[str]:
    """A sentence for each matcher whose fact this kind of server never sends."""
    for matcher in matchers:
        if not can_be_known(matcher.name, kind):
            yield f"{matcher} never matches: {NAMES[kind]} doesn't report {matcher.name}"

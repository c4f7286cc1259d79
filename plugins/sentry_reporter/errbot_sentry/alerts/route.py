"""Which rooms get an alert, and why not. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from errbot_sentry.access import Access
from errbot_sentry.matchers import all_match
from errbot_sentry.model import Alert, Place
from errbot_sentry.routes import Route

FIRST, UNROUTED, NOT_VISIBLE = "first", "unrouted", "not_visible"


@dataclass(frozen=True)
class Target:
    """A room that gets the alert, by this route; `number` counts routes from 1."""

    room: str
    route: Route
    number: int


@dataclass(frozen=True)
class Routed:
    """Where an alert goes: the rooms, and the rooms of matching routes that may not see its project."""

    targets: tuple[Target, ...]
    hidden: tuple[str, ...]


def route_alert(alert: Alert, routes: Sequence[Route], access: Access) -> Routed:
    """The first matching route wins unless it goes on; a room that several routes name gets the alert once."""
    targets: dict[str, Target] = {}
    hidden: dict[str, None] = {}
    for number, route in enumerate(routes, start=1):
        if alert.reason not in route.reasons or not all_match(route.matchers, alert):
            continue
        for room in route.rooms:
            if not may_hear(alert, room, access):
                hidden[room] = None
            elif room not in targets:
                targets[room] = Target(room, route, number)
        if not route.goes_on:
            break
    return Routed(tuple(targets.values()), tuple(hidden))


def may_hear(alert: Alert, room: str, access: Access) -> bool:
    """Whether a room may see every project that the alert is about (a metric alert can be about several)."""
    others = [value for key, value in alert.tags if key == "projects" and alert.issue_id.startswith("metric-")]
    return all(access.may_see(project, Place(room)) for project in (alert.project, *others))

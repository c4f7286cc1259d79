"""Which rooms get an alert, and why not. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from errbot_sentry.config.matchers import all_match
from errbot_sentry.config.routes import Route
from errbot_sentry.domain.access import Access
from errbot_sentry.domain.alerts import UPTIME, Alert
from errbot_sentry.domain.conversation import Conversation


@dataclass(frozen=True)
class Target:
    """A room that gets the alert, by this route; None where it gets only updates about a problem it was notified of.

    `label` names the route for people.
    """

    room: str
    route: Route | None
    label: str = ""


@dataclass(frozen=True)
class Routed:
    """Where an alert goes: the rooms, and the rooms of matching routes that may not see its project."""

    targets: tuple[Target, ...]
    hidden: tuple[str, ...]


def route_alert(alert: Alert, routes: Sequence[Route], access: Access, subscriptions: Sequence[Route] = ()) -> Routed:
    """The first matching route wins unless it goes on; every subscription counts besides.

    A room that several routes name gets the alert once.
    """
    matching = [*_matching(alert, routes)]
    matching += [(route, "subscription") for route in subscriptions if _wants(route, alert)]
    targets: dict[str, Target] = {}
    hidden: dict[str, None] = {}
    for route, label in matching:
        for room in route.rooms:
            if not may_see_alert(alert, room, access):
                hidden[room] = None
            elif room not in targets:
                targets[room] = Target(room, route, label)
    return Routed(tuple(targets.values()), tuple(hidden))


def _matching(alert: Alert, routes: Sequence[Route]) -> Iterator[tuple[Route, str]]:
    for number, route in enumerate(routes, start=1):
        if _wants(route, alert):
            yield route, f"route {number}"
            if not route.goes_on:
                return


def _wants(route: Route, alert: Alert) -> bool:
    return alert.reason in route.reasons and all_match(route.matchers, alert)


def may_see_alert(alert: Alert, room: str, access: Access) -> bool:
    """Whether a room may see every project that the alert is about (a metric alert can be about several)."""
    if alert.category == UPTIME and not alert.project:  # about no project that anybody could name
        return access.sees_everything(Conversation(room))
    others = [value for key, value in alert.tags if key == "projects" and alert.issue_id.startswith("metric-")]
    return all(access.may_see(project, Conversation(room)) for project in (alert.project, *others))

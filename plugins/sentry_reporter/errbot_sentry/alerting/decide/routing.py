"""Decides which rooms get an alert, and names the reason if none does. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from errbot_sentry.config.facts import lacks
from errbot_sentry.config.matchers import Matcher, all_match
from errbot_sentry.config.routes import Route
from errbot_sentry.domain.access import Access
from errbot_sentry.domain.alerts import NEW, REACHED, TEST, UPTIME, Alert
from errbot_sentry.domain.conversation import Conversation


@dataclass(frozen=True)
class Target:
    """A room that gets the alert by this route; None if it only gets updates, about a problem it was notified of.

    `label` names the route for people.
    """

    room: str
    route: Route | None
    label: str = ""


@dataclass(frozen=True)
class Routed:
    """Where an alert goes: its rooms, and as `hidden` the rooms of matching routes that may not see its project.

    `undecided` are rooms whose route would match if a missing fact does, with the names of these facts.
    """

    targets: tuple[Target, ...]
    hidden: tuple[str, ...]
    undecided: Mapping[Target, tuple[str, ...]] = field(default_factory=dict)


def route_alert(
    alert: Alert, routes: Sequence[Route], access: Access, subscriptions: Sequence[Route] = (), kind: str = ""
) -> Routed:
    """Route an alert by the first matching route, further ones if that goes on, and every matching subscription.

    A room that several routes name gets the alert once. A missing fact counts as the empty text.
    """
    matching: list[tuple[Route, str]] = []
    undecided: dict[str, tuple[Target, tuple[str, ...]]] = {}
    for route, label, missing in _candidates(alert, routes, subscriptions, kind):
        if all_match(_conditions(route, alert), alert):
            matching.append((route, label))
        elif missing:
            visible = (room for room in route.rooms if may_see_alert(alert, room, access))
            undecided.update((room, (Target(room, route, label), missing)) for room in visible)
    targets: dict[str, Target] = {}
    hidden: dict[str, None] = {}
    for route, label in matching:
        for room in route.rooms:
            if not may_see_alert(alert, room, access):
                hidden[room] = None
            elif room not in targets:
                targets[room] = Target(room, route, label)
    left = dict(each for room, each in undecided.items() if room not in targets)
    return Routed(tuple(targets.values()), tuple(hidden), left)


def facts_to_fetch(
    alert: Alert, routes: Sequence[Route], subscriptions: Sequence[Route], kind: str, *, notifies: bool
) -> frozenset[str]:
    """The missing facts that decide whether a route wants the alert; if it may notify, also those to be shown."""
    found: set[str] = set()
    for route, _, missing in _candidates(alert, routes, subscriptions, kind):
        found.update(missing)
        if notifies:
            shown = (*route.show, "trace") if route.trace else route.show
            found.update(name for name in shown if lacks(alert, name, kind))
    return frozenset(found)


def _candidates(
    alert: Alert, routes: Sequence[Route], subscriptions: Sequence[Route], kind: str
) -> Iterator[tuple[Route, str, tuple[str, ...]]]:
    """The routes that may want the alert by what is known, each with its name and the missing facts."""
    for number, route in enumerate(routes, start=1):
        missing = _missing(route, alert, kind)
        if missing is not None:
            yield route, f"route {number}", missing
            if not route.goes_on and all_match(_conditions(route, alert), alert):
                break
    for route in subscriptions:
        missing = _missing(route, alert, kind)
        if missing is not None:
            yield route, "subscription", missing


def _conditions(route: Route, alert: Alert) -> tuple[Matcher, ...]:
    """The matchers that must hold; for a server's test message, which has no level and no tags, only the project's."""
    return tuple(each for each in route.matchers if alert.reason != TEST or each.name == "project")


def _missing(route: Route, alert: Alert, kind: str) -> tuple[str, ...] | None:
    """The facts that the route needs and the alert does not have; None if the route does not want the alert anyway."""
    if alert.reason == REACHED:
        wanted = NEW in route.reasons and any(matcher.grows for matcher in route.matchers)
    else:
        wanted = alert.reason in route.reasons
    conditions = _conditions(route, alert)
    unknown = [matcher for matcher in conditions if lacks(alert, matcher.name, kind)]
    if not wanted or not all_match((each for each in conditions if each not in unknown), alert):
        return None
    return tuple(dict.fromkeys(matcher.name for matcher in unknown))


def may_see_alert(alert: Alert, room: str, access: Access) -> bool:
    """Whether a room may see every project that the alert is about (a metric alert can be about several)."""
    if alert.category == UPTIME and not alert.project:  # the alert names no project
        return access.sees_everything(Conversation(room))
    others = [value for key, value in alert.tags if key == "projects" and alert.issue_id.startswith("metric-")]
    return all(access.may_see(project, Conversation(room)) for project in (alert.project, *others))

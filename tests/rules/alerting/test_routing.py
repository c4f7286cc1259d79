"""Routing as a table: the routes and subscriptions, and which rooms get the alert by which of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import pytest

from errbot_sentry.alerting.decide.route_table import RouteTable
from errbot_sentry.alerting.decide.routing import route_alert
from errbot_sentry.config.routes import read_route
from errbot_sentry.domain.access import Access
from errbot_sentry.domain.alerts import NEW, Alert
from errbot_sentry.domain.clock import SystemClock
from errbot_sentry.domain.issues import Issue, Project
from tests.stores import store_at
from tests.tables import table

AT = datetime(2026, 1, 1, tzinfo=timezone.utc)
ALERT = Alert("d", NEW, "webhook", AT, "1", "WEB-1", project="web", level="error")
METRIC = replace(ALERT, issue_id="metric-9", tags=(("projects", "api"),))
A, B = {"rooms": ["#a"]}, {"rooms": ["#b"]}
TWO = {"rooms": ["#a", "#b"]}

ROUTES: tuple[tuple[str, list[dict[str, Any]], list[dict[str, Any]], dict[str, str]], ...] = (
    ("no route", [], [], {}),
    ("the only route", [A], [], {"#a": "route 1"}),
    ("the first match wins", [A, B], [], {"#a": "route 1"}),
    ("it goes on", [{**A, "continue": True}, TWO], [], {"#a": "route 1", "#b": "route 2"}),
    ("the first does not match", [{**A, "match": ["project=api"]}, B], [], {"#b": "route 2"}),
    ("all conditions match", [{**A, "match": ["level>=error", "project=w*"]}], [], {"#a": "route 1"}),
    ("one condition does not match", [{**A, "match": ["level>=fatal", "project=w*"]}], [], {}),
    ("the first wants another reason", [{**A, "reasons": ["regressed"]}, B], [], {"#b": "route 2"}),
    ("a subscription counts besides", [A], [B], {"#a": "route 1", "#b": "subscription"}),
    ("all subscriptions count", [], [A, B], {"#a": "subscription", "#b": "subscription"}),
    ("a room gets it once", [A], [A], {"#a": "route 1"}),
    ("a subscription that does not match", [], [{**A, "match": ["project=api"]}], {}),
)


@table(("routes", "subscriptions", "expected"), ROUTES)
def test_which_rooms(
    routes: list[dict[str, Any]], subscriptions: list[dict[str, Any]], expected: dict[str, str]
) -> None:
    routed = route_alert(ALERT, [*map(read_route, routes)], Access(), [*map(read_route, subscriptions)])
    assert {target.room: target.label for target in routed.targets} == expected
    assert routed.hidden == ()


RIGHTS: tuple[tuple[str, Alert, Access, tuple[str, ...], tuple[str, ...]], ...] = (
    ("no setting", ALERT, Access(), ("#a", "#b"), ()),
    ("a room of another project", ALERT, Access(room_projects={"#a": ("web",), "#b": ("api",)}), ("#a",), ("#b",)),
    ("a room that no setting names", ALERT, Access(room_projects={"#a": ("web",)}), ("#a",), ("#b",)),
    ("a project that the bot may not show", ALERT, Access(projects=("api",)), (), ("#a", "#b")),
    ("an alert without a project", replace(ALERT, project=""), Access(), (), ("#a", "#b")),
    ("a metric over two projects", METRIC, Access(room_projects={"#a": ("web",), "#b": ("*",)}), ("#b",), ("#a",)),
)


@table(("alert", "access", "rooms", "hidden"), RIGHTS)
def test_which_rooms_may_see_it(alert: Alert, access: Access, rooms: tuple[str, ...], hidden: tuple[str, ...]) -> None:
    routed = route_alert(alert, [read_route(TWO)], access)
    assert tuple(target.room for target in routed.targets) == rooms
    assert routed.hidden == hidden


@pytest.mark.parametrize(
    ("route", "room", "notified"),
    [
        (A, "#a", True),
        (A, "#A", True),
        (A, "#b", False),
        ({**A, "match": ["project=api"]}, "#a", False),
        ({**A, "reasons": ["regressed"]}, "#a", False),
    ],
)
def test_whether_a_room_is_notified_of_a_new_issue(route: dict[str, Any], room: str, notified: bool) -> None:
    table = RouteTable([read_route(route)], store_at("sqlite://"), SystemClock())
    assert table.notifies(room, Issue("1", "WEB-1", "it broke", Project("1", "web"))) is notified

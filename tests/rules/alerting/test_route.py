"""Which rooms get an alert: first match wins, rights and reasons are obeyed."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import pytest

from errbot_sentry.alerting.decide.routing import route_alert
from errbot_sentry.config.routes import Route, read_route
from errbot_sentry.domain.access import Access
from errbot_sentry.domain.alerts import NEW, Alert

ALERT = Alert(
    "d", NEW, "webhook", datetime(2026, 1, 1, tzinfo=timezone.utc), "1", "WEB-1", project="web", level="error"
)


def routes(*raw: dict[str, Any]) -> list[Route]:
    return [read_route(each) for each in raw]


@pytest.mark.parametrize(
    ("raw", "rooms"),
    [
        ([{"rooms": ["#a"]}], ["#a"]),
        ([{"rooms": ["#a"]}, {"rooms": ["#b"]}], ["#a"]),
        ([{"rooms": ["#a"], "continue": True}, {"rooms": ["#b", "#a"]}], ["#a", "#b"]),
        ([{"rooms": ["#a"], "match": ["project=api"]}, {"rooms": ["#b"]}], ["#b"]),
        ([{"rooms": ["#a"], "match": ["level>=error", "project=w*"]}], ["#a"]),
        ([{"rooms": ["#a"], "reasons": ["regressed"]}, {"rooms": ["#b"]}], ["#b"]),
        ([{"rooms": ["#a"], "match": ["level>=fatal"]}], []),
        ([], []),
    ],
)
def test_the_first_matching_route_wins_unless_it_goes_on(raw: list[dict[str, Any]], rooms: list[str]) -> None:
    assert [target.room for target in route_alert(ALERT, routes(*raw), Access()).targets] == rooms


def test_a_room_that_may_not_see_the_project_gets_nothing() -> None:
    access = Access(room_projects={"#web": ("web",), "#api": ("api",)})
    routed = route_alert(ALERT, routes({"rooms": ["#web", "#api", "#other"]}), access)
    assert [target.room for target in routed.targets] == ["#web"]
    assert routed.hidden == ("#api", "#other")


def test_a_project_outside_of_the_settings_reaches_no_room() -> None:
    routed = route_alert(ALERT, routes({"rooms": ["#web"]}), Access(projects=("api",)))
    assert (routed.targets, routed.hidden) == ((), ("#web",))


def test_an_alert_without_a_project_reaches_no_room() -> None:
    assert route_alert(replace(ALERT, project=""), routes({"rooms": ["#web"]}), Access()).targets == ()


def test_a_metric_alert_over_two_projects_needs_the_right_to_both() -> None:
    alert = replace(ALERT, issue_id="metric-9", tags=(("projects", "api"),))
    access = Access(room_projects={"#web": ("web",), "#all": ("*",)})
    assert [t.room for t in route_alert(alert, routes({"rooms": ["#web", "#all"]}), access).targets] == ["#all"]

"""A deferred message meets what has changed meanwhile: a silence, quiet hours, a room that no route names any more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.alerting import bodies
from tests.alerting.world import World

# The virtual clock begins at noon.
DEFERRED = {
    "quiet": ({"quiet": "11:00-13:00"}, 3600),
    "wait": ({"wait": "30m"}, 1800),
}


def storm(world: World) -> None:
    for number in range(25):
        world.hook(bodies.sentry_issue(str(number)))
        world.at(1)
    world.chat.sent.clear()


@pytest.mark.parametrize("deferred", ["quiet", "wait"])
def test_what_was_deferred_before_a_silence_waits_for_its_end(tmp_path: Path, deferred: str) -> None:
    more, due = DEFERRED[deferred]
    world = World(tmp_path, [{"rooms": ["#ops"], "mention": "@oncall", **more}], poll=0)
    world.hook(bodies.sentry_issue("1"))
    world.at(due - 100)
    world.type("silence project=shop -d 700s")
    assert world.at(due + 500).messages() == []
    assert world.reasons("#ops")[-1] == "silenced"
    over = f"{due + 600} #ops Silence 1 (project=shop) ended; it silenced 1 alert about 1 problem: SHOP-1"
    assert world.at(due + 900).messages() == [over]


def test_what_goes_on_after_such_a_silence_is_a_notification(tmp_path: Path) -> None:
    world = World(tmp_path, [{"rooms": ["#ops"], "wait": "1m"}], poll=0)
    world.hook(bodies.sentry_issue("1"))
    world.at(10)
    world.type("silence project=shop -d 600s")
    world.at(1000).messages()
    world.hook(bodies.sentry_event_alert("1"), "event_alert")
    (line,) = world.at(1100).messages()
    assert line.startswith("1060 #ops Alert in shop: SHOP-1")


def test_a_storm_keeps_to_a_silence_made_meanwhile(tmp_path: Path) -> None:
    world = World(tmp_path, [{"rooms": ["#ops"]}], poll=0)
    storm(world)
    world.type("silence project=shop -d 1000s")
    assert world.at(900).messages() == []


@pytest.mark.parametrize("deferred", ["storm", "wait"])
def test_nobody_is_mentioned_in_quiet_hours_by_what_was_deferred_before(tmp_path: Path, deferred: str) -> None:
    route: dict[str, Any] = {"rooms": ["#ops"], "mention": "@oncall", "quiet": "12:01-13:00"}
    world = World(tmp_path, [{**route, **({"wait": "2m"} if deferred == "wait" else {})}], poll=0)
    if deferred == "storm":
        storm(world)
    else:
        world.hook(bodies.sentry_issue("1"))
    assert world.at(3599).messages() == []
    (line,) = world.at(3700).messages()
    assert line.startswith("3600 #ops @oncall")
    assert "quiet hours" in line


@pytest.mark.parametrize("deferred", ["quiet", "wait"])
def test_a_room_that_has_unsubscribed_gets_nothing_of_what_was_deferred(tmp_path: Path, deferred: str) -> None:
    more, due = DEFERRED[deferred]
    world = World(tmp_path, [{"rooms": ["#ops"], **more}], poll=0)
    world.hook(bodies.sentry_issue("1"))
    world.at(60)
    world.settings = type(world.settings)(webhook_secrets=(bodies.SECRET,), poll_seconds=0)
    world.boot()
    assert world.at(due + 1000).messages() == []
    assert world.reasons("#ops")[-1] == "unrouted"


def test_a_storm_is_over_for_a_room_that_has_unsubscribed(tmp_path: Path) -> None:
    world = World(tmp_path, [], poll=0)
    world.type("subscribe")
    storm(world)
    world.type("unsubscribe 1")
    assert world.at(900).messages() == []

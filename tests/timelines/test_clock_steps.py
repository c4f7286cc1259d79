"""A clock that is put right by an hour: what was put off by the wrong time is not put off for that hour."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.alerting import bodies
from tests.alerting.world import World


def test_a_room_is_not_silent_until_the_old_time_comes_round(tmp_path: Path) -> None:
    """A message that waited for the chat network stands before all later ones of its room."""
    world = World(tmp_path, [{"rooms": ["#ops"]}])
    world.at(3600)
    world.chat.drop()
    world.hook(bodies.sentry_issue("101"))
    world.step("alert pipeline")
    world.step("alert delivery")
    world.clock.advance(-3000)
    world.chat.up = True
    world.hook(bodies.sentry_issue("102"))
    world.at(700)
    assert len(world.texts()) == 2


def test_an_alert_taken_in_by_a_clock_that_was_ahead_is_decided(tmp_path: Path) -> None:
    """It is due at the time at which it came."""
    world = World(tmp_path, [{"rooms": ["#ops"]}])
    world.at(3600)
    world.hook(bodies.sentry_issue("101"))
    world.clock.advance(-3000)
    world.at(700)
    assert len(world.texts()) == 1


@pytest.mark.parametrize("why", ["storm", "wait"])
def test_notifications_deferred_by_a_clock_that_was_ahead_are_sent(tmp_path: Path, why: str) -> None:
    """They waited for the old time to come round, and every later notification of the room with them."""
    world = World(tmp_path, [{"rooms": ["#ops"], **({"wait": "5m"} if why == "wait" else {})}], poll=0)
    world.at(3 * 86400)
    for number in range(25):
        world.hook(bodies.sentry_issue(str(number)))
    world.at(3 * 86400 + 1).texts()
    world.clock.advance(-86400)
    world.flow.wake()
    assert len(world.at(2 * 86400 + 600).texts()) == 1

    world.hook(bodies.sentry_issue("999"))
    assert len(world.at(2 * 86400 + 1200).texts()) == 1


def test_a_storm_does_not_last_until_the_old_time_comes_round(tmp_path: Path) -> None:
    """What was sent by the wrong time counted as sent in the last minute, for as long as the clock had been ahead."""
    world = World(tmp_path, [{"rooms": ["#ops"]}], poll=0)
    world.at(3 * 86400)
    for number in range(20):
        world.hook(bodies.sentry_issue(str(number)))
    world.at(3 * 86400 + 1).texts()
    world.clock.advance(-86400)
    begin = world.seconds
    world.hook(bodies.sentry_issue("999"))
    assert len(world.at(begin + 1).texts()) == 1

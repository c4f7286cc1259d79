"""A clock that is put right by an hour: what was put off by the wrong time is not put off for that hour."""

from __future__ import annotations

from pathlib import Path

from tests.alerting import bodies
from tests.alerting.world import World


def test_a_room_is_not_silent_until_the_old_time_comes_round(tmp_path: Path) -> None:
    """A message that waited for the chat network stands before all later ones of its room."""
    world = World(tmp_path, [{"rooms": ["#ops"]}])
    world.at(3600)
    world.chat.drop()
    world.hook(bodies.sentry_issue("101"))
    world.flow._decide()
    world.flow._send()
    world.clock.advance(-3000)
    world.chat.up = True
    world.hook(bodies.sentry_issue("102"))
    world.at(700)
    assert len(world.heard()) == 2


def test_an_alert_taken_in_by_a_clock_that_was_ahead_is_decided(tmp_path: Path) -> None:
    """It is due at the time at which it came."""
    world = World(tmp_path, [{"rooms": ["#ops"]}])
    world.at(3600)
    world.hook(bodies.sentry_issue("101"))
    world.clock.advance(-3000)
    world.at(700)
    assert len(world.heard()) == 1

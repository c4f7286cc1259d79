"""The bot's time of day is put right while it runs: nothing waits for the old time, is lost, or is sent again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.alerting.world import Chat, World
from tests.clocks import SteppedClock
from tests.timelines.test_sender import ROUTES, post

JUMPS = [-86_400, -3600, -600, 600, 3600]


@pytest.mark.parametrize("jump", JUMPS)
@pytest.mark.parametrize(
    ("wait", "again"), [(10, []), (1, ["New: one"])], ids=["what has arrived", "what was lost with the connection"]
)
def test_only_what_was_lost_with_the_connection_is_sent_again(
    tmp_path: Path, wait: float, again: list[str], jump: float
) -> None:
    """A message has arrived when the connection has outlived it by `settle` seconds."""
    clock = SteppedClock()
    world = World(tmp_path, ROUTES, poll=0, clock=clock, chat=Chat(clock, settle=5.0))
    post(world, "#a", "one")
    assert world.at(1).texts() == ["New: one"]
    world.put_right(jump)
    world.at(world.seconds + wait)
    world.chat.drop()
    world.chat.up = True
    assert world.at(world.seconds + 10).texts() == again


@pytest.mark.parametrize("jump", JUMPS)
def test_polling_goes_on(tmp_path: Path, jump: float) -> None:
    world = World(tmp_path, ROUTES, clock=SteppedClock())
    world.at(130)
    world.put_right(jump)
    before = len(world.server.asked)
    world.at(world.seconds + 130)
    assert len(world.server.asked) >= before + 2

"""The chat network takes everything and answers nothing: a signal ends the process within five seconds all the same."""

from __future__ import annotations

import signal
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.system.hanging_world import NETWORKS, HangingWorld, wait_for_end
from tests.waiting import until


@pytest.mark.parametrize(
    ("network", "number"),
    [*((network, signal.SIGTERM) for network in NETWORKS), ("mattermost", signal.SIGINT), ("telegram", signal.SIGINT)],
)
def test_the_network_hangs(tmp_path: Path, ends: ExitStack, network: str, number: int) -> None:
    world = HangingWorld(tmp_path, ends, network)
    world.bot.process.start()
    world.chat.hang()
    before = len(world.chat.requests)
    world.hook(world.issue())
    until(lambda: len(world.chat.requests) > before, 60, "something of the bot waits for an answer")
    wait_for_end(world.bot.process, number)

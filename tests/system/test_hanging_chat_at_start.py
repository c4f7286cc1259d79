"""The chat network takes connections and answers nothing when the bot starts: the end is in time, nothing is lost."""

from __future__ import annotations

import signal
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.servers.errbot_process import START_SECONDS
from tests.system.hanging_world import NETWORKS, HangingWorld, wait_for_end
from tests.waiting import until


@pytest.mark.parametrize("network", [name for name in NETWORKS if name != "zulip"])
def test_the_network_hangs_when_the_bot_starts(tmp_path: Path, ends: ExitStack, network: str) -> None:
    """A webhook is taken before the first connect, the end is in time, and after a restart the room gets it once.

    Zulip's backend asks its server before there is a bot at all; without an answer the process ends.
    """
    world = HangingWorld(tmp_path, ends, network, serves=False)
    process = world.bot.process
    process.start(wait=False)
    process.wait_for_log("the chat network is not there yet", START_SECONDS)
    world.hook(world.issue("earlier"))
    wait_for_end(process, signal.SIGTERM)
    before = len(process.log)
    process.start(wait=False)
    process.wait_for_log("the chat network is not there yet", START_SECONDS, after=before)
    world.chat.start()

    def posted(title: str) -> int:
        return sum(title.encode() in request.body for request in world.chat.requests)

    until(lambda: posted("earlier"), 90, "the first alert is posted")
    world.hook(world.issue("later"))
    until(lambda: posted("later"), 60, "the second alert is posted")
    assert posted("earlier") == 1
    assert "Traceback" not in process.log + process.output

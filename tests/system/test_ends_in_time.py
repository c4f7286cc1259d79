"""A signal ends the process within five seconds, also while the chat network takes everything and answers nothing.

Real backends and clients, each of which waits for its network in another way. The limit of the tests is what a machine
under load needs for the same; without our watch Mattermost's backend takes twenty seconds.
"""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.discord_guild import OPS as DISCORD_OPS
from tests.fakes.discord_server import DiscordServer
from tests.fakes.http_server import HttpServer
from tests.fakes.mattermost_server import MattermostServer
from tests.fakes.slack_server import SlackServer
from tests.fakes.telegram_server import OPS as TELEGRAM_OPS
from tests.fakes.telegram_server import TelegramServer
from tests.fakes.zulip_server import ZulipServer
from tests.servers.discord_bot import DiscordBot
from tests.servers.errbot_process import START_SECONDS, ErrbotProcess
from tests.servers.mattermost_bot import OURS, MattermostBot
from tests.servers.ngircd import Ngircd
from tests.servers.slack_bot import SlackBot
from tests.servers.telegram_bot import TelegramBot
from tests.servers.tiny_plugin import write_plugin
from tests.servers.zulip_bot import ZulipBot
from tests.system.network_world import NetworkWorld
from tests.system.plugin_copies import PLUGIN
from tests.system.recovery_world import RecoveryWorld
from tests.waiting import until

SECONDS = 12.0
_SLOW = """
import pathlib
import time
from errbot import BotPlugin


class Slow(BotPlugin):
    def deactivate(self):
        time.sleep(6)
        super().deactivate()
        pathlib.Path({done!r}).touch()
"""
_STUCK = """
import ctypes
from errbot import BotPlugin


class Stuck(BotPlugin):
    def callback_message(self, message):  # in the main thread of the IRC backend
        if message.body == "get stuck":
            self.log.info("now it is stuck")
            mutex, libc = ctypes.create_string_buffer(256), ctypes.CDLL(None)
            libc.pthread_mutex_lock(mutex)
            libc.pthread_mutex_lock(mutex)

    def deactivate(self):
        super().deactivate()
        self.log.info("Stuck is deactivated")
"""
_FORKS = """
import os
import signal
import time
from errbot import BotPlugin, botcmd


class Forks(BotPlugin):
    @botcmd
    def fork(self, message, words):
        child = os.fork()
        if not child:
            try:
                time.sleep(60)
            finally:
                os._exit(0)
        time.sleep(0.5)
        os.kill(child, signal.SIGTERM)
        os.waitpid(child, 0)
        return "the child has ended"

    @botcmd
    def later(self, message, words):
        time.sleep(6)  # longer than the bot would have
        return "the bot is alive"
"""

Make = Callable[..., Any]
NETWORKS: dict[str, tuple[Callable[[], HttpServer], Make, dict[str, Any]]] = {
    "mattermost": (MattermostServer, MattermostBot, {"room": "ops", "shims": OURS}),
    "discord": (DiscordServer, DiscordBot, {"room": f"<#{DISCORD_OPS}>"}),
    "telegram": (TelegramServer, TelegramBot, {"room": str(TELEGRAM_OPS)}),
    "zulip": (ZulipServer, ZulipBot, {"room": "ops"}),
    "slack": (SlackServer, SlackBot, {"room": "#ops"}),
    "slack by socket": (SlackServer, SlackBot, {"room": "#ops", "socket_mode": True}),
}


class World(NetworkWorld):
    """A network by its name, Sentry, and the bot between them, which is started by the test.

    `serves` says whether the network answers already; else it hangs until `chat.start()`.
    """

    def __init__(self, folder: Path, ends: ExitStack, network: str, *, serves: bool = True, **settings: Any) -> None:
        super().__init__(ends)
        server, make, more = NETWORKS[network]
        options = dict(more)
        room = options.pop("room")
        self.chat = server()
        if serves:
            self.chat.start()
        ends.callback(self.chat.stop)
        self.bot = make(folder, self.chat, **options, **self.settings, **settings, SENTRY_ALERTS=[{"rooms": [room]}])
        self.webhook = self.bot.webhook
        ends.callback(self.bot.process.stop)


@pytest.fixture
def ends() -> Iterator[ExitStack]:
    """What ends with the test."""
    with ExitStack() as ends:
        yield ends


def wait_for_end(process: ErrbotProcess, number: int) -> None:
    """Signal the bot, and wait until the process has ended by itself, in time and as the backend would end it."""
    process.send_signal(number)
    assert process.wait_for_exit(SECONDS) == 0
    assert "Traceback" not in process.log + process.output


@pytest.mark.parametrize(
    ("network", "number"),
    [*((network, signal.SIGTERM) for network in NETWORKS), ("mattermost", signal.SIGINT), ("telegram", signal.SIGINT)],
)
def test_the_network_hangs(tmp_path: Path, ends: ExitStack, network: str, number: int) -> None:
    world = World(tmp_path, ends, network)
    world.bot.process.start()
    world.chat.hang()
    before = len(world.chat.requests)
    world.hook(world.issue())
    until(lambda: len(world.chat.requests) > before, 60, "something of the bot waits for an answer")
    wait_for_end(world.bot.process, number)


@pytest.mark.parametrize("network", [name for name in NETWORKS if name != "zulip"])
def test_the_network_hangs_when_the_bot_starts(tmp_path: Path, ends: ExitStack, network: str) -> None:
    """A webhook is taken before the first connect, the end is in time, and after a restart the room gets it once.

    Zulip's backend asks its server before there is a bot at all; without an answer the process ends.
    """
    world = World(tmp_path, ends, network, serves=False)
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


def test_a_slow_plugin_is_not_cut_short_and_its_storage_is_closed(tmp_path: Path, ends: ExitStack) -> None:
    """It takes longer than the whole end, and Mattermost's backend would then fail before it closes the storage."""
    done = tmp_path / "done"
    slow = write_plugin(tmp_path, _SLOW.format(done=str(done)), "Slow")
    world = World(tmp_path, ends, "mattermost", plugins=[PLUGIN, slow], BOT_LOG_LEVEL=logging.DEBUG)
    world.bot.process.start()
    world.chat.hang()
    before = len(world.bot.process.log)
    world.bot.process.send_signal(signal.SIGTERM)
    assert world.bot.process.wait_for_exit(SECONDS) == 0
    assert done.exists()
    log = world.bot.process.log[before:]
    for name in ("Slow", "core", "repomgr"):
        assert f"Closed storage '{name}'" in log


def test_no_signal_reaches_the_main_thread(tmp_path: Path, ngircd: Ngircd) -> None:
    """It is in C code, as while a name server does not answer. The plugins are deactivated all the same."""
    stuck = write_plugin(tmp_path, _STUCK, "Stuck")
    world = RecoveryWorld(tmp_path, ngircd, BOT_EXTRA_PLUGIN_DIR=[str(PLUGIN), str(stuck)])
    with world.person() as alice, world.bot:
        alice.wait_for_join("sentrybot", world.room)
        alice.say(world.room, "get stuck")
        world.bot.wait_for_log("now it is stuck")
        wait_for_end(world.bot, signal.SIGTERM)
        assert "Stuck is deactivated" in world.bot.log


def test_nobody_else_learns_of_a_childs_signal(tmp_path: Path, ngircd: Ngircd) -> None:
    """A child that a plugin forks has the bot's handlers; what ends it does not end the bot."""
    forks = write_plugin(tmp_path, _FORKS, "Forks")
    world = RecoveryWorld(tmp_path, ngircd, BOT_EXTRA_PLUGIN_DIR=[str(PLUGIN), str(forks)])
    with world.person() as alice, world.bot:
        alice.wait_for_join("sentrybot", world.room)
        alice.say(world.room, "!fork")
        alice.wait_for("the child has ended", 60)
        alice.say(world.room, "!later")
        alice.wait_for("the bot is alive", 60)

"""A signal ends the process within five seconds, also while other plugins are slow, stuck or fork."""

from __future__ import annotations

import logging
import signal
from contextlib import ExitStack
from pathlib import Path

from tests.servers.ngircd import Ngircd
from tests.servers.tiny_plugin import write_plugin
from tests.system.hanging_world import END_SECONDS, HangingWorld, wait_for_end
from tests.system.plugin_copies import PLUGIN
from tests.system.recovery_world import RecoveryWorld

_SLOW = """
import pathlib
import time
from errbot import BotPlugin


class Slow(BotPlugin):
    def deactivate(self):
        time.sleep(6)  # what is tested: longer than the whole end of the bot
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
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            try:
                os.write(writer, b".")
                while True:  # Python handles the signal between two steps, and in no call that may wait
                    pass
            finally:
                os._exit(0)
        os.read(reader, 1)
        os.kill(child, signal.SIGTERM)
        os.waitpid(child, 0)
        return "the child has ended"

    @botcmd
    def later(self, message, words):
        time.sleep(6)  # what is tested: the bot lives for longer than its end would take
        return "the bot is alive"
"""


def test_a_slow_plugin_is_not_cut_short_and_its_storage_is_closed(tmp_path: Path, ends: ExitStack) -> None:
    """It takes longer than the whole end, and Mattermost's backend would then fail before it closes the storage."""
    done = tmp_path / "done"
    slow = write_plugin(tmp_path, _SLOW.format(done=str(done)), "Slow")
    world = HangingWorld(tmp_path, ends, "mattermost", plugins=[PLUGIN, slow], BOT_LOG_LEVEL=logging.DEBUG)
    world.bot.process.start()
    world.chat.hang()
    before = len(world.bot.process.log)
    world.bot.process.send_signal(signal.SIGTERM)
    assert world.bot.process.wait_for_exit(END_SECONDS) == 0
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

"""The chat network goes away in every way it can, and comes back: the bot follows, and what waited is in the room.

Each wait is shorter than what Errbot itself takes, a minute or for ever; benchmarks/recovery.py measures the seconds.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.servers.irc_client import IrcClient
from tests.servers.ngircd import Ngircd
from tests.servers.prosody import DOMAIN, Prosody
from tests.servers.tiny_plugin import write_plugin
from tests.system.plugin_copies import PLUGIN
from tests.system.recovery_world import BOT, ProxiedWorld, RecoveryWorld
from tests.waiting import until

# slixmpp 1.8.6, the last that Errbot 6.2.1 works with, asks the resolver in its old way.
pytestmark = pytest.mark.filterwarnings("ignore:gethostbyname")

SECONDS = 45.0
_SLOW = """
import time
from errbot import BotPlugin


class Slow(BotPlugin):
    def callback_connect(self):
        time.sleep(1)  # what is tested: XMPP's loop is busy for longer than the sender needs to try the room
"""


def test_the_server_restarts(tmp_path: Path, chat_server: Ngircd | Prosody, ends: ExitStack) -> None:
    world = ProxiedWorld(tmp_path, chat_server, ends)
    world.bot.start()
    world.alice.wait_for_join(BOT, world.room)
    for number in ("1", "2"):  # and once more, on a connection that the bot made by itself
        before = len(world.bot.log)
        world.proxy.refuse()
        chat_server.kill()
        world.bot.wait_for_log("webhooks are still taken", after=before)
        world.hook(number)
        chat_server.start()
        alice = ends.enter_context(world.person())
        world.proxy.mend()
        alice.wait_for(f"SHOP-{number}", SECONDS, sender=BOT)
    assert world.bot.log.count("Traceback") == 0


def test_a_plugin_keeps_the_loop_in_which_rooms_are_joined(
    tmp_path: Path, chat_server: Ngircd | Prosody, ends: ExitStack
) -> None:
    """What waited does not join the room beside Errbot's own join: slixmpp fails when two joins are on their way."""
    slow = write_plugin(tmp_path, _SLOW, "Slow")
    world = ProxiedWorld(tmp_path, chat_server, ends, BOT_EXTRA_PLUGIN_DIR=[str(PLUGIN), str(slow)])
    world.bot.start()
    world.alice.wait_for_join(BOT, world.room)
    before = len(world.bot.log)
    world.proxy.refuse()
    world.proxy.end()
    world.bot.wait_for_log("webhooks are still taken", after=before)
    world.hook("1")
    world.proxy.mend()
    world.alice.wait_for("SHOP-1", SECONDS, sender=BOT)
    assert "joins it" not in world.bot.log[before:]
    assert world.bot.log.count("Traceback") == 0


def test_the_bot_is_kicked_out_of_the_room(tmp_path: Path, chat_server: Ngircd | Prosody, ends: ExitStack) -> None:
    world = RecoveryWorld(tmp_path, chat_server)
    alice = ends.enter_context(world.person())
    ends.enter_context(world.bot)
    world.hook("1")
    alice.wait_for("SHOP-1", SECONDS, sender=BOT)  # it has joined
    if isinstance(alice, IrcClient):
        alice.raw(f"KICK {world.room} {BOT}")
    else:
        alice.set_role(world.room, BOT, "none")
    until(lambda: BOT not in alice.names(world.room), SECONDS, "the bot is out")
    world.hook("2")
    alice.wait_for("SHOP-2", SECONDS, sender=BOT)
    assert world.bot.log.count("Traceback") == 0


def test_the_password_is_refused_for_a_while(tmp_path: Path, prosody: Prosody, ends: ExitStack) -> None:
    world = RecoveryWorld(tmp_path, prosody)
    ends.enter_context(world.bot)
    ends.enter_context(world.person()).wait_for_join(BOT, world.room)
    prosody.kill()
    prosody.passwords[BOT] = "another"
    world.hook("1")
    prosody.start()
    world.bot.wait_for_log("XMPP refuses the bot's password .not-authorized")
    world.hook("2")
    prosody.kill()
    prosody.passwords.clear()
    prosody.start()
    alice = ends.enter_context(world.person())
    alice.wait_for("SHOP-1", SECONDS, sender=BOT)
    alice.wait_for("SHOP-2", SECONDS, sender=BOT)
    assert world.bot.log.count("Traceback") == 0


def test_the_connection_dies_without_a_word(tmp_path: Path, chat_server: Ngircd | Prosody, ends: ExitStack) -> None:
    """What is written into the dead connection is not lost."""
    world = ProxiedWorld(tmp_path, chat_server, ends)
    world.bot.start()
    world.alice.wait_for_join(BOT, world.room)
    world.hook("1")
    world.alice.wait_for("SHOP-1", SECONDS)
    world.proxy.cut()
    world.hook("2")
    world.bot.wait_for_log("webhooks are still taken", SECONDS)
    world.hook("3")
    world.proxy.mend()
    for number in ("2", "3"):
        world.alice.wait_for(f"SHOP-{number}", SECONDS)
    assert world.bot.log.count("Traceback") == 0


def test_an_admin_reloads_and_switches_off_and_on(
    tmp_path: Path, chat_server: Ngircd | Prosody, ends: ExitStack
) -> None:
    """Errbot handles nothing else until such a command has ended, on IRC with the library's lock taken."""
    world = RecoveryWorld(tmp_path, chat_server)
    alice = ends.enter_context(world.person())
    ends.enter_context(world.bot)
    alice.wait_for_join(BOT, world.room)
    to = BOT if isinstance(alice, IrcClient) else f"{BOT}@{DOMAIN}"
    for command in ("reload", "deactivate", "activate"):
        alice.say(to, f"!plugin {command} SentryReporter")
        alice.wait_for(f"SentryReporter {command}e?d", SECONDS)
    world.hook("1")
    alice.wait_for("SHOP-1", SECONDS, sender=BOT)


def test_the_nick_is_taken(tmp_path: Path, ngircd: Ngircd, ends: ExitStack) -> None:
    """Another one serves, until the configured one is free again."""
    world = RecoveryWorld(tmp_path, ngircd)
    alice = ends.enter_context(world.person())
    ghost = IrcClient(ngircd.host, ngircd.port, BOT)
    ends.enter_context(world.bot)
    world.hook("1")
    alice.wait_for("SHOP-1", SECONDS, sender=f"{BOT}_")
    ghost.close()
    until(lambda: alice.names(world.room) == {"alice", BOT}, SECONDS, "the bot has its own nick")
    world.hook("2")
    alice.wait_for("SHOP-2", SECONDS, sender=BOT)
    alice.say(BOT, "!sentry status")
    alice.wait_for("delivery", SECONDS, target="alice", sender=BOT)
    assert world.bot.log.count("Traceback") == 0

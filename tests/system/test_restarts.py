"""A signal ends the bot in order, and it starts again: what waited is sent then, and nothing is sent twice."""

from __future__ import annotations

import re
import signal
import sqlite3
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.servers.ngircd import Ngircd
from tests.servers.prosody import Prosody
from tests.system.recovery_world import BOT, RecoveryWorld
from tests.waiting import until

# slixmpp 1.8.6, the last that Errbot 6.2.1 works with, asks the resolver in its old way.
pytestmark = pytest.mark.filterwarnings("ignore:gethostbyname")

SECONDS = 45.0


def test_sigterm_is_an_orderly_end(tmp_path: Path, chat_server: Ngircd | Prosody, ends: ExitStack) -> None:
    world = RecoveryWorld(tmp_path, chat_server)
    alice = ends.enter_context(world.person())
    with world.bot:
        alice.wait_for_join(BOT, world.room)
        world.hook("1")
        alice.wait_for("SHOP-1", SECONDS)
        chat_server.kill()
        world.bot.wait_for_log("webhooks are still taken")
        world.hook("2")
        world.bot.send_signal(signal.SIGTERM)
        assert world.bot.wait_for_exit() in (0, -signal.SIGINT)  # the latter on XMPP, as with Ctrl-C
        assert "errbot.plugin_manager     Bye." in world.bot.log
    chat_server.start()
    alice = ends.enter_context(world.person())
    with world.bot:
        alice.wait_for("SHOP-2", SECONDS, sender=BOT)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_a_restart_repeats_no_message_of_the_last_seconds(
    tmp_path: Path, chat_server: Ngircd | Prosody, ends: ExitStack, number: int
) -> None:
    """The bot leaves the network itself, so no connection has broken."""
    world = RecoveryWorld(tmp_path, chat_server)
    alice = ends.enter_context(world.person())
    with world.bot:
        alice.wait_for_join(BOT, world.room)
        world.hook("1")
        alice.wait_for("SHOP-1", SECONDS)
        until(lambda: is_marked(world), SECONDS, "the message is marked as sent")
        world.bot.send_signal(number)
        world.bot.wait_for_exit()
    with world.bot:
        world.hook("2")
        alice.wait_for("SHOP-2", SECONDS, sender=BOT)
    assert len(re.findall("SHOP-1 ", world.texts(alice))) == 1


def is_marked(world: RecoveryWorld) -> bool:
    """Whether the state says that the first message was sent, perhaps a moment ago."""
    with closing(sqlite3.connect(world.bot.data / "sentry_reporter.sqlite3")) as state:
        return state.execute("select 1 from outbox where sent is not null").fetchone() is not None
